//! What a client asks of its session.
//!
//! What must keep its order (sends, following and unfollowing) is done in the actor; what only reads
//! is done by a task beside, so that a page of history does not hold up a message.

use std::sync::Arc;

use hubbub_protocol::{
    error::{ErrorCode, Refusal},
    frame::Frame,
    ids::{RoomId, Seq},
    limits::SUBSCRIPTIONS_MAX,
    op::{Mode, Op, Watched},
    permissions::Permissions,
    push::{Presence, Subscribed},
};
use serde::Serialize;

use super::actor::SessionState;
use crate::{
    answer::{Answer, busy},
    connection::Connection,
    directory::Access,
    peers::following,
    relay::{Follower, RelayMessage, Subscription},
    room::{Change, NewPost, Rooms, handle},
    user::UserMessage,
};

pub(super) fn answer_to<T: Serialize + Send + 'static>(connection: Arc<dyn Connection>, id: u32) -> Answer<T> {
    Answer::to(move |answer| {
        connection.reply(match answer {
            Ok(ok) => Frame::ok(id, &ok),
            Err(refusal) => Frame::refused(id, &refusal),
        });
    })
}

#[derive(Serialize)]
struct Nothing {}

#[derive(Serialize)]
struct Watching {
    users: Vec<Presence>,
}

impl SessionState {
    pub(super) async fn request(&mut self, id: u32, op: Op) {
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
                if self.saved.rooms.contains_key(&room) {
                    self.unfollow(room);
                    self.save_with(|rooms| {
                        rooms.remove(&room);
                    });
                }
                connection.reply(Frame::ok(id, &Nothing {}));
            }
            Op::Typing { room } => {
                let typed = self.context.directory.access(caller.user, room).await.map(|access| {
                    if access.permissions.has(Permissions::SEND) {
                        let typing = RelayMessage::Typing { user: caller.user };
                        self.context.slots.with_relay(room, |relay| relay.cast(typing).is_ok());
                        following::typing(&self.context, room, caller.user, None);
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
                let rooms = self.rooms_of.clone();
                self.pages.make(connection, id, async move { rooms.history(caller, room, page, limit).await });
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
            return Err(Refusal::new(ErrorCode::TooLarge, message));
        }
        let members = self.context.directory.member_count(&access.room).await?;
        let (read, _) = self.context.markers.of(self.caller.user, room);
        let permissions = access.permissions;
        let answer: Answer<Subscribed> = answer_to(connection.clone(), id);
        let reply = move |begun: Subscription| answer.give(Ok(begun.answer(read, permissions, members)));
        let follower = self.follower(connection.clone(), access, mode);
        self.save_with(|rooms| {
            rooms.insert(room, mode);
        });
        handle::follow(&self.context, room, follower, after, Box::new(reply)).map_err(|_| busy())
    }

    pub(super) fn follower(&self, connection: Arc<dyn Connection>, access: Access, mode: Mode) -> Box<Follower> {
        let (session, user, intents) = (self.session, self.caller.user, self.saved.intents);
        Box::new(Follower { session, user, access, connection, mode, intents })
    }

    pub(super) fn unfollow(&self, room: RoomId) {
        let session = self.session;
        self.context.slots.with_relay(room, |relay| relay.cast(RelayMessage::Unfollow { session }).is_ok());
    }

    async fn watch(
        &mut self,
        connection: &Arc<dyn Connection>,
        watched: Watched,
    ) -> Result<Vec<Presence>, Refusal> {
        let users = match watched {
            Watched::Users(users) => users,
            Watched::Members { room, from, to } => self.rooms_of.member_window(self.caller, room, from, to).await?,
        };
        let mut watched = Vec::with_capacity(users.len());
        for user in users {
            let me = self.caller.user;
            let known = user == me || self.context.directory.read(self.context.store.acquainted(me, user).await)?;
            if known && !watched.contains(&user) {
                watched.push(user);
            }
        }
        let mut waits = Vec::with_capacity(watched.len());
        for user in &watched {
            let (answer, wait) = Answer::awaited();
            let watch = UserMessage::Watch { session: self.session, connection: connection.clone(), answer };
            self.context.users.send(&self.context, *user, watch);
            waits.push(wait);
        }
        // Those who are watched still never stop being watched: what is known of them would be forgotten.
        for user in std::mem::replace(&mut self.watched, watched) {
            if !self.watched.contains(&user) {
                self.context.users.send_if_here(user, UserMessage::Unwatch { session: self.session });
            }
        }
        // All at once: each may have to ask on another node.
        let presences = futures_util::future::join_all(waits).await;
        let presences = presences.into_iter().filter_map(|answered| answered.ok()?.ok()).collect();
        Ok(presences)
    }
}
