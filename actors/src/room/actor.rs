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

mod loading;
mod posting;
mod storing;
mod targets;
mod watchers;

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
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
    ids::{Epoch, NodeId, RoomId, Seq, UserId},
    message::MessageState,
    rest::{Changed, Sent, Thread},
    time::Timestamp,
};
use hubbub_storage::{Effect, RecentKey, StoreError};
use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort};
use tokio::sync::oneshot;

use super::{
    core::{RoomCore, Rules},
    post::{Archived, Change, NewPost},
};
use crate::{
    answer::Answer, caller::Caller, context::Context, directory::Access, hot::Tab, meter::Stamp,
    relay::RelayMessage, slots::Permit,
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
    /// The same, built for the place `first`, or refused; with no events, tells the place only.
    ArchiveAt { first: Seq, events: Vec<Archived>, effects: Vec<Effect>, answer: Answer<Seq> },
}

/// The mailbox of a room.
#[derive(Debug)]
pub enum RoomMessage {
    /// Somebody asks.
    Ask(Permit, Box<Ask>),
    /// The room's log has been read.
    Loaded(Box<Result<Loaded, LoadError>>),
    /// A key was looked for in the log for the author's oldest held post.
    Searched { author: UserId, found: Result<Option<RecentKey>, StoreError> },
    /// The rights of the author of the oldest held post were asked for.
    Judged { author: UserId, searched: bool, judged: Box<Result<Access, Refusal>> },
    /// The state of a message was read, and the pins if they were wanted.
    Target { seq: Seq, read: Box<Result<TargetRead, StoreError>> },
    /// The oldest events in flight are on disk, since this moment.
    Committed { events: usize, at: Stamp },
    /// An append failed.
    Failed,
    /// This relay wants the room's events from now on.
    Watch(ActorRef<RelayMessage>),
    /// A relay of another node wants them too, and is told where they begin.
    WatchFrom { node: NodeId, reply: oneshot::Sender<Seq> },
    /// It does not any more.
    UnwatchFrom { node: NodeId },
    /// Tell the nodes that were left out what the newest seq is, and these, which may have missed something.
    TellBehind(Vec<NodeId>),
    /// Tell the nodes that follow how many people do so elsewhere: it has changed, or it is `time` again.
    TellPeople { time: bool },
    /// The room is to be ordered elsewhere, or anew: settle what is under way, and end.
    LetGo { done: Option<oneshot::Sender<()>> },
    /// The room's settings changed.
    Rules(Rules),
    /// Tell what the room cost.
    TellCost,
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

pub use self::loading::{LoadError, Loaded};

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
    /// Other nodes that follow it.
    pub watchers: BTreeSet<NodeId>,
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
    /// When it was handed to the lane.
    handed: Stamp,
    /// Repeats of the same post that came before it was on disk.
    repeats: Vec<Answer<Sent>>,
}

#[derive(Debug)]
struct Held {
    permit: Permit,
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
    /// The activation of the shard under which the room was loaded.
    epoch: Epoch,
    committed: Seq,
    /// Whether senders have waited for the room to be loaded, and shall not wait for company on top of it.
    has_waited: bool,
    dead: Arc<AtomicBool>,
    in_flight: VecDeque<InFlight>,
    relay: Option<ActorRef<RelayMessage>>,
    /// Other nodes that follow.
    watchers: BTreeSet<NodeId>,
    /// Those of them that have to be told the newest seq.
    behind: BTreeSet<NodeId>,
    /// What other nodes were told of how many people follow.
    people: watchers::PeopleTold,
    /// Answers to those that came before the log was read.
    watchers_waiting: Vec<oneshot::Sender<Seq>>,
    /// Set once the room takes nothing more, with who waits for its end.
    leaving: Option<Option<oneshot::Sender<()>>>,
    /// Asked before the log was read.
    waiting: VecDeque<(Permit, Ask)>,
    /// Posts of authors whose oldest one is being looked for.
    held: HashMap<UserId, VecDeque<Held>>,
    targets: HashMap<Seq, MessageState>,
    /// Asked about messages that are being read.
    targeted: HashMap<Seq, Vec<(Permit, Ask)>>,
    used_at: Timestamp,
    tab: Tab,
}

impl Actor for RoomActor {
    type Msg = RoomMessage;
    type State = RoomState;
    type Arguments = RoomArguments;

    async fn pre_start(
        &self,
        me: ActorRef<RoomMessage>,
        RoomArguments { context, room, relay, watchers }: RoomArguments,
    ) -> Result<RoomState, ActorProcessingErr> {
        let (loader, loads) = (me.clone(), context.clone());
        tokio::spawn(async move {
            let loaded = Box::new(loading::load(&loads, room).await);
            // When the room has died meanwhile nobody waits for this.
            let _ = loader.cast(RoomMessage::Loaded(loaded));
        });
        me.send_after(IDLE_CHECK, || RoomMessage::IdleCheck);
        Ok(RoomState {
            used_at: context.now(),
            tab: Tab::new(&context.hot, room),
            context,
            room,
            me,
            core: None,
            epoch: Epoch(0),
            committed: Seq(0),
            has_waited: false,
            dead: Arc::default(),
            in_flight: VecDeque::new(),
            relay,
            watchers,
            behind: BTreeSet::new(),
            people: watchers::PeopleTold::default(),
            watchers_waiting: Vec::new(),
            leaving: None,
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
            RoomMessage::Ask(permit, ask) => state.at_work(|state| state.ask(permit, *ask)),
            RoomMessage::Loaded(loaded) => state.loaded(*loaded)?,
            RoomMessage::Searched { author, found } => state.searched(author, found),
            RoomMessage::Judged { author, searched, judged } => state.judged(author, searched, *judged),
            RoomMessage::Target { seq, read } => state.targeted(seq, *read),
            RoomMessage::Committed { events, at } => state.at_work(|state| state.committed(events, at)),
            RoomMessage::Failed => {
                state.context.slots.leave(state.room, me.get_id());
                return Err(crate::shard::AppendFailed.into());
            }
            RoomMessage::Watch(relay) => state.watch(relay),
            RoomMessage::WatchFrom { node, reply } => state.watch_from(node, reply),
            RoomMessage::UnwatchFrom { node } => state.unwatch_from(node),
            RoomMessage::TellBehind(missed) => state.tell_behind(missed),
            RoomMessage::TellPeople { time: true } => state.tell_people(),
            RoomMessage::TellPeople { time: false } => state.people_changed(),
            RoomMessage::LetGo { done } => state.let_go(done),
            RoomMessage::Rules(rules) => state.core.iter_mut().for_each(|core| core.set_rules(rules)),
            RoomMessage::TellCost => state.tab.time_has_come(),
            RoomMessage::IdleCheck => state.idle_check(&me),
            RoomMessage::Observe(reply) => drop(reply.send(state.status())),
        }
        Ok(())
    }
}

impl RoomState {
    fn ask(&mut self, permit: Permit, ask: Ask) {
        self.used_at = self.context.now();
        if self.leaving.is_some() {
            self.context.forwards.give_back(&self.context, self.room, vec![ask]);
            return;
        }
        if self.core.is_none() {
            self.waiting.push_back((permit, ask));
            return;
        }
        match ask {
            Ask::Post { caller, access, post, answer } => {
                let held = Held { permit, caller, access, post, answer };
                match self.held.get_mut(&caller.user) {
                    Some(queue) => queue.push_back(held),
                    None => self.post(held, false),
                }
            }
            Ask::Change { seq, .. } | Ask::Thread { seq, .. } => self.aim(permit, seq, ask),
            Ask::Record { by, body, effects, answer } => self.record(by, *body, effects, answer),
            Ask::Archive { build, answer } => self.archive(build, answer),
            Ask::ArchiveAt { first, events, effects, answer } => self.archive_at(first, events, effects, answer),
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
        Ask::Record { answer, .. } | Ask::Archive { answer, .. } | Ask::ArchiveAt { answer, .. } => {
            answer.give(Err(refusal.clone()))
        }
    }
}
