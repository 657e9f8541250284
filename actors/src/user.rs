//! A user who is here: the devices, and the presence that others see.
//!
//! One actor per user and node with a device connected or somebody watching. That of the user's *home*, the node that
//! owns the shard of the user's id, is the authority on the user's presence ([`home`]): it knows which nodes have
//! devices and which have watchers. Those of other nodes are its *outposts* ([`outpost`]): they report what they have
//! and are told how the user stands. A change is told to watchers at once, and further changes within [`TELL_EVERY`]
//! are told together.
//!
//! # Invariants
//!
//! * A user to whom nothing happens rests without an actor ([`resting`], [`slots`]).
//! * A user leaves memory only when nobody needs it and nothing is queued for it: a device that is
//!   attached at that moment is never left to an actor that has decided to end.
//! * Reports between home and outposts are whole states, sent until they are taken, so after any loss, move or death
//!   all nodes come to the same presence. No datagrams: a batch that is confirmed costs hardly more.
//!
//! # Failure
//!
//! An outpost that cannot reach the home shows what it was told last, or what it knows itself.

mod actor;
mod home;
mod outpost;
mod resting;
mod share;
mod slots;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use hubbub_protocol::{
    emoji::Emoji,
    frame::Frame,
    ids::{Epoch, NodeId, UserId},
    op::Intents,
    push::{Presence, Push, Status},
};
use ractor::{ActorRef, RpcReplyPort};
use smallvec::SmallVec;
use tokio::sync::oneshot;

pub use self::{
    actor::UserActor,
    share::{Said, Share, Stand},
    slots::UserSlots,
};
use self::{
    home::Elsewhere,
    resting::Asleep,
    slots::{Look, Mail},
};
use crate::{
    answer::Answer,
    connection::Connection,
    context::Context,
    observe::{self, Observed},
};

/// Changes of presence within this are told together.
const TELL_EVERY: Duration = Duration::from_secs(2);

/// The mailbox of a user.
#[derive(Debug)]
pub enum UserMessage {
    /// A session is about to have a connection; `known` is told once the user's home knows that devices are here.
    Expect { session: u64, known: oneshot::Sender<()> },
    /// A session has a connection.
    Attach { session: u64, connection: Arc<dyn Connection>, intents: Intents },
    /// It has none any more.
    Detach { session: u64 },
    /// The user says how present they are.
    Present { status: Status, text: Option<String>, emoji: Option<Emoji> },
    /// A session wants to know the presence, and its changes.
    Watch { session: u64, connection: Arc<dyn Connection>, answer: Answer<Presence> },
    /// It does not any more.
    Unwatch { session: u64 },
    /// Send to every device but one.
    Push { frame: Arc<Frame>, except: Option<u64> },
    /// Tell watchers what has changed.
    Tell,
    /// Whether the user has been away for long enough to be shown as offline: from this node, or from another one
    /// that is gone.
    AwayCheck { from: Option<NodeId>, absence: u64 },
    /// The home has taken long enough to say how the user stands.
    AskedLongEnough,
    /// The home may be another one, or have forgotten: report anew.
    Announce,
    /// To the home: what another node has of the user, under the epoch of the home's shard that the node knows.
    Share { node: NodeId, share: Share, epoch: Epoch },
    /// From the home: how the user stands.
    Stand { home: NodeId, stand: Stand },
    /// A node cannot be reached any more.
    NodeGone { node: NodeId },
    /// This node has been the home for long enough to know.
    Settled,
    /// Nothing happened for a while: the state may rest without an actor.
    Rest,
    /// Tells how the user stands.
    Observe(RpcReplyPort<UserStatus>),
}

/// How a user stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UserStatus {
    /// What the user said last; not what others are shown while the user is away.
    pub status: Status,
    /// Devices that are connected here.
    pub devices: usize,
    /// Sessions that are told of the user's presence.
    pub watchers: usize,
    /// Whether the last device has gone, and not for long enough to say so.
    pub away: bool,
}

/// How a user's actor stands.
pub(crate) async fn observe(context: &Context, user: UserId) -> Observed<UserStatus> {
    let look = || match context.users.look(user) {
        None => Err(Observed::NotHere),
        Some(Look::Resting(status)) => Err(Observed::Here(status)),
        Some(Look::Awake(actor)) => Ok(actor),
    };
    let actor = match look() {
        Ok(actor) => actor,
        Err(seen) => return seen,
    };
    let asked = observe::ask(Some(actor), |reply| Mail::own(UserMessage::Observe(reply))).await;
    if asked != Observed::NotHere {
        return asked;
    }
    // The user has left, or gone to rest, while it was being asked.
    look().err().unwrap_or(Observed::Silent)
}

/// The state of a user's actor.
#[derive(Debug)]
pub struct UserState {
    context: Arc<Context>,
    user: UserId,
    /// The actor; a user who rests has none.
    me: Option<ActorRef<Mail>>,
    /// Sessions that are about to have a connection.
    expected: BTreeSet<u64>,
    /// By session. Most have one.
    devices: SmallVec<[(u64, Arc<dyn Connection>); 1]>,
    watchers: BTreeMap<u64, Arc<dyn Connection>>,
    /// The newest thing the user said, on any node.
    said: Option<Said>,
    /// The absence that has begun, as devices are gone, but not for long enough yet.
    away: Option<u64>,
    /// Counts the times that devices have gone, here or with their node.
    absences: u64,
    told: Option<Presence>,
    timer: bool,
    /// As the home: what other nodes have.
    elsewhere: BTreeMap<NodeId, Elsewhere>,
    /// As an outpost: how the home says that the user stands. A home that is new believes it for a while.
    known: Option<Stand>,
    /// As an outpost: what a home was told last.
    reported: Option<(NodeId, Share)>,
    /// As an outpost: the home that has said how the user stands, and tells every change since.
    heard: Option<NodeId>,
    /// Watchers that wait for the home.
    asking: Vec<Answer<Presence>>,
}

impl UserState {
    /// A user of whom nothing is known here yet.
    fn new(context: Arc<Context>, user: UserId) -> Box<Self> {
        Box::new(Self {
            context,
            user,
            me: None,
            expected: BTreeSet::new(),
            devices: SmallVec::new(),
            watchers: BTreeMap::new(),
            said: None,
            away: None,
            absences: 0,
            told: None,
            timer: false,
            elsewhere: BTreeMap::new(),
            known: None,
            reported: None,
            heard: None,
            asking: Vec::new(),
        })
    }

    fn take(&mut self, message: UserMessage) {
        match message {
            UserMessage::Expect { session, known } => self.expect(session, known),
            UserMessage::Attach { session, connection, .. } => self.attach(session, connection),
            UserMessage::Detach { session } => self.detach(session),
            UserMessage::Present { status, text, emoji } => self.present(status, text, emoji),
            UserMessage::Watch { session, connection, answer } => self.watch(session, connection, answer),
            UserMessage::Unwatch { session } => self.unwatch(session),
            UserMessage::Push { .. } => self.take_asleep(message).into_iter().for_each(Asleep::carry_out),
            UserMessage::Tell => {
                self.timer = false;
                self.tell();
            }
            UserMessage::AwayCheck { from, absence } => self.away_check(from, absence),
            UserMessage::AskedLongEnough => self.answer_askers(),
            UserMessage::Announce => self.announce(),
            UserMessage::Share { node, share, epoch } => self.take_share(node, share, epoch),
            UserMessage::Stand { home, stand } => self.take_stand(home, stand),
            UserMessage::NodeGone { node } => self.node_gone(node),
            UserMessage::Settled => self.settled(),
            UserMessage::Rest => {}
            UserMessage::Observe(reply) => drop(reply.send(self.status())),
        }
    }

    /// Sends the actor a message of its own after a while.
    fn later(&self, after: Duration, message: impl FnOnce() -> UserMessage + Send + 'static) {
        if let Some(me) = &self.me {
            me.send_after(after, move || Mail::own(message()));
        }
    }

    /// Whether nobody is here or watches, so that the actor may leave memory.
    fn is_needless(&self) -> bool {
        let nobody = self.devices.is_empty() && self.expected.is_empty() && self.away.is_none();
        let unwatched = self.watchers.is_empty() && self.elsewhere.is_empty();
        // An outpost has to take back what it reported of a session.
        nobody && unwatched && (self.is_home() || !self.context.markers.has(self.user))
    }

    /// What this node has of the user.
    fn share(&self) -> Share {
        Share {
            sessions: self.context.markers.has(self.user),
            devices: !self.devices.is_empty() || !self.expected.is_empty(),
            away: self.away.is_some(),
            watches: !self.watchers.is_empty(),
            said: self.said.clone(),
        }
    }

    fn status(&self) -> UserStatus {
        UserStatus {
            status: self.said.as_ref().map_or(Status::Online, |said| said.status),
            devices: self.devices.len(),
            watchers: self.watchers.len(),
            away: self.away.is_some(),
        }
    }

    fn expect(&mut self, session: u64, known: oneshot::Sender<()>) {
        self.expected.insert(session);
        self.away = None;
        self.report();
        self.tell_when_known(known);
        self.tell();
    }

    fn attach(&mut self, session: u64, connection: Arc<dyn Connection>) {
        self.expected.remove(&session);
        self.devices.retain(|(other, _)| *other != session);
        self.devices.push((session, connection));
        self.away = None;
        self.report();
        self.tell();
    }

    fn detach(&mut self, session: u64) {
        let (devices, expected) = (self.devices.len(), self.expected.remove(&session));
        self.devices.retain(|(other, _)| *other != session);
        let was_here = self.devices.len() < devices || expected;
        if was_here && self.devices.is_empty() && self.expected.is_empty() {
            self.away = Some(self.check_later(None));
        }
        self.report();
    }

    /// Counts an absence, and looks later whether it lasts.
    fn check_later(&mut self, from: Option<NodeId>) -> u64 {
        self.absences += 1;
        let absence = self.absences;
        self.later(self.context.config.offline_after, move || UserMessage::AwayCheck { from, absence });
        absence
    }

    fn away_check(&mut self, from: Option<NodeId>, absence: u64) {
        match from {
            Some(node) => self.stayed_away(node, absence),
            None if self.away == Some(absence) => self.away = None,
            None => {}
        }
        self.report();
        self.tell();
    }

    fn present(&mut self, status: Status, text: Option<String>, emoji: Option<Emoji>) {
        let at = Said::after(self.said.as_ref(), self.context.now(), self.context.this_node());
        self.said = Some(Said { status, text, emoji, at });
        self.report();
        self.tell();
    }

    fn watch(&mut self, session: u64, connection: Arc<dyn Connection>, answer: Answer<Presence>) {
        self.watchers.insert(session, connection);
        if self.knows() {
            self.answer(answer);
            self.report();
        } else {
            self.ask_home(answer);
        }
    }

    fn unwatch(&mut self, session: u64) {
        self.watchers.remove(&session);
        self.report();
    }

    /// Answers a watcher, who is told changes from here on.
    fn answer(&mut self, answer: Answer<Presence>) {
        let presence = self.presence();
        self.told.get_or_insert_with(|| presence.clone());
        answer.give(Ok(presence));
    }

    fn presence(&self) -> Presence {
        self.stand().shown(self.user)
    }

    /// Tells watchers of a change, here and on other nodes, unless the last was told a moment ago: then soon.
    fn tell(&mut self) {
        if self.timer {
            return;
        }
        let presence = self.presence();
        let changed = self.told.as_ref() != Some(&presence);
        if changed {
            let frame = Arc::new(Frame::of(&Push::Presence { users: vec![presence.clone()] }));
            self.watchers.values().for_each(|watcher| watcher.ephemeral(&frame));
            self.told = Some(presence);
        }
        let heard = changed && !self.watchers.is_empty();
        if self.tell_outposts() || heard {
            self.timer = true;
            self.later(TELL_EVERY, || UserMessage::Tell);
        }
    }
}
