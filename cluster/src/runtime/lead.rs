//! What the leader does: it finds out who is down, gives shards to nodes, and keeps the right voters.
//!
//! One loop on every node, idle where the node does not lead. It proposes what pure functions say ([`Liveness`],
//! [`plan`], [`autopilot`]); what is proposed by a leader that was deposed meanwhile is
//! refused by epoch or incarnation.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use hubbub_protocol::ids::NodeId;
use tokio::{task::JoinHandle, time::Instant};

use super::{
    balancer::Balancer,
    core::Core,
    liveness::{Liveness, Verdict, View},
    map::Map,
    moves::Moves,
};
use crate::{
    autopilot::{self, Candidate},
    control::{Answer, Command, Control, MemberState, Place, Role, ShardMove, place::MOVES_MAX},
    plan::{self, Plan},
    raft::{ChangeError, Peer},
};

/// Longest time from one plan to the next; changes of the map are followed by one at once.
const PLAN_EVERY: Duration = Duration::from_secs(1);

/// What one time of leading remembers.
struct Reign {
    moves: Moves,
    balancer: Balancer,
    planned: Option<(u64, Instant)>,
    changed_voters: Option<Instant>,
    changing: Option<JoinHandle<Result<(), ChangeError>>>,
    ticked: Instant,
}

impl Core {
    /// Leads whenever this node is the leader, until the end.
    pub(super) async fn lead(self: Arc<Self>) {
        loop {
            while !self.is_leader() {
                self.raft.leads_changed().await;
            }
            tracing::info!(node.id = %self.me, term = self.raft.leads().term, "this node leads the cluster");
            let now = Instant::now();
            *self.liveness.lock() = Liveness::new(now);
            // Everyone beats to us at once, with what they have not heard of.
            self.ping_all();
            self.beat_now.notify_one();
            let mut reign = Reign {
                moves: Moves::new(now),
                balancer: Balancer::default(),
                planned: None,
                changed_voters: None,
                changing: None,
                ticked: now,
            };
            while self.is_leader() {
                self.rule(&mut reign).await;
                tokio::time::sleep(self.timing.tick).await;
            }
            tracing::info!(node.id = %self.me, "this node leads no more");
        }
    }

    async fn rule(&self, reign: &mut Reign) {
        let now = Instant::now();
        if now - reign.ticked > self.timing.tick + self.timing.peer_silent {
            self.reach.forgive();
            self.liveness.lock().forgive(now);
        }
        let control = self.raft.facts().read(Clone::clone);
        if control.is_founded() {
            self.judge(&control, now).await;
            self.place(reign, now).await;
            self.choose_voters(reign, now);
        }
        // What the proposals took is no sleep.
        reign.ticked = Instant::now();
    }

    async fn judge(&self, control: &Control, now: Instant) {
        for Verdict { node, incarnation, state, why } in self.verdicts(&Map::of(control), now) {
            match self.propose(Command::SetState { node, incarnation, state }).await {
                Ok(Answer::Done) => tracing::info!(node.id = %node, "node {node} is {state:?}: {why}"),
                outcome => tracing::debug!(node.id = %node, ?outcome, "node {node} is not made {state:?}"),
            }
        }
    }

    fn verdicts(&self, map: &Map, now: Instant) -> Vec<Verdict> {
        let silence = |node| self.reach.silence(node).unwrap_or_default();
        let view = View { me: self.me, now, map, timing: &self.timing, silence: &silence };
        self.liveness.lock().verdicts(&view)
    }

    async fn place(&self, reign: &mut Reign, now: Instant) {
        let control = self.raft.facts().read(Clone::clone);
        let overdue = reign.moves.overdue(&control, self.timing.move_within, now);
        for shards in overdue.chunks(MOVES_MAX) {
            self.try_propose("moves that took too long", Command::FinishMoves { shards: shards.to_vec() }).await;
        }
        let due = reign.planned.is_none_or(|(version, at)| {
            version != control.map_version || now.saturating_duration_since(at) >= PLAN_EVERY
        });
        if !due {
            return;
        }
        reign.planned = Some((control.map_version, now));
        let plan = plan::plan(&control);
        for moves in plan.orphans.chunks(MOVES_MAX) {
            self.try_propose("orphans", Command::Assign { moves: moves.to_vec() }).await;
        }
        let moves: Vec<ShardMove> = reign.moves.choose(&plan, &control, &self.timing, now);
        if !moves.is_empty() {
            self.try_propose("moves", Command::BeginMoves { moves }).await;
        }
        // What a shard costs counts once nothing is left to move for other reasons.
        if plan == Plan::default() && control.shards.iter().all(|place| place.place == Place::Stable) {
            let costs = self.shard_costs(&control, now);
            let moves = reign.balancer.choose(&control, &costs, &self.timing, now);
            if !moves.is_empty() {
                tracing::info!(?moves, "shards change places for what they cost");
                self.try_propose("exchanges", Command::BeginMoves { moves }).await;
            }
        }
    }

    async fn try_propose(&self, what: &str, command: Command) {
        if let Err(error) = self.propose(command).await {
            tracing::warn!(%error, "{what} could not be proposed");
        }
    }

    /// Starts the next change of the voters, one at a time and with a rest between.
    fn choose_voters(&self, reign: &mut Reign, now: Instant) {
        if let Some(changing) = reign.changing.take_if(|changing| changing.is_finished()) {
            reign.changed_voters = Some(now);
            tokio::spawn(async move {
                if let Ok(Err(error)) = changing.await {
                    tracing::warn!(%error, "the voters were not changed");
                }
            });
        }
        if reign.changing.is_some() {
            return;
        }
        let standing = self.raft.standing();
        let candidates = self.candidates(&standing.matched, standing.last_index, now);
        let rested = reign.changed_voters.is_none_or(|at| now.saturating_duration_since(at) >= self.timing.rest);
        let (voters, learners) = (&standing.voters, &standing.learners);
        let change = autopilot::next_change(&candidates, voters, learners, self.timing.voters_max, rested);
        if let Some(change) = change {
            tracing::info!(?change, "changing who takes part in Raft");
            let raft = self.raft.clone();
            reign.changing = Some(tokio::spawn(async move { raft.change(change).await }));
        }
    }

    fn candidates(&self, matched: &BTreeMap<NodeId, u64>, last_index: u64, now: Instant) -> Vec<Candidate> {
        let (map, liveness) = (self.keeper.map(), self.liveness.lock());
        let may_vote = map.members.iter().filter(|(_, member)| member.about.role == Role::Voter);
        may_vote
            .map(|(node, member)| {
                let well_for = liveness.well_for(*node, now).filter(|_| member.state == MemberState::Up);
                Candidate {
                    node: *node,
                    peer: Peer { addresses: member.about.addresses.clone() },
                    zone: member.about.zone.clone(),
                    election_slot: member.election_slot,
                    stable: well_for.is_some_and(|well| well >= self.timing.stable),
                    lag: matched.get(node).map(|matched| last_index.saturating_sub(*matched)),
                }
            })
            .collect()
    }
}
