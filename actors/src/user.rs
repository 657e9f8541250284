//! A user who is here: the devices, and the presence that others see.
//!
//! One actor per user with a device connected or somebody watching. It is the authority on the
//! user's presence: a change is told to watchers at once, and further changes within
//! [`TELL_EVERY`] are told together.
//!
//! # Invariants
//!
//! * An actor leaves memory only when nobody needs it and nothing is queued for it: a device that is
//!   attached at that moment is never left to an actor that has decided to end.

mod slots;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use hubbub_protocol::{
    emoji::Emoji,
    frame::Frame,
    ids::UserId,
    op::Intents,
    push::{Presence, Push, Status},
};
use ractor::{Actor, ActorProcessingErr, ActorRef, ActorRuntime, RpcReplyPort};

use self::slots::Mail;
pub use self::slots::UserSlots;
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
    /// Whether the user has been away for long enough to be shown as offline.
    AwayCheck,
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
    observe::ask(context.users.get(user), |reply| Mail::own(UserMessage::Observe(reply))).await
}

fn spawn(context: &Arc<Context>, user: UserId) -> ActorRef<Mail> {
    let supervisor = context.people.read().clone().expect("the hub starts its supervisors first");
    let spawned = ActorRuntime::spawn_linked_instant(None, UserActor, (context.clone(), user), supervisor);
    spawned.expect("an actor without a name can always be spawned").0
}

/// See the module.
#[derive(Debug)]
pub struct UserActor;

/// The state of a user's actor.
#[derive(Debug)]
pub struct UserState {
    context: Arc<Context>,
    user: UserId,
    me: ActorRef<Mail>,
    devices: BTreeMap<u64, (Arc<dyn Connection>, Intents)>,
    watchers: BTreeMap<u64, Arc<dyn Connection>>,
    status: Status,
    text: Option<String>,
    emoji: Option<Emoji>,
    /// Devices are gone, but not for long enough yet.
    away: bool,
    told: Option<Presence>,
    timer: bool,
}

impl Actor for UserActor {
    type Msg = Mail;
    type State = UserState;
    type Arguments = (Arc<Context>, UserId);

    async fn pre_start(
        &self,
        me: ActorRef<Mail>,
        (context, user): Self::Arguments,
    ) -> Result<UserState, ActorProcessingErr> {
        Ok(UserState {
            context,
            user,
            me,
            devices: BTreeMap::new(),
            watchers: BTreeMap::new(),
            status: Status::Online,
            text: None,
            emoji: None,
            away: false,
            told: None,
            timer: false,
        })
    }

    async fn handle(
        &self,
        me: ActorRef<Mail>,
        Mail { queued, message }: Mail,
        state: &mut UserState,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            UserMessage::Attach { session, connection, intents } => {
                state.devices.insert(session, (connection, intents));
                state.away = false;
                state.tell();
            }
            UserMessage::Detach { session } => state.detach(session),
            UserMessage::Present { status, text, emoji } => {
                (state.status, state.text, state.emoji) = (status, text, emoji);
                state.tell();
            }
            UserMessage::Watch { session, connection, answer } => {
                state.watchers.insert(session, connection);
                answer.give(Ok(state.presence()));
            }
            UserMessage::Unwatch { session } => {
                state.watchers.remove(&session);
            }
            UserMessage::Push { frame, except } => state.push(&frame, except),
            UserMessage::Tell => {
                state.timer = false;
                state.tell();
            }
            UserMessage::AwayCheck => state.away_check(),
            UserMessage::Observe(reply) => drop(reply.send(state.status())),
        }
        drop(queued);
        if state.is_needless() && state.context.users.retire(state.user) {
            // Only timers may still be queued, and those who observe.
            let _ = me.drain();
        }
        Ok(())
    }
}

impl UserState {
    /// Whether nobody is here or watches, so that the actor may leave memory.
    fn is_needless(&self) -> bool {
        self.devices.is_empty() && self.watchers.is_empty() && !self.away
    }

    fn status(&self) -> UserStatus {
        UserStatus {
            status: self.status,
            devices: self.devices.len(),
            watchers: self.watchers.len(),
            away: self.away,
        }
    }

    fn detach(&mut self, session: u64) {
        if self.devices.remove(&session).is_some() && self.devices.is_empty() {
            self.away = true;
            self.me.send_after(self.context.config.offline_after, || Mail::own(UserMessage::AwayCheck));
        }
    }

    fn away_check(&mut self) {
        if self.devices.is_empty() {
            self.away = false;
            self.tell();
        }
    }

    fn presence(&self) -> Presence {
        let here = !self.devices.is_empty() || self.away;
        if !here || self.status == Status::Invisible {
            return Presence { user: self.user, status: Status::Offline, text: None, emoji: None };
        }
        Presence { user: self.user, status: self.status, text: self.text.clone(), emoji: self.emoji.clone() }
    }

    /// Tells watchers of a change, unless the last was told a moment ago: then soon.
    fn tell(&mut self) {
        let presence = self.presence();
        if self.timer || self.told.as_ref() == Some(&presence) {
            return;
        }
        let frame = Arc::new(Frame::of(&Push::Presence { users: vec![presence.clone()] }));
        self.watchers.values().for_each(|watcher| watcher.ephemeral(&frame));
        self.told = Some(presence);
        self.timer = true;
        self.me.send_after(TELL_EVERY, || Mail::own(UserMessage::Tell));
    }

    fn push(&self, frame: &Arc<Frame>, except: Option<u64>) {
        for (session, (connection, _)) in &self.devices {
            if Some(*session) != except {
                connection.ephemeral(frame);
            }
        }
    }
}
