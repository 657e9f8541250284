//! This node's signs of life: it registers its start, beats to the leader, and pings its peers.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use hubbub_protocol::{ids::NodeId, peer::Envelope};
use tokio::{sync::Semaphore, time::Instant};

use super::{
    core::{Core, Report},
    incarnation,
    propose::CONTROL,
    wire::{Heartbeat, HeartbeatAnswer},
};
use crate::control::{Answer, Command, MemberState, Refusal};

/// How long an answer to a heartbeat may take: four rounds of confirming. Later ones hold little.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);
/// Heartbeats that wait for their answer: four at the usual pace, and three times as many with news, so that those to a
/// dead leader do not hold up the first to the next one.
const BEATS_MAX: usize = 16;
/// Pause before a start that was not accepted is registered again.
const REGISTER_AGAIN: Duration = Duration::from_millis(200);

impl Core {
    /// Makes this start known, and returns when the map names it. Before that this node is given no epochs.
    pub(super) async fn register(self: &Arc<Self>) {
        loop {
            let command = Command::Register {
                node: self.me,
                incarnation: self.incarnation(),
                addresses: self.addresses.clone(),
                versions: self.versions,
            };
            match self.propose(command).await {
                Ok(Answer::Refused(Refusal::OldIncarnation { incarnation, .. })) => {
                    self.start_later(incarnation).await
                }
                Ok(Answer::Refused(refusal @ Refusal::NoSuchNode(_))) => {
                    // The facts of a leader that has just begun may be behind our own join: keep trying.
                    tracing::error!(node.id = %self.me, %refusal, "the cluster does not know this node");
                    self.superseded.store(true, Ordering::Relaxed);
                }
                Ok(Answer::Refused(refusal)) => {
                    tracing::error!(node.id = %self.me, %refusal, "the cluster does not take this node back");
                }
                Ok(_) => {
                    self.superseded.store(false, Ordering::Relaxed);
                    self.beat_now.notify_one();
                    return;
                }
                Err(error) => tracing::debug!(%error, "this start is not registered yet"),
            }
            tokio::time::sleep(REGISTER_AGAIN).await;
        }
    }

    /// The counter on disk was lost: go on above what the cluster knows.
    async fn start_later(self: &Arc<Self>, known: u64) {
        let directory = self.directory.clone();
        let next = tokio::task::spawn_blocking(move || incarnation::next(&directory, known + 1)).await;
        match next {
            Ok(Ok(next)) => self.incarnation.store(next, Ordering::Relaxed),
            Ok(Err(error)) => tracing::error!(%error, "the number of this start cannot be written"),
            Err(error) => tracing::error!(%error, "writing the number of this start panicked"),
        }
    }

    /// Beats to the leader until the end, at once when there is news.
    pub(super) async fn beat(self: Arc<Self>) {
        self.register().await;
        let mut unreachable = Vec::new();
        let mut every = tokio::time::interval(self.timing.heartbeat_every);
        every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut looks = tokio::time::interval(self.timing.ping_every / 3);
        looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let (mut sent_to, under_way) = (None, Arc::new(Semaphore::new(BEATS_MAX)));
        loop {
            tokio::select! {
                _ = every.tick() => {}
                () = self.beat_now.notified() => {}
                _ = looks.tick() => {
                    let (now, leader) = (self.reach.unreachable(self.timing.peer_silent), self.leads().leader);
                    if now == unreachable && (leader.is_none() || leader == sent_to) {
                        continue;
                    }
                }
            }
            unreachable = self.reach.unreachable(self.timing.peer_silent);
            sent_to = self.leads().leader;
            if let Some(leader) = sent_to {
                let Ok(permit) = under_way.clone().try_acquire_owned() else { continue };
                let core = self.clone();
                self.tell_costs(leader);
                let Report { storage_ok, load } = *self.report.lock();
                let beat = Heartbeat {
                    incarnation: self.incarnation(),
                    map_version: self.keeper.version(),
                    storage_ok,
                    unreachable: unreachable.clone(),
                    load,
                };
                // On its own, so that one answer that is late does not delay the next beat.
                tokio::spawn(async move {
                    let _permit = permit;
                    core.beat_once(leader, beat).await;
                });
            }
        }
    }

    async fn beat_once(self: Arc<Self>, leader: NodeId, beat: Heartbeat) {
        let (sent_ms, incarnation) = (self.lease.clock.now_ms(), beat.incarnation);
        let answer = if leader == self.me {
            self.hear_heartbeat(self.me, beat).await
        } else {
            let Ok(envelope) = Envelope::pack(self.keeper.version(), &beat) else { return };
            let Ok(answer) = self.transport.ask(leader, CONTROL, envelope, ANSWER_WITHIN).await else { return };
            let Ok(answer) = answer.open::<HeartbeatAnswer>() else { return };
            answer
        };
        match answer {
            HeartbeatAnswer::Confirmed { map_version, group } => {
                *self.told_group.lock() = group;
                self.lease.extend(sent_ms, self.timing.lease);
                if map_version > self.keeper.version() {
                    self.wants_map(leader, map_version);
                }
            }
            HeartbeatAnswer::NotLeader(leads) => self.hear_leads(leads),
            HeartbeatAnswer::OtherIncarnation { incarnation: known } if known > incarnation => {
                if !self.superseded.swap(true, Ordering::Relaxed) {
                    tracing::error!(node.id = %self.me, "another process runs under the number of this node: end one");
                }
            }
            HeartbeatAnswer::OtherIncarnation { .. } | HeartbeatAnswer::Stranger => {
                tracing::debug!("the leader does not know this start yet");
            }
        }
    }

    /// Pings all peers until the end, and notices when this process slept.
    pub(super) async fn ping(self: Arc<Self>) {
        let every = self.timing.ping_every;
        let mut last = Instant::now();
        loop {
            self.ping_all();
            tokio::time::sleep(every).await;
            let now = Instant::now();
            if now - last > every + self.timing.peer_silent / 2 {
                tracing::warn!(slept_ms = (now - last).as_millis(), "this process was stopped for a while");
                self.reach.forgive();
            }
            last = now;
        }
    }

    /// Members that should be heard: all others that are not down.
    pub(super) fn listen(&self) {
        let map = self.keeper.map();
        let there = map.members.iter().filter(|(_, member)| member.state != MemberState::Down);
        self.reach.listen_for(there.map(|(node, _)| *node).filter(|node| *node != self.me));
    }
}
