//! A room's relay on this node: takes each event once from the room's owner and hands it to every
//! session here that follows the room.
//!
//! One relay per room and node. It is an actor, but no session's delivery is an actor hop: the relay
//! calls each connection directly, with bytes that all of them share.
//!
//! # Invariants
//!
//! * A subscriber is handed strictly increasing seqs without a hole; a hole in what the owner sent is
//!   healed from the log before anything later is handed on.
//! * The answer to `subscribe` goes ahead of the first event, and events from the log ahead of live
//!   ones.
//! * After [`RelayMessage::Revoke`] is answered, nothing more reaches that user from here: a follower
//!   is judged when it arrives, and whoever takes a right away changes the facts before it revokes.
//! * The event that tells of a member's removal is the last of the room that reaches the member.

mod delivery;

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use hubbub_protocol::{
    event::EventClass,
    frame::Frame,
    ids::{RoomId, Seq, UserId},
    limits::{REPLAY_EVENTS_MAX, TYPING_EVERY_MS},
    op::{Intents, Mode},
    push::{Push, Subscribed},
    time::Timestamp,
};
use hubbub_storage::{ErrorChain, StoreError, StoredEvent};
use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort};
use tokio::sync::oneshot;

pub use self::delivery::Delivery;
use crate::{
    connection::Connection,
    context::{Context, Counters},
    directory::Access,
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
    /// People who follow the room here.
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
    /// Events read from the log to fill a hole.
    Healed(Result<Vec<StoredEvent>, StoreError>),
    /// Events read from the log for one who subscribes.
    Replayed { session: u64, read: Result<Vec<StoredEvent>, StoreError> },
    /// Hand nothing more to this user; answered when that is so.
    Revoke { user: UserId, done: oneshot::Sender<()> },
    /// Somebody is typing.
    Typing { user: UserId },
    /// Send the `typing` push that waits.
    FlushTyping,
    /// Send the `unread` pushes that wait.
    FlushUnread,
    /// Whether to end.
    EmptyCheck,
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
    /// Deliveries that wait for a hole to be filled.
    ahead: VecDeque<Delivery>,
    healing: bool,
    live: Vec<Follower>,
    /// How many live sessions each user has here.
    people: HashMap<UserId, u32>,
    unread: HashMap<u64, Unread>,
    unread_timer: bool,
    unread_sent_at: Timestamp,
    /// Followers before the owner has answered.
    waiting: Vec<Joining>,
    /// Followers whose past is being read.
    replaying: HashMap<u64, Joining>,
    typing: HashMap<UserId, Timestamp>,
    typing_timer: bool,
    empty_timer: bool,
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
            context,
            room,
            me,
            head: None,
            ring: VecDeque::new(),
            ahead: VecDeque::new(),
            healing: false,
            live: Vec::new(),
            people: HashMap::new(),
            unread: HashMap::new(),
            unread_timer: false,
            unread_sent_at: Timestamp(0),
            waiting: Vec::new(),
            replaying: HashMap::new(),
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
            RelayMessage::Watched { head } => state.watched(head),
            RelayMessage::Deliver(deliveries) => state.deliver(deliveries).await,
            RelayMessage::Healed(read) => state.healed(read).await,
            RelayMessage::Replayed { session, read } => state.replayed(session, read),
            RelayMessage::Revoke { user, done } => state.revoke(user, done),
            RelayMessage::Typing { user } => state.typing(user),
            RelayMessage::FlushTyping => state.flush_typing(),
            RelayMessage::FlushUnread => state.flush_unread(),
            RelayMessage::EmptyCheck => state.empty_check(&me),
            RelayMessage::Observe(reply) => drop(reply.send(state.status())),
        }
        Ok(())
    }
}

impl RelayState {
    fn follow(&mut self, joining: Joining) {
        self.forget(joining.follower.session);
        // Asked here, not before: a right that is taken away from now on is followed by a `Revoke`.
        if self.context.directory.still(&joining.follower.access, joining.follower.user).is_none() {
            self.rest();
            return;
        }
        let Some(head) = self.head else {
            self.waiting.push(joining);
            return;
        };
        let (Some(after), Mode::Live) = (joining.after, joining.follower.mode) else {
            self.admit(joining, head, None);
            return;
        };
        if after > head || head.0 - after.0 > REPLAY_EVENTS_MAX {
            self.admit(joining, head, None);
        } else if after == head || self.ring.front().is_some_and(|oldest| oldest.seq <= after.next()) {
            self.admit(joining, head, Some(Vec::new()));
        } else {
            self.read_past(joining, after);
        }
    }

    /// Reads what a follower missed; live events meanwhile wait in the ring.
    fn read_past(&mut self, joining: Joining, after: Seq) {
        let (context, room, me) = (self.context.clone(), self.room, self.me.clone());
        let session = joining.follower.session;
        self.replaying.insert(session, joining);
        tokio::spawn(async move {
            let limit = usize::try_from(REPLAY_EVENTS_MAX).unwrap_or(usize::MAX);
            let read = context.store.events(room, after, limit).await;
            let _ = me.cast(RelayMessage::Replayed { session, read });
        });
    }

    fn replayed(&mut self, session: u64, read: Result<Vec<StoredEvent>, StoreError>) {
        let (Some(joining), Some(head)) = (self.replaying.remove(&session), self.head) else {
            return;
        };
        match read {
            Ok(events) => {
                let past: Vec<Delivery> =
                    events.iter().filter(|event| event.seq <= head).map(Delivery::stored).collect();
                self.admit(joining, head, Some(past));
            }
            Err(error) => {
                tracing::warn!(room.id = %self.room, error = %ErrorChain(&error), "could not read what a follower missed");
                self.admit(joining, head, None);
            }
        }
    }

    /// Answers, sends the past and lets the follower in. `past` holds the events after `after` that
    /// are older than the ring; `None` means that what was missed is left out.
    fn admit(&mut self, joining: Joining, head: Seq, past: Option<Vec<Delivery>>) {
        let Joining { follower, after, reply, .. } = joining;
        let replay = match (after, past) {
            (Some(after), Some(past)) if follower.mode == Mode::Live => self.stretch(after, head, past),
            (Some(after), _) if follower.mode == Mode::Live && after != head => None,
            _ => Some(Vec::new()),
        };
        let online = self.people.len() as u64 + u64::from(!self.people.contains_key(&follower.user));
        let events = replay.as_ref().map_or(0, |events| events.len() as u64);
        reply(Subscription { head, online, replay: events, gap: replay.is_none() });
        for delivery in replay.into_iter().flatten() {
            if wants(&follower, &delivery) {
                follower.connection.replay(self.room, delivery.seq, &delivery.frame);
            }
        }
        match follower.mode {
            Mode::Live => {
                *self.people.entry(follower.user).or_default() += 1;
                self.live.push(*follower);
            }
            Mode::Unread => drop(self.unread.insert(follower.session, Unread { follower, told: head })),
        }
    }

    /// The events after `after` up to `head`, from what was read and the ring; `None` when they do
    /// not join up.
    fn stretch(&self, after: Seq, head: Seq, mut past: Vec<Delivery>) -> Option<Vec<Delivery>> {
        let mut next = past.last().map_or(after, |last| last.seq).next();
        for delivery in &self.ring {
            if delivery.seq == next {
                past.push(delivery.clone());
                next = next.next();
            }
        }
        (next == head.next()).then_some(past)
    }

    fn unfollow(&mut self, session: u64) {
        self.forget(session);
        self.rest();
    }

    fn forget(&mut self, session: u64) {
        if let Some(at) = self.live.iter().position(|follower| follower.session == session) {
            let gone = self.live.swap_remove(at);
            if let Some(sessions) = self.people.get_mut(&gone.user) {
                *sessions -= 1;
                if *sessions == 0 {
                    self.people.remove(&gone.user);
                }
            }
        }
        self.unread.remove(&session);
        self.waiting.retain(|joining| joining.follower.session != session);
        self.replaying.remove(&session);
    }

    fn rest(&mut self) {
        if self.is_empty() && !self.empty_timer {
            self.empty_timer = true;
            self.me.send_after(EMPTY_FOR, || RelayMessage::EmptyCheck);
        }
    }

    fn is_empty(&self) -> bool {
        self.live.is_empty() && self.unread.is_empty() && self.waiting.is_empty() && self.replaying.is_empty()
    }

    fn empty_check(&mut self, me: &ActorRef<RelayMessage>) {
        self.empty_timer = false;
        if self.is_empty() && self.context.slots.retire_relay(self.room) {
            me.stop(Some("nobody follows".into()));
        }
    }

    fn watched(&mut self, head: Seq) {
        match self.head {
            None => {
                self.head = Some(head);
                for joining in std::mem::take(&mut self.waiting) {
                    self.follow(joining);
                }
            }
            // The owner was started anew: what it stored before it died may not have reached us.
            Some(known) if head > known => self.heal(),
            Some(_) => {}
        }
    }

    async fn deliver(&mut self, deliveries: Vec<Delivery>) {
        self.ahead.extend(deliveries);
        self.hand_on().await;
        if !self.ahead.is_empty() {
            self.heal();
        }
    }

    /// Hands on all that joins up with what was handed on before.
    async fn hand_on(&mut self) {
        while let (Some(head), Some(next)) = (self.head, self.ahead.front()) {
            if next.seq > head.next() {
                break;
            }
            let Some(delivery) = self.ahead.pop_front() else {
                break;
            };
            if delivery.seq == head.next() {
                self.fan_out(delivery).await;
            }
        }
    }

    async fn fan_out(&mut self, delivery: Delivery) {
        self.head = Some(delivery.seq);
        for (at, follower) in self.live.iter().enumerate() {
            self.hand(follower, &delivery);
            if at % FAN_OUT_SLICE == FAN_OUT_SLICE - 1 {
                tokio::task::yield_now().await;
            }
        }
        Counters::add(&self.context.counters.delivered, self.live.len() as u64);
        if let Some(event) = &delivery.mentions {
            let followers = self.live.iter().chain(self.unread.values().map(|unread| &*unread.follower));
            for user in followers.map(|follower| follower.user).filter(|user| *user != event.by) {
                self.context.markers.mentioned(user, self.room, event.seq);
            }
        }
        if let Some(user) = delivery.gone
            && !self.context.directory.known_to_administer(user, self.room)
        {
            self.let_go(user);
        }
        self.ring.push_back(delivery);
        if self.ring.len() > RING_MAX {
            self.ring.pop_front();
        }
        if !self.unread.is_empty() {
            self.unread_soon();
        }
    }

    fn hand(&self, follower: &Follower, delivery: &Delivery) {
        if wants(follower, delivery) {
            follower.connection.event(self.room, delivery.seq, &delivery.frame);
        }
    }

    fn heal(&mut self) {
        let Some(head) = self.head else { return };
        if std::mem::replace(&mut self.healing, true) {
            return;
        }
        let (context, room, me) = (self.context.clone(), self.room, self.me.clone());
        tokio::spawn(async move {
            let read = context.store.events(room, head, HEAL_EVENTS).await;
            if read.is_err() {
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
            let _ = me.cast(RelayMessage::Healed(read));
        });
    }

    async fn healed(&mut self, read: Result<Vec<StoredEvent>, StoreError>) {
        self.healing = false;
        let more = match read {
            Ok(events) => {
                for event in &events {
                    if self.head.is_some_and(|head| event.seq == head.next()) {
                        self.fan_out(Delivery::stored(event)).await;
                    }
                }
                events.len() == HEAL_EVENTS
            }
            Err(error) => {
                tracing::warn!(room.id = %self.room, error = %ErrorChain(&error), "could not fill a hole from the log");
                true
            }
        };
        self.hand_on().await;
        if more || !self.ahead.is_empty() {
            self.heal();
        }
    }

    fn revoke(&mut self, user: UserId, done: oneshot::Sender<()>) {
        self.let_go(user);
        let _: Result<(), ()> = done.send(());
    }

    /// Forgets every follower of a user.
    fn let_go(&mut self, user: UserId) {
        let gone = |follower: &Follower| follower.user == user;
        self.live.retain(|follower| !gone(follower));
        self.people.remove(&user);
        self.unread.retain(|_, unread| !gone(&unread.follower));
        self.waiting.retain(|joining| !gone(&joining.follower));
        self.replaying.retain(|_, joining| !gone(&joining.follower));
        self.typing.remove(&user);
        self.rest();
    }

    fn typing(&mut self, user: UserId) {
        let now = self.context.now();
        let again = self.typing.get(&user).is_some_and(|at| now.ms_since(*at) < TYPING_EVERY_MS);
        if again || self.live.len() > TYPING_FOLLOWERS_MAX {
            return;
        }
        self.typing.insert(user, now);
        if !std::mem::replace(&mut self.typing_timer, true) {
            self.push_typing();
            self.me.send_after(TYPING_PUSH_EVERY, || RelayMessage::FlushTyping);
        }
    }

    fn flush_typing(&mut self) {
        if std::mem::take(&mut self.typing_timer) && self.typing.len() > 1 {
            self.push_typing();
        }
    }

    fn push_typing(&mut self) {
        let now = self.context.now();
        self.typing.retain(|_, at| now.ms_since(*at) < TYPING_FOR_MS);
        let mut users: Vec<UserId> = self.typing.keys().copied().collect();
        users.sort_unstable_by_key(|user| std::cmp::Reverse(self.typing.get(user).copied()));
        let more = users.len().saturating_sub(3) as u64;
        users.truncate(3);
        if users.is_empty() {
            return;
        }
        let frame = Arc::new(Frame::of(&Push::Typing { room: self.room, users, more }));
        for follower in self.live.iter().filter(|follower| follower.intents.has(Intents::TYPING)) {
            follower.connection.ephemeral(&frame);
        }
    }

    fn unread_soon(&mut self) {
        if self.unread_timer {
            return;
        }
        let since_ms = self.context.now().ms_since(self.unread_sent_at);
        let wait = UNREAD_EVERY.saturating_sub(Duration::from_millis(since_ms));
        if wait.is_zero() {
            self.flush_unread();
        } else {
            self.unread_timer = true;
            self.me.send_after(wait, || RelayMessage::FlushUnread);
        }
    }

    fn flush_unread(&mut self) {
        self.unread_timer = false;
        self.unread_sent_at = self.context.now();
        let Some(head) = self.head else { return };
        for unread in self.unread.values_mut().filter(|unread| unread.told < head) {
            unread.told = head;
            let follower = &unread.follower;
            if follower.intents.has(Intents::UNREAD) {
                let (_, mentions) = self.context.markers.of(follower.user, self.room);
                let push = Push::Unread { room: self.room, head, mentions };
                follower.connection.ephemeral(&Arc::new(Frame::of(&push)));
            }
        }
    }

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
