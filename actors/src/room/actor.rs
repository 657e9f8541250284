//! Runs one room: mailbox → rules → appender → relay.
//!
//! The rules are in [`super::core`] and [`super::change`]; this file moves data between them and the
//! world. A handler never waits for the store: what must be read is read by a task that reports back.
//!
//! # Order of effects
//!
//! decide → hand in to the appender → committed → deliver → answer. A subscriber never sees an event
//! that a restart could lose, and an author who has an answer has a stored message.
//!
//! # Failure
//!
//! A refusal is an answer, and the actor carries on. A failed append ends the actor with an error: its
//! state ran ahead of the disk. All that waited is answered `unavailable`; the shard starts a
//! successor when the next message comes, which loads once everything handed in before is settled;
//! the authors' repeats carry the same keys, so none can post twice.

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use hubbub_protocol::{
    error::Refusal,
    event::{Event, EventBody},
    frame::Frame,
    ids::{RoomId, Seq, UserId},
    message::MessageState,
    rest::{Changed, Sent, Thread},
    time::Timestamp,
};
use hubbub_storage::{Effect, RecentKey, StoreError};
use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort};

use super::{
    RoomRef,
    change::{self, Verdict},
    core::{Decision, RoomCore, Rules},
    keys::{KEYS_MAX, KeyWindow},
    post::{Archived, Change, NewPost},
};
use crate::{
    answer::{Answer, busy, unavailable},
    caller::Caller,
    context::Context,
    directory::Access,
    lane::Append,
    relay::{Delivery, RelayMessage},
    slots::Permit,
};

/// Messages whose state is kept for changes; a page of history that everyone reacts to.
const TARGETS_MAX: usize = 256;
/// How often an idle room asks itself whether to leave memory.
const IDLE_CHECK: Duration = Duration::from_secs(60);

/// What is asked of a room. Each is answered once it is on disk, or refused.
#[derive(Debug)]
pub enum Ask {
    /// Send a message.
    Post { caller: Caller, access: Access, post: NewPost, answer: Answer<Sent> },
    /// Change a message.
    Change { caller: Caller, access: Access, seq: Seq, change: Change, answer: Answer<Changed> },
    /// Begin a thread at a message, or find it.
    Thread {
        access: Access,
        seq: Seq,
        thread: Box<hubbub_storage::facts::Room>,
        by: UserId,
        answer: Answer<Thread>,
    },
    /// Store an event that somebody else has judged, with facts.
    Record { by: UserId, body: Box<EventBody>, effects: Vec<Effect>, answer: Answer<Seq> },
    /// Store events of an archive, built once their first seq is known; answers with that.
    Archive { build: Build, answer: Answer<Seq> },
}

/// The mailbox of a room.
#[derive(Debug)]
pub enum RoomMessage {
    /// Somebody asks.
    Ask(Permit, Box<Ask>),
    /// The room's log has been read.
    Loaded(Box<Result<Loaded, StoreError>>),
    /// A key was looked for in the log for the author's oldest held post.
    Searched { author: UserId, found: Result<Option<RecentKey>, StoreError> },
    /// The state of a message was read, and the pins if they were wanted.
    Target { seq: Seq, read: Box<Result<TargetRead, StoreError>> },
    /// The oldest events in flight are on disk.
    Committed { events: usize },
    /// An append failed.
    Failed,
    /// This relay wants the room's events from now on.
    Watch(ActorRef<RelayMessage>),
    /// The room's settings changed.
    Rules(Rules),
    /// Whether to leave memory.
    IdleCheck,
    /// Tells how the room stands.
    Observe(RpcReplyPort<RoomStatus>),
}

/// Makes the events of an archive, and the facts that go with them, from the seq the first will have.
pub struct Build(pub Builder);

/// What [`Build`] holds.
pub type Builder = Box<dyn FnOnce(Seq) -> (Vec<Archived>, Vec<Effect>) + Send>;

impl std::fmt::Debug for Build {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Build")
    }
}

/// A message's state as read, and the pins if they were wanted.
pub type TargetRead = (Option<MessageState>, Option<Vec<Seq>>);

/// What an activation starts from.
#[derive(Debug)]
pub struct Loaded {
    head: Seq,
    last_ts: Timestamp,
    keys: Vec<RecentKey>,
    keys_since: Timestamp,
    rules: Rules,
}

/// How a room stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RoomStatus {
    /// The newest seq on disk.
    pub head: Seq,
    /// Events on their way to the disk.
    pub in_flight: usize,
    /// Requests that wait for something to be read.
    pub held: usize,
}

/// See the module.
#[derive(Debug)]
pub struct RoomActor;

/// What a room's actor is started with.
#[derive(Debug)]
pub struct RoomArguments {
    /// Shared things.
    pub context: Arc<Context>,
    /// The room.
    pub room: RoomId,
    /// Its relay, if there is one already.
    pub relay: Option<ActorRef<RelayMessage>>,
}

#[derive(Debug)]
enum Done {
    Sent(Answer<Sent>),
    Changed(Answer<Changed>),
    Thread(Answer<Thread>, RoomId),
    Seq(Answer<Seq>, Seq),
    Nothing,
}

#[derive(Debug)]
struct InFlight {
    event: Event,
    frame: Arc<Frame>,
    done: Done,
    /// Repeats of the same post that came before it was on disk.
    repeats: Vec<Answer<Sent>>,
}

#[derive(Debug)]
struct Held {
    _permit: Permit,
    caller: Caller,
    access: Access,
    post: NewPost,
    answer: Answer<Sent>,
}

/// The state of a room's actor.
#[derive(Debug)]
pub struct RoomState {
    context: Arc<Context>,
    room: RoomId,
    me: ActorRef<RoomMessage>,
    core: Option<RoomCore>,
    committed: Seq,
    dead: Arc<AtomicBool>,
    in_flight: VecDeque<InFlight>,
    relay: Option<ActorRef<RelayMessage>>,
    /// Asked before the log was read.
    waiting: VecDeque<(Permit, Ask)>,
    /// Posts of authors whose oldest one is being looked for.
    held: HashMap<UserId, VecDeque<Held>>,
    targets: HashMap<Seq, MessageState>,
    /// Asked about messages that are being read.
    targeted: HashMap<Seq, Vec<(Permit, Ask)>>,
    used_at: Timestamp,
}

impl Actor for RoomActor {
    type Msg = RoomMessage;
    type State = RoomState;
    type Arguments = RoomArguments;

    async fn pre_start(
        &self,
        me: ActorRef<RoomMessage>,
        RoomArguments { context, room, relay }: RoomArguments,
    ) -> Result<RoomState, ActorProcessingErr> {
        let (loader, loads) = (me.clone(), context.clone());
        tokio::spawn(async move {
            let loaded = Box::new(load(&loads, room).await);
            // When the room has died meanwhile nobody waits for this.
            let _ = loader.cast(RoomMessage::Loaded(loaded));
        });
        me.send_after(IDLE_CHECK, || RoomMessage::IdleCheck);
        Ok(RoomState {
            used_at: context.now(),
            context,
            room,
            me,
            core: None,
            committed: Seq(0),
            dead: Arc::default(),
            in_flight: VecDeque::new(),
            relay,
            waiting: VecDeque::new(),
            held: HashMap::new(),
            targets: HashMap::new(),
            targeted: HashMap::new(),
        })
    }

    async fn handle(
        &self,
        me: ActorRef<RoomMessage>,
        message: RoomMessage,
        state: &mut RoomState,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            RoomMessage::Ask(permit, ask) => state.ask(permit, *ask),
            RoomMessage::Loaded(loaded) => state.begin((*loaded)?),
            RoomMessage::Searched { author, found } => state.searched(author, found),
            RoomMessage::Target { seq, read } => state.targeted(seq, *read),
            RoomMessage::Committed { events } => state.committed(events),
            RoomMessage::Failed => return Err(crate::shard::AppendFailed.into()),
            RoomMessage::Watch(relay) => state.watch(relay),
            RoomMessage::Rules(rules) => state.core.iter_mut().for_each(|core| core.set_rules(rules)),
            RoomMessage::IdleCheck => state.idle_check(&me),
            RoomMessage::Observe(reply) => drop(reply.send(state.status())),
        }
        Ok(())
    }
}

async fn load(context: &Context, room: RoomId) -> Result<Loaded, StoreError> {
    context.lane(context.shard_of(room)).barrier().await;
    let facts = context.directory.room(room).await.ok().flatten();
    let rules =
        facts.map_or(Rules::default(), |facts| Rules { archived: facts.archived, slow_mode_s: facts.slow_mode_s });
    let head = context.store.heads(&[room]).await?.first().copied().unwrap_or_default();
    let window_ms = hubbub_protocol::limits::KEY_WINDOW_MS.max(u64::from(rules.slow_mode_s) * 1_000);
    let since = context.now().plus_ms(-(window_ms.cast_signed()));
    let keys = context.store.recent_keys(room, since, KEYS_MAX).await?;
    let keys_since =
        if keys.len() < KEYS_MAX { since } else { keys.last().map_or(since, |oldest| oldest.ts.plus_ms(1)) };
    let last = context.store.events(room, Seq(head.0.saturating_sub(1)), 1).await?;
    let last_ts = last.first().map_or(Timestamp(0), |event| event.ts);
    Ok(Loaded { head, last_ts, keys, keys_since, rules })
}

impl RoomState {
    fn begin(&mut self, loaded: Loaded) {
        let mut keys = KeyWindow::new(loaded.keys_since);
        for key in loaded.keys.iter().rev() {
            keys.insert(key.by, key.key, key.seq, key.ts);
        }
        self.core = Some(RoomCore::new(self.room, loaded.head, loaded.last_ts, keys, loaded.rules));
        self.committed = loaded.head;
        if let Some(relay) = self.relay.take() {
            self.watch(relay);
        }
        for (permit, ask) in std::mem::take(&mut self.waiting) {
            self.ask(permit, ask);
        }
    }

    fn watch(&mut self, relay: ActorRef<RelayMessage>) {
        if self.core.is_some() {
            // Cast before any later delivery, so the relay knows where its stretch begins.
            let _ = relay.cast(RelayMessage::Watched { head: self.committed });
        }
        self.relay = Some(relay);
    }

    fn ask(&mut self, permit: Permit, ask: Ask) {
        self.used_at = self.context.now();
        if self.core.is_none() {
            self.waiting.push_back((permit, ask));
            return;
        }
        match ask {
            Ask::Post { caller, access, post, answer } => {
                let held = Held { _permit: permit, caller, access, post, answer };
                match self.held.get_mut(&caller.user) {
                    Some(queue) => queue.push_back(held),
                    None => self.post(held, false),
                }
            }
            Ask::Change { seq, .. } | Ask::Thread { seq, .. } => self.aim(permit, seq, ask),
            Ask::Record { by, body, effects, answer } => self.record(by, *body, effects, answer),
            Ask::Archive { build, answer } => self.archive(build, answer),
        }
    }

    fn post(&mut self, held: Held, searched: bool) {
        let Some(core) = &self.core else { return };
        let author = held.caller.user;
        let Some(rights) = self.context.directory.still(&held.access, author) else {
            held.answer.give(Err(unavailable()));
            return;
        };
        match core.decide_post(author, rights, &held.post, self.context.now(), searched) {
            Ok(Decision::Accept(event)) => {
                let effects = mention_effects(&event);
                self.store(vec![(*event, Done::Sent(held.answer))], effects);
            }
            Ok(Decision::Repeat(seq, ts)) => self.repeat(seq, ts, held.answer),
            Ok(Decision::Search(since)) => self.search(held, since),
            Err(refusal) => held.answer.give(Err(refusal)),
        }
    }

    fn repeat(&mut self, seq: Seq, ts: Timestamp, answer: Answer<Sent>) {
        match self.in_flight.iter_mut().find(|waiting| waiting.event.seq == seq) {
            Some(waiting) => waiting.repeats.push(answer),
            None => answer.give(Ok(Sent { seq, ts, repeat: true })),
        }
    }

    /// Looks for the post's key in the log; the author's later posts wait behind it.
    fn search(&mut self, held: Held, since: Timestamp) {
        let (author, key) = (held.caller.user, held.post.key);
        self.held.entry(author).or_default().push_front(held);
        let (context, room, me) = (self.context.clone(), self.room, self.me.clone());
        tokio::spawn(async move {
            let found = context.store.find_key(room, author, key, since).await;
            let _ = me.cast(RoomMessage::Searched { author, found });
        });
    }

    fn searched(&mut self, author: UserId, found: Result<Option<RecentKey>, StoreError>) {
        let Some(mut queue) = self.held.remove(&author) else {
            return;
        };
        let Some(held) = queue.pop_front() else {
            return;
        };
        match found {
            Ok(Some(known)) => self.repeat(known.seq, known.ts, held.answer),
            Ok(None) => self.post(held, true),
            Err(error) => {
                tracing::warn!(room.id = %self.room, error = %hubbub_storage::ErrorChain(&error), "could not look for a key");
                held.answer.give(Err(unavailable()));
            }
        }
        while let Some(next) = queue.pop_front() {
            self.post(next, false);
            if let Some(again) = self.held.get_mut(&author) {
                again.append(&mut queue);
            }
        }
    }

    /// Carries out an ask about a message, reading the message first when it is not known.
    fn aim(&mut self, permit: Permit, seq: Seq, ask: Ask) {
        let wants_pins = matches!(ask, Ask::Change { change: Change::Pin, .. })
            && self.core.as_ref().is_some_and(|core| !core.knows_pins());
        if self.targets.contains_key(&seq) && !wants_pins {
            self.at_target(seq, ask);
            return;
        }
        let asked = self.targeted.entry(seq).or_default();
        asked.push((permit, ask));
        if asked.len() > 1 {
            return;
        }
        let (context, room, me) = (self.context.clone(), self.room, self.me.clone());
        tokio::spawn(async move {
            let read = async {
                let message = context.store.message(room, seq).await?;
                Ok((message, Some(context.store.pins(room).await?)))
            };
            let _ = me.cast(RoomMessage::Target { seq, read: Box::new(read.await) });
        });
    }

    fn targeted(&mut self, seq: Seq, read: Result<TargetRead, StoreError>) {
        let asked = self.targeted.remove(&seq).unwrap_or_default();
        match read {
            Ok((Some(mut message), pins)) => {
                let flying = self.in_flight.iter().map(|flying| &flying.event);
                let flying: Vec<&Event> = flying.filter(|event| event.seq > seq).collect();
                flying.iter().for_each(|event| message.apply(event));
                if let (Some(core), Some(pins)) = (&mut self.core, pins) {
                    let mut pins: std::collections::BTreeSet<Seq> = pins.into_iter().collect();
                    flying.iter().for_each(|event| pin_or_not(&mut pins, &event.body));
                    core.learn_pins(pins);
                }
                self.remember(seq, message);
                asked.into_iter().for_each(|(_, ask)| self.at_target(seq, ask));
            }
            Ok((None, _)) => asked.into_iter().for_each(|(_, ask)| refuse(ask, &Refusal::not_found("message"))),
            Err(error) => {
                tracing::warn!(room.id = %self.room, error = %hubbub_storage::ErrorChain(&error), "could not read message {seq}");
                asked.into_iter().for_each(|(_, ask)| refuse(ask, &unavailable()));
            }
        }
    }

    fn remember(&mut self, seq: Seq, message: MessageState) {
        if self.targets.len() >= TARGETS_MAX {
            self.targets.clear();
        }
        self.targets.insert(seq, message);
    }

    fn at_target(&mut self, seq: Seq, ask: Ask) {
        let (Some(core), Some(message)) = (&self.core, self.targets.get(&seq)) else {
            refuse(ask, &unavailable());
            return;
        };
        if let Err(refusal) = core.may_change() {
            refuse(ask, &refusal);
            return;
        }
        let now = self.context.now();
        match ask {
            Ask::Change { caller, access, change, answer, .. } => {
                let Some(rights) = self.context.directory.still(&access, caller.user) else {
                    answer.give(Err(unavailable()));
                    return;
                };
                match change::decide(&change, caller.user, rights, message, core.pins()) {
                    Ok(Verdict::Store(body)) => {
                        let event = core.event(caller.user, None, body, now);
                        self.store(vec![(event, Done::Changed(answer))], Vec::new());
                    }
                    Ok(Verdict::Repeat) => answer.give(Ok(Changed::Repeat { repeat: true })),
                    Err(refusal) => answer.give(Err(refusal)),
                }
            }
            Ask::Thread { thread, by, answer, .. } => match &message.thread {
                Some((room, _)) => answer.give(Ok(Thread { room: *room, created: false })),
                None if message.deleted => answer.give(Err(Refusal::not_found("message"))),
                None => {
                    let (room, title) = (thread.id, thread.name.clone());
                    let event = core.event(by, None, EventBody::ThreadCreated { target: seq, room, title }, now);
                    self.store(vec![(event, Done::Thread(answer, room))], vec![Effect::PutRoom(thread)]);
                }
            },
            Ask::Post { .. } | Ask::Record { .. } | Ask::Archive { .. } => refuse(ask, &unavailable()),
        }
    }

    fn record(&mut self, by: UserId, body: EventBody, effects: Vec<Effect>, answer: Answer<Seq>) {
        let Some(core) = &self.core else { return };
        let event = core.event(by, None, body, self.context.now());
        let seq = event.seq;
        self.store(vec![(event, Done::Seq(answer, seq))], effects);
    }

    fn archive(&mut self, Build(build): Build, answer: Answer<Seq>) {
        let Some(core) = &self.core else { return };
        let first = core.head().next();
        let (events, effects) = build(first);
        let mut numbered = Vec::with_capacity(events.len());
        let mut newest = core.last_ts();
        for (seq, Archived { by, ts, key, body }) in (first.0..).zip(events) {
            newest = newest.max(ts);
            let event = Event { room: self.room, seq: Seq(seq), ts: newest, by, key, body };
            numbered.push((event, Done::Nothing));
        }
        match numbered.last_mut() {
            Some(last) => last.1 = Done::Seq(answer, first),
            None => {
                answer.give(Ok(first));
                return;
            }
        }
        self.store(numbered, effects);
    }

    /// Takes events in and hands them to the appender.
    fn store(&mut self, events: Vec<(Event, Done)>, effects: Vec<Effect>) {
        let Some(core) = &mut self.core else { return };
        let lane = self.context.lane(self.context.shard_of(self.room)).clone();
        if lane.is_full() {
            events.into_iter().for_each(|(_, done)| done.refuse(&busy()));
            return;
        }
        let mut append = Append {
            shard: self.context.shard_of(self.room),
            room: RoomRef(self.me.clone()),
            dead: self.dead.clone(),
            events: Vec::with_capacity(events.len()),
            effects,
        };
        let mut flying = Vec::with_capacity(events.len());
        for (event, done) in events {
            let frame = Arc::new(Frame::event(&event));
            append.events.push((event.clone(), frame.clone()));
            flying.push(InFlight { event, frame, done, repeats: Vec::new() });
        }
        if lane.hand_in(Box::new(append)).is_err() {
            flying.into_iter().for_each(|flying| flying.done.refuse(&busy()));
            return;
        }
        for flying in flying {
            core.apply(&flying.event);
            if matches!(flying.event.body, EventBody::MessagesPurged { .. }) {
                self.targets.clear();
            } else if let Some(message) = flying.event.target().and_then(|seq| self.targets.get_mut(&seq)) {
                message.apply(&flying.event);
            }
            self.in_flight.push_back(flying);
        }
    }

    fn committed(&mut self, events: usize) {
        let mut deliveries = Vec::with_capacity(events);
        let mut answers = Vec::with_capacity(events);
        for InFlight { event, frame, done, repeats } in self.in_flight.drain(..events.min(self.in_flight.len())) {
            self.committed = event.seq;
            answers.push((Sent { seq: event.seq, ts: event.ts, repeat: false }, done, repeats));
            self.context.markers.committed(&self.context, &event);
            deliveries.push(Delivery::of(event, frame));
        }
        self.context.directory.note_head(self.room, self.committed);
        if let Some(relay) = &self.relay
            && relay.cast(RelayMessage::Deliver(deliveries)).is_err()
        {
            self.relay = None;
        }
        // After the delivery is under way: who is answered may at once ask the relay to let somebody go.
        for (sent, done, repeats) in answers {
            done.give(sent);
            repeats.into_iter().for_each(|answer| answer.give(Ok(Sent { repeat: true, ..sent })));
        }
    }

    fn idle_check(&mut self, me: &ActorRef<RoomMessage>) {
        let idle_ms = self.context.now().ms_since(self.used_at);
        let idle =
            u128::from(idle_ms) >= self.context.config.passivate_after.as_millis() && self.in_flight.is_empty();
        if idle && self.context.slots.retire_room(self.room) {
            me.stop(Some("idle".into()));
            return;
        }
        me.send_after(IDLE_CHECK, || RoomMessage::IdleCheck);
    }

    fn status(&self) -> RoomStatus {
        let held = self.held.values().map(VecDeque::len).sum::<usize>();
        let targeted = self.targeted.values().map(Vec::len).sum::<usize>();
        RoomStatus {
            head: self.committed,
            in_flight: self.in_flight.len(),
            held: held + targeted + self.waiting.len(),
        }
    }
}

impl Drop for RoomState {
    /// Whatever is still in flight belongs to an activation that is over.
    fn drop(&mut self) {
        self.dead.store(true, Ordering::Release);
    }
}

impl Done {
    fn give(self, sent: Sent) {
        match self {
            Self::Sent(answer) => answer.give(Ok(sent)),
            Self::Changed(answer) => answer.give(Ok(Changed::Event { event_seq: sent.seq })),
            Self::Thread(answer, room) => answer.give(Ok(Thread { room, created: true })),
            Self::Seq(answer, seq) => answer.give(Ok(seq)),
            Self::Nothing => {}
        }
    }

    fn refuse(self, refusal: &Refusal) {
        match self {
            Self::Sent(answer) => answer.give(Err(refusal.clone())),
            Self::Changed(answer) => answer.give(Err(refusal.clone())),
            Self::Thread(answer, _) => answer.give(Err(refusal.clone())),
            Self::Seq(answer, _) => answer.give(Err(refusal.clone())),
            Self::Nothing => {}
        }
    }
}

impl Ask {
    /// Answers with a refusal.
    pub fn refuse(self, refusal: &Refusal) {
        refuse(self, refusal);
    }
}

fn refuse(ask: Ask, refusal: &Refusal) {
    match ask {
        Ask::Post { answer, .. } => answer.give(Err(refusal.clone())),
        Ask::Change { answer, .. } => answer.give(Err(refusal.clone())),
        Ask::Thread { answer, .. } => answer.give(Err(refusal.clone())),
        Ask::Record { answer, .. } | Ask::Archive { answer, .. } => answer.give(Err(refusal.clone())),
    }
}

fn pin_or_not(pins: &mut std::collections::BTreeSet<Seq>, body: &EventBody) {
    match body {
        EventBody::MessagePinned { target } => {
            pins.insert(*target);
        }
        EventBody::MessageUnpinned { target } | EventBody::MessageDeleted { target, .. } => {
            pins.remove(target);
        }
        _ => {}
    }
}

/// Mentions are facts beside the log, so that unread counts need not read texts.
fn mention_effects(event: &Event) -> Vec<Effect> {
    let EventBody::MessageCreated(created) = &event.body else {
        return Vec::new();
    };
    let (room, seq) = (event.room, event.seq);
    let users = created.mentions.users.iter().filter(|user| **user != event.by);
    let named = users.map(|user| Effect::AddMention { user: Some(*user), room, seq });
    let everyone = created.mentions.everyone.then_some(Effect::AddMention { user: None, room, seq });
    named.chain(everyone).collect()
}
