//! A room's relay on this node: takes each event once from the room's owner and hands it to every
//! session here that follows the room.
//!
//! One relay per room and node; the owner may be on another node. It is an actor, but no session's delivery is an actor hop: the relay
//! calls each connection directly, with bytes that all of them share.
//!
//! # Invariants
//!
//! * A subscriber is handed strictly increasing seqs without a hole; a hole in what the owner sent is
//!   healed from the log before anything later is handed on.
//! * A client is told that the log goes back only if the store says so: a relay that has not heard all yet catches up
//!   first.
//! * The answer to `subscribe` goes ahead of the first event, and events from the log ahead of live
//!   ones.
//! * After [`RelayMessage::Revoke`] is answered, nothing more reaches that user from here: a follower
//!   is judged when it arrives, and whoever takes a right away changes the facts before it revokes.
//! * The event that tells of a member's removal is the last of the room that reaches the member.

mod delivery;
mod fan_out;
mod following;
mod people;
mod telling;
mod warming;

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use hubbub_protocol::{
    event::EventClass,
    ids::{RoomId, Seq, UserId},
    op::{Intents, Mode},
    push::Subscribed,
    time::Timestamp,
};
use hubbub_storage::{StoreError, StoredEvent};
use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort};
use tokio::sync::oneshot;

pub use self::delivery::Delivery;
use crate::{
    connection::Connection,
    context::{Context, Counters},
    directory::Access,
    hot::Tab,
    slots::Permit,
};

/// Events kept for those who subscribe or heal: a few minutes of a busy room, about 100 KB.
const RING_MAX: usize = 256;
/// Longest time between two `unread` pushes of a room to one session.
const UNREAD_EVERY: Duration = Duration::from_secs(5);
/// Shortest time between two `typing` pushes of a room.
const TYPING_PUSH_EVERY: Duration = Duration::from_millis(500);
/// How long somebody counts as typing after saying so.
const TYPING_FOR_MS: u64 = 6_000;
/// Followers beyond which nobody is told who types.
const TYPING_FOLLOWERS_MAX: usize = 1_000;
/// How long a relay nobody follows stays.
const EMPTY_FOR: Duration = Duration::from_secs(10);
/// Events read from the log at once when healing.
const HEAL_EVENTS: usize = 1_000;
/// Sessions handed an event before other tasks of the thread get their turn: about 1 ms of writes.
const FAN_OUT_SLICE: usize = 256;

/// A session that follows a room.
#[derive(Debug, Clone)]
pub struct Follower {
    /// The session's raw id.
    pub session: u64,
    /// Whose it is.
    pub user: UserId,
    /// The rights by which it follows.
    pub access: Access,
    /// Where events go.
    pub connection: Arc<dyn Connection>,
    /// How it follows.
    pub mode: Mode,
    /// What it wants to be sent.
    pub intents: Intents,
}

/// What a subscriber is told, as far as its session knows it.
pub type Reply = Box<dyn FnOnce(Subscription) + Send>;

/// What the relay knows of a subscription that has just begun.
#[derive(Debug, Clone, Copy)]
pub struct Subscription {
    /// The room's newest seq.
    pub head: Seq,
    /// People who follow the room, on all nodes; who does on two of them counts twice.
    pub online: u64,
    /// Events that follow, when `after` was given.
    pub replay: u64,
    /// Whether events are left out.
    pub gap: bool,
}

impl Subscription {
    /// The answer to `subscribe`.
    #[must_use]
    pub const fn answer(
        self,
        read: Seq,
        permissions: hubbub_protocol::permissions::Permissions,
        members: u64,
    ) -> Subscribed {
        Subscribed { head: self.head, read, permissions, members, online: self.online, gap: self.gap }
    }
}

/// The mailbox of a relay.
pub enum RelayMessage {
    /// Somebody wants to follow; `reply` is called ahead of the first event.
    Follow(Permit, Box<Follower>, Option<Seq>, Reply),
    /// Somebody stops following.
    Unfollow { session: u64 },
    /// The room's owner has `head` on disk, and sends all that comes after.
    Watched { head: Seq },
    /// Events that are on disk, in order.
    Deliver(Vec<Delivery>),
    /// The newest events were read by way of the cache, or the cache did not help.
    Warmed(Option<Vec<(Seq, Bytes)>>),
    /// Events read from the log to fill a hole.
    Healed(Result<Vec<StoredEvent>, StoreError>),
    /// Events after `after`, read from the log for those who subscribe and know what came before.
    Replayed { after: Seq, read: Result<Vec<StoredEvent>, StoreError> },
    /// The newest seq on disk was read for one who knows more than the relay has heard of.
    HeadRead { session: u64, read: Result<Seq, StoreError> },
    /// Hand nothing more to this user; answered when that is so.
    Revoke { user: UserId, done: oneshot::Sender<()> },
    /// So many people follow on other nodes; with what the room's owner knows of this one, if that was told.
    Elsewhere { people: u64, reported: Option<u64> },
    /// The room's owner on another node is being asked: what it tells meanwhile is newer than its answer.
    AskingOwner,
    /// Tell the room's owner how many people follow here.
    ReportPeople,
    /// Somebody is typing.
    Typing { user: UserId },
    /// Send the `typing` push that waits.
    FlushTyping,
    /// Send the `unread` pushes that wait.
    FlushUnread,
    /// Tell what the room cost.
    TellCost,
    /// Whether to end.
    EmptyCheck,
    /// Judge every follower anew, by facts read now, and `then` go on to this seq.
    Judge { then: Option<Seq> },
    /// Tells how the relay stands.
    Observe(RpcReplyPort<RelayStatus>),
}

impl std::fmt::Debug for RelayMessage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RelayMessage")
    }
}

impl std::fmt::Debug for RelayState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RelayState").field("room", &self.room).field("head", &self.head).finish_non_exhaustive()
    }
}

/// How a relay stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RelayStatus {
    /// The newest seq handed on.
    pub head: Seq,
    /// Sessions that are sent events.
    pub live: usize,
    /// Sessions that are sent counts.
    pub unread: usize,
}

/// See the module.
#[derive(Debug)]
pub struct RelayActor;

struct Joining {
    _permit: Permit,
    follower: Box<Follower>,
    after: Option<Seq>,
    reply: Reply,
}

struct Unread {
    follower: Box<Follower>,
    told: Seq,
}

/// The state of a relay.
pub struct RelayState {
    context: Arc<Context>,
    room: RoomId,
    me: ActorRef<RelayMessage>,
    /// The newest seq handed on; none until the owner has told where its stretch begins.
    head: Option<Seq>,
    ring: VecDeque<Delivery>,
    /// The head that the owner told and, if it has told another since, that; while the ring is being filled.
    warming: Option<(Seq, Seq)>,
    /// Deliveries that wait for a hole to be filled.
    ahead: VecDeque<Delivery>,
    healing: bool,
    live: Vec<Follower>,
    /// How many live sessions each user has here.
    people: HashMap<UserId, u32>,
    /// Whether the owner has told how many follow elsewhere since it was asked last.
    told_meanwhile: bool,
    /// How many people follow on other nodes, as the owner there says.
    elsewhere: u64,
    /// How many people follow here, as counted last, and as the owner on another node knows.
    counted: u64,
    reported: u64,
    people_timer: bool,
    /// How many sessions follow here, as counted last.
    followed: u64,
    unread: HashMap<u64, Unread>,
    unread_timer: bool,
    unread_sent_at: Timestamp,
    /// Followers before the owner has answered.
    waiting: Vec<Joining>,
    /// Followers who know of more than the relay has handed on.
    early: HashMap<u64, Joining>,
    /// Followers whose past is being read.
    replaying: HashMap<u64, Joining>,
    /// From where on the log is being read for them.
    reading: BTreeSet<Seq>,
    typing: HashMap<UserId, Timestamp>,
    typing_timer: bool,
    empty_timer: bool,
    tab: Tab,
}

impl Actor for RelayActor {
    type Msg = RelayMessage;
    type State = RelayState;
    type Arguments = (Arc<Context>, RoomId);

    async fn pre_start(
        &self,
        me: ActorRef<RelayMessage>,
        (context, room): Self::Arguments,
    ) -> Result<RelayState, ActorProcessingErr> {
        crate::room::handle::watch(&context, room, me.clone());
        Ok(RelayState {
            tab: Tab::new(&context.hot, room),
            context,
            room,
            me,
            head: None,
            ring: VecDeque::new(),
            warming: None,
            ahead: VecDeque::new(),
            healing: false,
            live: Vec::new(),
            people: HashMap::new(),
            elsewhere: 0,
            counted: 0,
            reported: 0,
            people_timer: false,
            followed: 0,
            told_meanwhile: false,
            unread: HashMap::new(),
            unread_timer: false,
            unread_sent_at: Timestamp(0),
            waiting: Vec::new(),
            early: HashMap::new(),
            replaying: HashMap::new(),
            reading: BTreeSet::new(),
            typing: HashMap::new(),
            typing_timer: false,
            empty_timer: false,
        })
    }

    async fn handle(
        &self,
        me: ActorRef<RelayMessage>,
        message: RelayMessage,
        state: &mut RelayState,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            RelayMessage::Follow(permit, follower, after, reply) => {
                state.follow(Joining { _permit: permit, follower, after, reply });
            }
            RelayMessage::Unfollow { session } => state.unfollow(session),
            RelayMessage::Watched { head } => state.watched(head).await,
            RelayMessage::Deliver(deliveries) => state.deliver(deliveries).await,
            RelayMessage::Warmed(read) => state.warmed(read).await,
            RelayMessage::Healed(read) => state.healed(read).await,
            RelayMessage::Replayed { after, read } => state.replayed(after, read),
            RelayMessage::HeadRead { session, read } => state.head_read(session, read).await,
            RelayMessage::Revoke { user, done } => state.revoke(user, done),
            RelayMessage::Elsewhere { people, reported } => state.elsewhere(people, reported),
            RelayMessage::AskingOwner => state.told_meanwhile = false,
            RelayMessage::ReportPeople => state.report_people(),
            RelayMessage::Typing { user } => state.typing(user),
            RelayMessage::FlushTyping => state.flush_typing(),
            RelayMessage::FlushUnread => state.flush_unread(),
            RelayMessage::TellCost => state.tab.time_has_come(),
            RelayMessage::EmptyCheck => state.empty_check(&me),
            RelayMessage::Judge { then } => state.judge(then),
            RelayMessage::Observe(reply) => drop(reply.send(state.status())),
        }
        state.count_people();
        Ok(())
    }
}

impl RelayState {
    fn status(&self) -> RelayStatus {
        RelayStatus { head: self.head.unwrap_or_default(), live: self.live.len(), unread: self.unread.len() }
    }
}

fn wants(follower: &Follower, delivery: &Delivery) -> bool {
    follower.intents.has(match delivery.class {
        EventClass::Messages => Intents::MESSAGES,
        EventClass::Reactions => Intents::REACTIONS,
        EventClass::Members => Intents::MEMBERS,
    })
}

impl Drop for RelayState {
    /// A relay that dies leaves its followers to its successor, with the seq they have got to.
    fn drop(&mut self) {
        Counters::change(&self.context.counters.subscriptions, self.followed, 0);
        let Some(head) = self.head else { return };
        let live = self.live.drain(..).map(Box::new);
        let followers: Vec<_> = live.chain(self.unread.drain().map(|(_, unread)| unread.follower)).collect();
        if !followers.is_empty() {
            self.context.orphans.lock().push((self.room, head, followers));
        }
    }
}

#[cfg(test)]
mod tests;
