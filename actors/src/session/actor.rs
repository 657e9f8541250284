//! A session in memory: its connection comes and goes, and what it follows stays.
//!
//! Its client's requests are answered in [`super::requests`], in the order in which they came; a
//! client that comes back is served by [`super::resuming`]. The edge bounds how many requests are in
//! flight, and so this mailbox.
//!
//! # Invariants
//!
//! * A session has at most one connection; the one before is closed with 4011 first.
//! * An actor that rests has given its state to the slots, and is sent nothing more.
//! * A session that is over serves nobody: who reaches it late is closed and comes back to a successor.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use hubbub_protocol::{
    error::CloseCode,
    frame::Frame,
    ids::{CommunityId, RoomId, SessionId, UserId},
    op::{Mode, Op},
    push::Push,
};
use ractor::{Actor, ActorProcessingErr, ActorRef, ActorRuntime, RpcReplyPort};
use tokio::sync::oneshot;

use super::{Away, Begin, Shared, pages::Pages, saved::Saved, slots::Queued};
use crate::{caller::Caller, connection::Connection, room::Rooms, user::UserMessage};

/// How long the user's home may take to hear of a device: it takes one round trip, as a rule.
const KNOWN_WITHIN: Duration = Duration::from_millis(250);

/// The mailbox of a session.
#[derive(Debug)]
pub enum SessionMessage {
    /// The client asks.
    Request { id: u32, op: Op },
    /// The client is here.
    Attach { connection: Arc<dyn Connection>, caller: Caller, begin: Begin },
    /// The connection is gone.
    Detach { connection: Arc<dyn Connection> },
    /// The client has not come back.
    Expire { stay: u64 },
    /// Others need the place in memory.
    LeaveIfAway,
    /// Nothing was asked for a while: the state may rest without an actor.
    Rest,
    /// The user has no right to these rooms any more.
    Revoked { rooms: Vec<RoomId>, community: Option<CommunityId> },
    /// The device was signed out.
    SignOut,
    /// The client is back on another node: tells what the session followed, and ends.
    GiveUp(oneshot::Sender<Saved>),
    /// The node is going away.
    Drain { after_ms: u64 },
    /// Tells how the session stands.
    Observe(RpcReplyPort<SessionStatus>),
}

/// How a session stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionStatus {
    /// The device it signed in from.
    pub device: SessionId,
    /// Whether a client is connected, rather than waited for.
    pub connected: bool,
    /// Rooms it follows, or will when its client is back.
    pub rooms: usize,
    /// People whose presence it watches.
    pub watched: usize,
    /// Connections it has had.
    pub connections: u64,
}

/// See the module.
#[derive(Debug)]
pub struct SessionActor;

/// What stands in a session's mailbox.
#[derive(Debug)]
pub struct Mail {
    /// Nothing for what keeps no actor in memory: its own timers, and who observes it.
    pub(super) queued: Option<Queued>,
    pub(super) message: SessionMessage,
}

impl Mail {
    /// What is not counted as queued.
    pub(crate) const fn own(message: SessionMessage) -> Self {
        Self { queued: None, message }
    }
}

/// What an actor holds: the state of its session, until that rests.
#[derive(Debug)]
pub struct Desk(Option<Box<SessionState>>);

/// Starts the actor of a session.
pub(super) fn spawn(context: &Shared, state: Box<SessionState>) -> ActorRef<Mail> {
    let supervisor = context.people.read().clone().expect("the hub starts its supervisors first");
    let spawned = ActorRuntime::spawn_linked_instant(None, SessionActor, state, supervisor);
    spawned.expect("an actor without a name can always be spawned").0
}

/// The state of a session.
#[derive(Debug)]
pub struct SessionState {
    pub(super) context: Shared,
    pub(super) rooms_of: Rooms,
    /// Its actor; a session that rests has none.
    me: Option<ActorRef<Mail>>,
    pub(super) session: u64,
    pub(super) caller: Caller,
    pub(super) saved: Saved,
    /// What the store has, of a session that was restored from it and has not been attached to yet.
    pub(super) stored: Option<Box<Saved>>,
    pub(super) connection: Option<Arc<dyn Connection>>,
    pub(super) watched: Vec<UserId>,
    pub(super) pages: Pages,
    /// Counts attachments, so that an old expiry does not end a new stay.
    stay: u64,
    away: Away,
    /// Taken out of the slots; what is still queued finds nobody.
    over: bool,
}

impl Actor for SessionActor {
    type Msg = Mail;
    type State = Desk;
    type Arguments = Box<SessionState>;

    async fn pre_start(
        &self,
        me: ActorRef<Mail>,
        mut state: Box<SessionState>,
    ) -> Result<Desk, ActorProcessingErr> {
        state.me = Some(me);
        Ok(Desk(Some(state)))
    }

    async fn handle(
        &self,
        me: ActorRef<Mail>,
        Mail { queued, message }: Mail,
        desk: &mut Desk,
    ) -> Result<(), ActorProcessingErr> {
        // Once the state rests, only timers that were set long ago may come.
        let Some(state) = &mut desk.0 else { return Ok(()) };
        if matches!(message, SessionMessage::Rest) {
            desk.rest(&me);
        } else {
            state.take(message).await;
        }
        drop(queued);
        Ok(())
    }

    async fn post_stop(&self, _me: ActorRef<Mail>, desk: &mut Desk) -> Result<(), ActorProcessingErr> {
        if let Some(state) = &mut desk.0 {
            state.leave();
        }
        Ok(())
    }
}

impl Desk {
    /// Gives the state to the slots and ends the actor, unless more is queued or nobody is connected.
    fn rest(&mut self, me: &ActorRef<Mail>) {
        let Some(mut state) = self.0.take_if(|state| state.connection.is_some() && !state.over) else { return };
        // What still refers to the actor keeps its mailbox in memory.
        state.me = None;
        let context = state.context.clone();
        match context.sessions.rest(state.session, state) {
            Ok(()) => me.stop(None),
            Err(mut state) => {
                state.me = Some(me.clone());
                self.0 = Some(state);
            }
        }
    }
}

impl SessionState {
    /// A session that nobody has attached a connection to yet.
    pub(super) fn new(context: Shared, session: u64, saved: Saved, caller: Caller, away: Away) -> Box<Self> {
        Box::new(Self {
            rooms_of: Rooms::new(context.clone()),
            context,
            me: None,
            session,
            caller,
            stored: None,
            saved,
            connection: None,
            watched: Vec::new(),
            pages: Pages::default(),
            stay: 0,
            away,
            over: false,
        })
    }

    async fn take(&mut self, message: SessionMessage) {
        match message {
            SessionMessage::Request { id, op } => self.request(id, op).await,
            SessionMessage::Attach { connection, caller, begin } => self.attach(connection, caller, begin).await,
            SessionMessage::Detach { connection } => self.detach(&connection),
            SessionMessage::Expire { stay } if stay == self.stay && self.connection.is_none() => self.end(),
            SessionMessage::LeaveIfAway if self.connection.is_none() => self.end(),
            SessionMessage::Expire { .. } | SessionMessage::LeaveIfAway | SessionMessage::Rest => {}
            SessionMessage::Revoked { rooms, community } => self.revoked(&rooms, community),
            SessionMessage::SignOut => {
                self.close(CloseCode::SignedOut);
                self.end();
            }
            SessionMessage::GiveUp(reply) => self.give_up(reply),
            SessionMessage::Drain { after_ms } => {
                if let Some(connection) = &self.connection {
                    connection.control(Frame::of(&Push::Reconnect { after_ms }));
                }
                self.close(CloseCode::GoingAway);
            }
            SessionMessage::Observe(reply) => drop(reply.send(self.status())),
        }
    }

    async fn attach(&mut self, connection: Arc<dyn Connection>, caller: Caller, begin: Begin) {
        if self.over {
            // It was ended while its client came back: the client tries again, and its state is saved.
            connection.close(CloseCode::GoingAway);
            return;
        }
        if let Some(old) = self.connection.take() {
            old.close(CloseCode::TakenUp);
            self.let_go();
        }
        self.stay += 1;
        self.caller = caller;
        self.saved.sid = caller.sid;
        self.connection = Some(connection.clone());
        self.away.no_more();
        self.expect_at_home().await;
        let resume = match begin {
            Begin::Identified(answer) => {
                connection.reply(*answer);
                None
            }
            Begin::Resumed(resume) => Some(resume),
        };
        let attach = UserMessage::Attach {
            session: self.session,
            connection: connection.clone(),
            intents: self.saved.intents,
        };
        self.context.users.send(&self.context, caller.user, attach);
        if let Some(resume) = resume {
            self.resume(connection, resume).await;
        }
        // What is in the store as it is need not be written again.
        if self.stored.take().is_none_or(|stored| *stored != self.saved) {
            self.save();
        }
    }

    /// Lets the user's home on another node know that a device is here, so that whoever has an answer from here on is
    /// sent what is pushed.
    async fn expect_at_home(&self) {
        if self.context.home_of(self.caller.user) == self.context.this_node() {
            return;
        }
        let (known, wait) = oneshot::channel();
        let expect = UserMessage::Expect { session: self.session, known };
        self.context.users.send(&self.context, self.caller.user, expect);
        // A home that cannot be reached, or takes its time, is told later.
        let _ = tokio::time::timeout(KNOWN_WITHIN, wait).await;
    }

    fn detach(&mut self, connection: &Arc<dyn Connection>) {
        if !self.connection.as_ref().is_some_and(|mine| Arc::ptr_eq(mine, connection)) {
            return;
        }
        self.connection = None;
        self.away.since(self.context.now());
        self.let_go();
        let detached = UserMessage::Detach { session: self.session };
        self.context.users.send_if_here(self.caller.user, detached);
        let stay = self.stay;
        if let Some(me) = &self.me {
            me.send_after(self.context.config.detached_for, move || Mail::own(SessionMessage::Expire { stay }));
        }
    }

    /// Stops following and watching, and remembers what was followed.
    fn let_go(&mut self) {
        self.saved.rooms.keys().for_each(|room| self.unfollow(*room));
        for user in std::mem::take(&mut self.watched) {
            self.context.users.send_if_here(user, UserMessage::Unwatch { session: self.session });
        }
    }

    fn revoked(&mut self, rooms: &[RoomId], community: Option<CommunityId>) {
        rooms.iter().for_each(|room| self.unfollow(*room));
        self.save_with(|followed| followed.retain(|room, _| !rooms.contains(room)));
        if let (Some(connection), Some(community)) = (&self.connection, community) {
            let push = Push::Community { community, removed: true, changed: serde_json::Map::new() };
            connection.control(Frame::of(&push));
        }
    }

    /// Changes what is followed, and has it written behind.
    pub(super) fn save_with(&mut self, change: impl FnOnce(&mut BTreeMap<RoomId, Mode>)) {
        self.context.unsaved.change(self.session, self.caller.user, &mut self.saved, change);
    }

    pub(super) fn save(&self) {
        self.context.unsaved.put(self.session, self.caller.user, self.saved.clone());
    }

    fn close(&mut self, code: CloseCode) {
        if let Some(connection) = self.connection.clone() {
            connection.close(code);
            self.detach(&connection);
        }
    }

    fn give_up(&mut self, reply: oneshot::Sender<Saved>) {
        let saved = self.saved.clone();
        self.close(CloseCode::TakenUp);
        self.end();
        // What is written behind must not undo what the other node writes.
        self.context.unsaved.forget(self.session);
        // Whoever asked reads what is saved instead.
        let _ = reply.send(saved);
    }

    /// Ends the session. Who comes from now on starts a successor; what is queued already is still
    /// handled, and told to try again.
    fn end(&mut self) {
        self.over = true;
        self.context.sessions.remove(self.session);
        // It fails only when the actor is ending already.
        let _ = self.me.as_ref().map(|me| me.drain());
    }

    pub(super) fn status(&self) -> SessionStatus {
        SessionStatus {
            device: self.caller.sid,
            connected: self.connection.is_some(),
            rooms: self.saved.rooms.len(),
            watched: self.watched.len(),
            connections: self.stay,
        }
    }

    fn leave(&mut self) {
        self.let_go();
        self.context.markers.leave(self.caller.user);
        self.context.users.send_if_here(self.caller.user, UserMessage::Detach { session: self.session });
    }
}
