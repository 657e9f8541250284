//! Takes one session's requests in the order in which they came, and keeps what it follows.
//!
//! What must keep its order (sends, following and unfollowing) is done here; what only reads is done
//! by a task beside, so that a page of history does not hold up a message. The edge bounds how many
//! requests are in flight, and so this mailbox.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use hubbub_protocol::{
    error::{CloseCode, Refusal},
    frame::Frame,
    ids::{CommunityId, RoomId, Seq, UserId},
    limits::{REPLAY_EVENTS_MAX, SUBSCRIPTIONS_MAX},
    op::{Mode, Op, Watched},
    push::{Push, Resumed, ResumedRoom, Subscribed},
};
use ractor::{Actor, ActorProcessingErr, ActorRef};
use serde::Serialize;
use tokio::sync::oneshot;

use super::{Begin, Resume, Shared, holding::Holding, saved::Saved};
use crate::{
    answer::{Answer, busy},
    caller::Caller,
    connection::Connection,
    directory::Access,
    relay::{Follower, RelayMessage, Subscription},
    room::{Change, NewPost, Rooms, handle},
    user::UserMessage,
};

/// Events that one resume may replay over all its rooms; further rooms have a gap.
/// Ten thousand of about 400 bytes are 4 MB.
const RESUME_EVENTS_MAX: u64 = 10_000;
/// How long a resume waits for a room's relay.
const RELAY_WAIT: Duration = Duration::from_secs(5);

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
    /// The user has no right to these rooms any more.
    Revoked { rooms: Vec<RoomId>, community: Option<CommunityId> },
    /// The device was signed out.
    SignOut,
    /// The node is going away.
    Drain { after_ms: u64 },
}

/// See the module.
#[derive(Debug)]
pub struct SessionActor;

/// What a session's actor is started with.
#[derive(Debug)]
pub struct SessionArguments {
    /// Shared things.
    pub context: Shared,
    /// The session's raw id.
    pub session: u64,
    /// What it follows.
    pub saved: Saved,
    /// Whose it is.
    pub caller: Caller,
}

/// The state of a session's actor.
#[derive(Debug)]
pub struct SessionState {
    context: Shared,
    rooms_of: Rooms,
    me: ActorRef<SessionMessage>,
    session: u64,
    caller: Caller,
    saved: Saved,
    connection: Option<Arc<dyn Connection>>,
    watched: Vec<UserId>,
    /// Counts attachments, so that an old expiry does not end a new stay.
    stay: u64,
}

impl Actor for SessionActor {
    type Msg = SessionMessage;
    type State = SessionState;
    type Arguments = SessionArguments;

    async fn pre_start(
        &self,
        me: ActorRef<SessionMessage>,
        SessionArguments { context, session, saved, caller }: SessionArguments,
    ) -> Result<SessionState, ActorProcessingErr> {
        let rooms_of = Rooms::new(context.clone());
        Ok(SessionState {
            context,
            rooms_of,
            me,
            session,
            caller,
            saved,
            connection: None,
            watched: Vec::new(),
            stay: 0,
        })
    }

    async fn handle(
        &self,
        me: ActorRef<SessionMessage>,
        message: SessionMessage,
        state: &mut SessionState,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            SessionMessage::Request { id, op } => state.request(id, op).await,
            SessionMessage::Attach { connection, caller, begin } => state.attach(connection, caller, begin).await,
            SessionMessage::Detach { connection } => state.detach(&connection),
            SessionMessage::Expire { stay } if stay == state.stay && state.connection.is_none() => {
                state.end(&me);
            }
            SessionMessage::Expire { .. } => {}
            SessionMessage::Revoked { rooms, community } => state.revoked(&rooms, community),
            SessionMessage::SignOut => {
                state.close(CloseCode::SignedOut);
                state.end(&me);
            }
            SessionMessage::Drain { after_ms } => {
                if let Some(connection) = &state.connection {
                    connection.control(Frame::of(&Push::Reconnect { after_ms }));
                }
                state.close(CloseCode::GoingAway);
            }
        }
        Ok(())
    }

    async fn post_stop(
        &self,
        _me: ActorRef<SessionMessage>,
        state: &mut SessionState,
    ) -> Result<(), ActorProcessingErr> {
        state.leave();
        Ok(())
    }
}

fn answer_to<T: Serialize + Send + 'static>(connection: Arc<dyn Connection>, id: u32) -> Answer<T> {
    Answer::to(move |answer| {
        connection.reply(match answer {
            Ok(ok) => Frame::ok(id, &ok),
            Err(refusal) => Frame::refused(id, &refusal),
        });
    })
}

#[derive(Serialize)]
struct Nothing {}

impl SessionState {
    async fn request(&mut self, id: u32, op: Op) {
        let Some(connection) = self.connection.clone() else {
            return;
        };
        let caller = self.caller;
        match op {
            Op::Send { room, key, text, reply_to, files, retry } => {
                let post = NewPost { key, text, reply_to, files, retry };
                self.rooms_of.post_in_order(caller, room, post, answer_to(connection, id)).await;
            }
            Op::Edit { room, seq, text } => self.change(id, room, seq, Change::Edit(text)).await,
            Op::Delete { room, seq, reason } => self.change(id, room, seq, Change::Delete(reason)).await,
            Op::React { room, seq, emoji } => self.change(id, room, seq, Change::React(emoji)).await,
            Op::Unreact { room, seq, emoji } => self.change(id, room, seq, Change::Unreact(emoji)).await,
            Op::Pin { room, seq } => self.change(id, room, seq, Change::Pin).await,
            Op::Unpin { room, seq } => self.change(id, room, seq, Change::Unpin).await,
            Op::Subscribe { room, after, mode } => {
                if let Err(refusal) = self.subscribe(&connection, id, room, after, mode).await {
                    connection.reply(Frame::refused(id, &refusal));
                }
            }
            Op::Unsubscribe { room } => {
                if self.saved.rooms.remove(&room).is_some() {
                    self.unfollow(room);
                    self.save();
                }
                connection.reply(Frame::ok(id, &Nothing {}));
            }
            Op::Typing { room } => {
                let typed = self.context.directory.access(caller.user, room).await.map(|access| {
                    if access.permissions.has(hubbub_protocol::permissions::Permissions::SEND) {
                        let typing = RelayMessage::Typing { user: caller.user };
                        self.context.slots.with_relay(room, |relay| relay.cast(typing).is_ok());
                    }
                    Nothing {}
                });
                answer_to(connection, id).give(typed);
            }
            Op::Read { room, seq } => {
                let read = self.rooms_of.read_from(caller, room, seq, Some(self.session)).await;
                answer_to(connection, id).give(read.map(|()| Nothing {}));
            }
            Op::Presence { status, text, emoji } => {
                self.context.users.send(&self.context, caller.user, UserMessage::Present { status, text, emoji });
                connection.reply(Frame::ok(id, &Nothing {}));
            }
            Op::Watch(watched) => {
                let presences = self.watch(&connection, watched).await;
                answer_to(connection, id).give(presences.map(|users| Watching { users }));
            }
            Op::History { room, page, limit } => {
                self.beside(id, move |rooms: Rooms| async move { rooms.history(caller, room, page, limit).await });
            }
            Op::Thread { room, seq, title } => {
                self.beside(id, move |rooms: Rooms| async move { rooms.thread(caller, room, seq, title).await });
            }
            Op::Identify { .. } | Op::Resume { .. } | Op::Heartbeat | Op::Reauth { .. } => {
                connection.reply(Frame::refused(id, &Refusal::field("op", "the session has begun already")));
            }
        }
    }

    /// Answers a request by a task beside, so that it holds nothing up.
    fn beside<T, F>(&self, id: u32, work: impl FnOnce(Rooms) -> F)
    where
        T: Serialize + Send + 'static,
        F: Future<Output = Result<T, Refusal>> + Send + 'static,
    {
        let Some(connection) = self.connection.clone() else {
            return;
        };
        let work = work(self.rooms_of.clone());
        tokio::spawn(async move { answer_to(connection, id).give(work.await) });
    }

    async fn change(&self, id: u32, room: RoomId, seq: Seq, change: Change) {
        let Some(connection) = self.connection.clone() else {
            return;
        };
        self.rooms_of.change_in_order(self.caller, room, seq, change, answer_to(connection, id)).await;
    }

    async fn subscribe(
        &mut self,
        connection: &Arc<dyn Connection>,
        id: u32,
        room: RoomId,
        after: Option<Seq>,
        mode: Mode,
    ) -> Result<(), Refusal> {
        let access = self.context.directory.access(self.caller.user, room).await?;
        if self.saved.rooms.len() >= SUBSCRIPTIONS_MAX && !self.saved.rooms.contains_key(&room) {
            let message = format!("a session follows at most {SUBSCRIPTIONS_MAX} rooms");
            return Err(Refusal::new(hubbub_protocol::error::ErrorCode::TooLarge, message));
        }
        let members = self.context.directory.member_count(&access.room).await?;
        let (read, _) = self.context.markers.of(self.caller.user, room);
        let permissions = access.permissions;
        let answer: Answer<Subscribed> = answer_to(connection.clone(), id);
        let reply = move |begun: Subscription| answer.give(Ok(begun.answer(read, permissions, members)));
        let follower = self.follower(connection.clone(), access, mode);
        self.saved.rooms.insert(room, mode);
        self.save();
        handle::follow(&self.context, room, follower, after, Box::new(reply)).map_err(|_| busy())
    }

    fn follower(&self, connection: Arc<dyn Connection>, access: Access, mode: Mode) -> Box<Follower> {
        let (session, user, intents) = (self.session, self.caller.user, self.saved.intents);
        Box::new(Follower { session, user, access, connection, mode, intents })
    }

    fn unfollow(&self, room: RoomId) {
        let session = self.session;
        self.context.slots.with_relay(room, |relay| relay.cast(RelayMessage::Unfollow { session }).is_ok());
    }

    async fn watch(
        &mut self,
        connection: &Arc<dyn Connection>,
        watched: Watched,
    ) -> Result<Vec<hubbub_protocol::push::Presence>, Refusal> {
        let users = match watched {
            Watched::Users(users) => users,
            Watched::Members { room, from, to } => self.rooms_of.member_window(self.caller, room, from, to).await?,
        };
        for user in std::mem::take(&mut self.watched) {
            self.context.users.send_if_here(user, UserMessage::Unwatch { session: self.session });
        }
        let mut presences = Vec::with_capacity(users.len());
        for user in users {
            let me = self.caller.user;
            let known = user == me || self.context.directory.read(self.context.store.acquainted(me, user).await)?;
            if !known || self.watched.contains(&user) {
                continue;
            }
            let (answer, wait) = Answer::awaited();
            let watch = UserMessage::Watch { session: self.session, connection: connection.clone(), answer };
            self.context.users.send(&self.context, user, watch);
            self.watched.push(user);
            if let Ok(Ok(presence)) = wait.await {
                presences.push(presence);
            }
        }
        Ok(presences)
    }

    async fn attach(&mut self, connection: Arc<dyn Connection>, caller: Caller, begin: Begin) {
        if let Some(old) = self.connection.take() {
            old.close(CloseCode::TakenUp);
            self.let_go();
        }
        self.stay += 1;
        self.caller = caller;
        self.saved.sid = caller.sid;
        self.connection = Some(connection.clone());
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
        self.save();
    }

    /// Follows again what the session followed, and what the cursors name; answers, then lets the
    /// missed events go.
    async fn resume(&mut self, connection: Arc<dyn Connection>, Resume { re, token, cursors }: Resume) {
        let holding = Arc::new(Holding::new(connection.clone()));
        let cursors: BTreeMap<RoomId, Seq> = cursors.into_iter().collect();
        for room in cursors.keys() {
            if self.saved.rooms.len() < SUBSCRIPTIONS_MAX {
                self.saved.rooms.entry(*room).or_insert(Mode::Live);
            }
        }
        let rooms: Vec<(RoomId, Mode)> = self.saved.rooms.iter().map(|(room, mode)| (*room, *mode)).collect();
        let ids: Vec<RoomId> = rooms.iter().map(|(room, _)| *room).collect();
        let heads = self.context.directory.heads(&ids).await.unwrap_or_default();
        let mut budget = RESUME_EVENTS_MAX;
        let mut begun = Vec::with_capacity(rooms.len());
        for (at, (room, mode)) in rooms.into_iter().enumerate() {
            let Ok(access) = self.context.directory.access(self.caller.user, room).await else {
                self.saved.rooms.remove(&room);
                continue;
            };
            let cursor = cursors.get(&room).copied();
            let missed = cursor.map_or(0, |seq| heads.get(at).map_or(0, |head| head.0.saturating_sub(seq.0)));
            let within = missed <= budget.min(REPLAY_EVENTS_MAX);
            budget -= if within { missed } else { 0 };
            let after = cursor.filter(|_| within);
            let (tell, told) = oneshot::channel();
            let reply = move |subscription: Subscription| {
                // A resume that has stopped waiting leaves the room out of its answer.
                let _ = tell.send(subscription);
            };
            let follower = self.follower(holding.clone(), access, mode);
            if handle::follow(&self.context, room, follower, after, Box::new(reply)).is_ok() {
                begun.push((room, cursor.is_some() && !within, told));
            }
        }
        let mut resumed = Resumed { session: token, rooms: BTreeMap::new() };
        for (room, left_out, told) in begun {
            let Ok(Ok(subscription)) = tokio::time::timeout(RELAY_WAIT, told).await else {
                continue;
            };
            let gap = left_out || subscription.gap;
            let replay = (!gap).then_some(subscription.replay);
            resumed.rooms.insert(room, ResumedRoom { head: subscription.head, replay, gap });
        }
        connection.reply(Frame::ok(re, &resumed));
        holding.release();
        connection.control(Frame::of(&Push::Resumed));
    }

    fn detach(&mut self, connection: &Arc<dyn Connection>) {
        if !self.connection.as_ref().is_some_and(|mine| Arc::ptr_eq(mine, connection)) {
            return;
        }
        self.connection = None;
        self.let_go();
        let detached = UserMessage::Detach { session: self.session };
        self.context.users.send_if_here(self.caller.user, detached);
        let stay = self.stay;
        self.me.send_after(self.context.config.detached_for, move || SessionMessage::Expire { stay });
    }

    /// Stops following and watching, and remembers what was followed.
    fn let_go(&mut self) {
        self.saved.rooms.keys().for_each(|room| self.unfollow(*room));
        for user in std::mem::take(&mut self.watched) {
            self.context.users.send_if_here(user, UserMessage::Unwatch { session: self.session });
        }
    }

    fn revoked(&mut self, rooms: &[RoomId], community: Option<CommunityId>) {
        rooms.iter().for_each(|room| {
            self.saved.rooms.remove(room);
            self.unfollow(*room);
        });
        self.save();
        if let (Some(connection), Some(community)) = (&self.connection, community) {
            let push = Push::Community { community, removed: true, changed: serde_json::Map::new() };
            connection.control(Frame::of(&push));
        }
    }

    fn save(&self) {
        self.context.unsaved.put(self.session, self.caller.user, self.saved.clone());
    }

    fn close(&mut self, code: CloseCode) {
        if let Some(connection) = self.connection.clone() {
            connection.close(code);
            self.detach(&connection);
        }
    }

    fn end(&mut self, me: &ActorRef<SessionMessage>) {
        self.context.sessions.0.lock().remove(&self.session);
        me.stop(Some("the session is over".into()));
    }

    fn leave(&mut self) {
        self.let_go();
        self.context.users.send_if_here(self.caller.user, UserMessage::Detach { session: self.session });
        self.context.markers.leave(self.caller.user);
    }
}

#[derive(Serialize)]
struct Watching {
    users: Vec<hubbub_protocol::push::Presence>,
}
