//! What must be forgotten, and who must be let go of, on every node before a change is answered.
//!
//! A node that a change cannot be told to is gone, or cut off. One that is cut off finds its links broken within 4 s,
//! and from then on believes no fact for longer than [`DISTRUST_EVERY`]: it forgets all it knows and judges its
//! followers anew, until every link stands again, and twice more. So no right outlives its end by more than 6 s.

use std::{
    collections::HashSet,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use hubbub_protocol::{
    error::ErrorCode,
    ids::{CommunityId, NodeId, RoomId, Seq, UserId},
};
use ractor::ActorRef;
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use super::{
    following,
    wire::{Changed, Done, Here, LetGo, WhoIsHere},
};
use crate::{
    context::Context,
    relay::RelayMessage,
    room::{RoomMessage, core::Rules},
    session::SessionMessage,
};

/// How long a node that is cut off from another believes what it has read: with the 4 s after which a silent link is
/// broken, no right outlives its end by more than 6 s.
const DISTRUST_EVERY: Duration = Duration::from_secs(2);
/// How often after a link has changed: what happened while it was broken was told to nobody here, and the far end may
/// find the new link some moments later than this one, so once is too little.
const DISTRUSTED_AFTER: u32 = 2;
/// Followers judged anew at the same time while a link is broken, so that other reads get their turn.
pub(crate) const JUDGED_AT_ONCE: usize = 8;

/// A fact that has changed in the store. New variants go to the end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fact {
    /// A room's facts, and the list of its community's rooms.
    Room { room: RoomId, community: Option<CommunityId> },
    /// What a room allows.
    Rules { room: RoomId, archived: bool, slow_mode_s: u32 },
    /// A community's.
    Community(CommunityId),
    /// An account's.
    User(UserId),
    /// A membership of a community.
    Member { community: CommunityId, user: UserId },
    /// A membership of a room.
    RoomMember { room: RoomId, user: UserId },
    /// A user's memberships of the rooms of a community that was left.
    RoomsOfMember { rooms: Vec<RoomId>, user: UserId },
}

impl Context {
    /// Forgets facts that have changed, here and on every other node; returns once nobody acts on the old ones.
    pub async fn changed(&self, facts: Vec<Fact>) {
        self.forget(&facts);
        self.peers.ask_all::<Done>(&Changed { facts }).await;
    }

    /// Forgets facts here.
    pub(crate) fn forget(&self, facts: &[Fact]) {
        let directory = &self.directory;
        for fact in facts {
            match fact {
                Fact::Room { room, community } => directory.forget_room(*room, *community),
                Fact::Rules { room, archived, slow_mode_s } => {
                    let rules = Rules { archived: *archived, slow_mode_s: *slow_mode_s };
                    self.slots.with_room(*room, |actor| actor.cast(RoomMessage::Rules(rules)).is_ok());
                }
                Fact::Community(community) => directory.forget_community(*community),
                Fact::User(user) => directory.forget_user(*user),
                Fact::Member { community, user } => directory.forget_member(*community, *user),
                Fact::RoomMember { room, user } => directory.forget_room_member(*room, *user),
                Fact::RoomsOfMember { rooms, user } => directory.forget_rooms_of_member(rooms, *user),
            }
        }
    }

    /// Makes sure that nothing more of `rooms` reaches `users`, on any node: to be called after the facts say so.
    pub async fn let_go(self: &Arc<Self>, users: Vec<UserId>, rooms: Vec<RoomId>, community: Option<CommunityId>) {
        if users.is_empty() {
            return;
        }
        let told = LetGo { users, rooms, community };
        let (_, _) = tokio::join!(self.let_go_here(&told), self.peers.ask_all::<Done>(&told));
    }

    /// Returns once every relay here has let go of the users and every append accepted before is settled, so that
    /// what is committed from now on is judged by the new facts.
    pub(crate) async fn let_go_here(self: &Arc<Self>, LetGo { users, rooms, community }: &LetGo) {
        for lane in &self.lanes {
            lane.barrier().await;
        }
        for room in rooms {
            let mut waits = Vec::with_capacity(users.len());
            self.slots.with_relay(*room, |relay| {
                for user in users {
                    let (done, wait) = oneshot::channel();
                    if relay.cast(RelayMessage::Revoke { user: *user, done }).is_ok() {
                        waits.push(wait);
                    }
                }
            });
            for wait in waits {
                // A relay that dies meanwhile hands its followers on, and they are judged anew then.
                let _ = wait.await;
            }
        }
        for user in users {
            self.sessions
                .to_user(self, *user, || SessionMessage::Revoked { rooms: rooms.clone(), community: *community });
        }
    }

    /// Users with a session on any node; with a community, its members among them.
    pub(crate) async fn users_everywhere(&self, community: Option<CommunityId>) -> Vec<UserId> {
        let question = WhoIsHere { community };
        let (mut users, others) = tokio::join!(self.users_here(community), self.peers.ask_all::<Here>(&question));
        users.extend(others.into_iter().flat_map(|(_, here)| here.users).map(UserId::from_raw));
        users.sort_unstable();
        users.dedup();
        users
    }

    /// Users with a session here; with a community, its members among them, as far as the store can be asked.
    pub(crate) async fn users_here(&self, community: Option<CommunityId>) -> Vec<UserId> {
        let users = self.sessions.users();
        let Some(community) = community else { return users };
        self.directory.read_ahead(&users).await;
        let mut members = Vec::new();
        for user in users {
            if let Ok(Some(_)) = self.directory.member(community, user).await {
                members.push(user);
            }
        }
        members
    }
}

/// Judges the followers of a relay anew, by facts read now, and takes those out that have lost the right; `then` tells
/// the relay of a newer seq in the log.
pub(crate) async fn judge(
    context: Arc<Context>,
    room: RoomId,
    users: Vec<UserId>,
    relay: ActorRef<RelayMessage>,
    then: Option<Seq>,
) {
    context.directory.read_ahead(&users).await;
    for user in users {
        let Ok(_turn) = context.judging.acquire().await else { return };
        let judged = context.directory.access(user, room).await;
        if judged.is_err_and(|refusal| refusal.code != ErrorCode::Unavailable) {
            let (done, _) = oneshot::channel();
            let _ = relay.cast(RelayMessage::Revoke { user, done });
            context
                .sessions
                .to_user(&context, user, || SessionMessage::Revoked { rooms: vec![room], community: None });
        }
    }
    if let Some(head) = then {
        let _ = relay.cast(RelayMessage::Watched { head });
    }
}

/// While any member that is not down cannot be reached, and for a while after: forgets every fact again and again.
pub(crate) async fn distrust(context: Arc<Context>) {
    loop {
        tokio::time::sleep(DISTRUST_EVERY).await;
        let left = context.distrusted.load(Ordering::Acquire);
        if context.cut_off.lock().is_empty() && left == 0 {
            continue;
        }
        // A link that changes meanwhile begins anew.
        let less = left.saturating_sub(1);
        let _ = context.distrusted.compare_exchange(left, less, Ordering::AcqRel, Ordering::Acquire);
        context.directory.forget_everything();
        let relays = context.slots.relays();
        // Read before anybody is judged: whoever was removed before the head was stored is let go of ahead of it.
        let heads = following::heads_of_the_unreachable(&context, &relays).await;
        for (room, relay) in relays {
            let _ = relay.cast(RelayMessage::Judge { then: heads.get(&room).copied() });
        }
    }
}

/// A link is new or broken: what was told meanwhile may have been missed.
pub(crate) fn distrust_for_a_while(context: &Context) {
    context.distrusted.store(DISTRUSTED_AFTER, Ordering::Release);
}

/// Nodes whose link is broken, of those that are members and not down.
pub(crate) type CutOff = HashSet<NodeId>;
