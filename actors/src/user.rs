//! A user who is here: the devices, and the presence that others see.
//!
//! One actor per user with a device connected or somebody watching. It is the authority on the
//! user's presence: a change is told to watchers at once, and further changes within
//! [`TELL_EVERY`] are told together.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use hubbub_protocol::{
    emoji::Emoji,
    frame::Frame,
    ids::UserId,
    op::Intents,
    push::{Presence, Push, Status},
};
use parking_lot::Mutex;
use ractor::{Actor, ActorProcessingErr, ActorRef, ActorRuntime};

use crate::{answer::Answer, connection::Connection, context::Context};

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
}

/// Active users.
#[derive(Debug, Default)]
pub struct UserSlots(Mutex<HashMap<UserId, ActorRef<UserMessage>>>);

impl UserSlots {
    /// Sends to a user's actor, spawning it first when there is none.
    pub fn send(&self, context: &Arc<Context>, user: UserId, message: UserMessage) {
        let mut users = self.0.lock();
        let actor = users.entry(user).or_insert_with(|| spawn(context, user));
        // An actor that has just died is cleared away by its supervisor; presence is not promised.
        let _ = actor.cast(message);
    }

    /// Sends to a user's actor if there is one.
    pub fn send_if_here(&self, user: UserId, message: UserMessage) {
        if let Some(actor) = self.0.lock().get(&user) {
            let _ = actor.cast(message);
        }
    }

    /// Clears away an actor that has ended.
    pub fn ended(&self, actor: ractor::ActorId) {
        self.0.lock().retain(|_, active| active.get_id() != actor);
    }

    fn retire(&self, user: UserId) {
        self.0.lock().remove(&user);
    }

    /// How many users are active.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.lock().len()
    }
}

/// Sends `push` to every device of a user.
pub fn push(context: &Context, user: UserId, push: &Push) {
    let frame = Arc::new(Frame::of(push));
    context.users.send_if_here(user, UserMessage::Push { frame, except: None });
}

fn spawn(context: &Arc<Context>, user: UserId) -> ActorRef<UserMessage> {
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
    me: ActorRef<UserMessage>,
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
    type Msg = UserMessage;
    type State = UserState;
    type Arguments = (Arc<Context>, UserId);

    async fn pre_start(
        &self,
        me: ActorRef<UserMessage>,
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
        me: ActorRef<UserMessage>,
        message: UserMessage,
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
        }
        if state.devices.is_empty() && state.watchers.is_empty() && !state.away {
            state.context.users.retire(state.user);
            // What was sent before the slot was cleared is still handled.
            let _ = me.drain();
        }
        Ok(())
    }
}

impl UserState {
    fn detach(&mut self, session: u64) {
        if self.devices.remove(&session).is_some() && self.devices.is_empty() {
            self.away = true;
            self.me.send_after(self.context.config.offline_after, || UserMessage::AwayCheck);
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
        self.me.send_after(TELL_EVERY, || UserMessage::Tell);
    }

    fn push(&self, frame: &Arc<Frame>, except: Option<u64>) {
        for (session, (connection, _)) in &self.devices {
            if Some(*session) != except {
                connection.ephemeral(frame);
            }
        }
    }
}
