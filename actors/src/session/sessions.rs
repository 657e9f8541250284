//! Begins sessions, takes them up again and ends them.

use std::sync::Arc;

use hubbub_protocol::{
    error::{CloseCode, Refusal},
    frame::Frame,
    ids::{RoomId, Seq, SessionId, UserId},
    op::{Intents, Op},
    push::RoomState,
    time::Timestamp,
};
use serde::Serialize;
use tokio::sync::oneshot;

use super::{
    Away, SessionMessage, Shared,
    actor::SessionState,
    begin::{Begin, Resume},
    hints,
    saved::{KEEP_MS, Saved},
    slots::Owner,
};
use crate::{
    caller::Caller,
    connection::Connection,
    context::{Context, Counters},
    peers::wire::{Held, SignOut, TakeUp},
};

/// The answer to `identify`.
#[derive(Debug, Serialize)]
struct Begun {
    session: String,
    user: hubbub_protocol::rest::User,
    communities: Vec<serde_json::Value>,
    rooms: Vec<RoomState>,
}

/// Begins, takes up and ends sessions.
#[derive(Debug, Clone)]
pub struct Sessions {
    context: Shared,
}

/// A session, for the edge that holds its connection.
#[derive(Debug, Clone)]
pub struct SessionHandle {
    context: Shared,
    session: u64,
}

impl SessionHandle {
    /// Hands a request over; its answer comes by the connection.
    pub fn request(&self, id: u32, op: Op) {
        // A session that has just ended has closed its connection.
        let _ = self.context.sessions.send(&self.context, self.session, SessionMessage::Request { id, op });
    }

    /// Says that the connection is gone. The session waits for its client to come back.
    pub fn disconnected(&self, connection: &Arc<dyn Connection>) {
        let detach = SessionMessage::Detach { connection: connection.clone() };
        let _ = self.context.sessions.send(&self.context, self.session, detach);
    }
}

impl Context {
    /// Ends a session whose client is back on another node, and tells what it followed; `None` if it is not here.
    pub(crate) async fn give_up_session(self: &Arc<Self>, session: u64, user: UserId) -> Option<Saved> {
        self.sessions.owner(session).filter(|owner| owner.user == user)?;
        let (reply, told) = oneshot::channel();
        self.sessions.send(self, session, SessionMessage::GiveUp(reply)).ok()?;
        told.await.ok()
    }
}

impl Sessions {
    pub(crate) const fn new(context: Shared) -> Self {
        Self { context }
    }

    /// Begins a session and answers request `re`.
    ///
    /// # Errors
    /// The code to close the connection with.
    pub async fn identify(
        &self,
        connection: Arc<dyn Connection>,
        re: u32,
        caller: Caller,
        device: String,
        intents: Intents,
    ) -> Result<SessionHandle, CloseCode> {
        let session = self.context.next_id();
        let begun = self.begun(session, caller).await.map_err(|refusal| {
            tracing::warn!(user.id = %caller.user, device = %device, "could not begin a session: {refusal}");
            CloseCode::GoingAway
        })?;
        let saved = Saved { sid: caller.sid, intents, rooms: Arc::default() };
        self.insert(session, caller, saved, None);
        let begin = Begin::Identified(Box::new(Frame::ok(re, &begun)));
        let _ = self.context.sessions.send(
            &self.context,
            session,
            SessionMessage::Attach { connection, caller, begin },
        );
        Counters::add(&self.context.counters.sessions_begun, 1);
        Ok(SessionHandle { context: self.context.clone(), session })
    }

    /// Takes a session up on a new connection and answers request `re`, with what was missed.
    ///
    /// # Errors
    /// The code to close the connection with: 4007 when the session is not known.
    pub async fn resume(
        &self,
        connection: Arc<dyn Connection>,
        re: u32,
        caller: Caller,
        token: &str,
        cursors: Vec<(RoomId, Seq)>,
    ) -> Result<SessionHandle, CloseCode> {
        let (session, user) = self.context.ports.tokens.open(token).ok_or(CloseCode::SessionUnknown)?;
        if user != caller.user {
            return Err(CloseCode::SessionUnknown);
        }
        match self.context.sessions.owner(session) {
            Some(owner) if owner.sid == caller.sid => {}
            Some(_) => return Err(CloseCode::SessionUnknown),
            None => self.restore(session, caller).await?,
        }
        let begin = Begin::Resumed(Resume { re, token: token.to_owned(), cursors });
        // A session that ended in this moment is restored when the client tries again.
        let attach = SessionMessage::Attach { connection, caller, begin };
        self.context.sessions.send(&self.context, session, attach).map_err(|_| CloseCode::GoingAway)?;
        Counters::add(&self.context.counters.sessions_resumed, 1);
        Ok(SessionHandle { context: self.context.clone(), session })
    }

    /// Brings back a session of another node's, or of before a restart.
    async fn restore(&self, session: u64, caller: Caller) -> Result<(), CloseCode> {
        hints::read_ahead(&self.context, session, caller);
        let known = match self.context.unsaved.get(session) {
            Some((_, saved)) => Some(saved),
            None => self.held_elsewhere(session, caller.user).await,
        };
        let stored = match known {
            Some(_) => None,
            None => {
                let read = self.context.saved_states.get(session).await.map_err(|_| CloseCode::GoingAway)?;
                read.and_then(|state| Some((Saved::decode(&state.state)?, state.saved_at)))
            }
        };
        // One that is not written again is forgotten [`KEEP_MS`] after it was.
        let lasts = |saved_at: Timestamp| self.context.now().ms_since(saved_at).cast_signed() < KEEP_MS / 2;
        let is_stored =
            stored.as_ref().filter(|(_, saved_at)| lasts(*saved_at)).map(|(saved, _)| Box::new(saved.clone()));
        let saved = match known.or(stored.map(|(saved, _)| saved)) {
            Some(saved) if saved.sid == caller.sid => saved,
            Some(_) => return Err(CloseCode::SessionUnknown),
            None => Saved { sid: caller.sid, intents: Intents::ALL, rooms: Arc::default() },
        };
        if !self.context.markers.enter_again(caller.user) {
            self.enter(caller.user).await.map_err(|_| CloseCode::GoingAway)?;
        }
        self.insert(session, caller, saved, is_stored);
        Ok(())
    }

    /// Takes the session from the node that holds it, if another does: its connection is closed with 4011.
    async fn held_elsewhere(&self, session: u64, user: UserId) -> Option<Saved> {
        let held = self.context.peers.ask_all::<Held>(&TakeUp { session, user }).await;
        held.into_iter().find_map(|(_, held)| Saved::decode(&held.saved?))
    }

    /// Puts a session in for which the user's read markers have been entered. One that is there counts already.
    fn insert(&self, session: u64, caller: Caller, saved: Saved, stored: Option<Box<Saved>>) {
        let (owner, away) = (Owner { user: caller.user, sid: caller.sid }, Away::default());
        let mut state = SessionState::new(self.context.clone(), session, saved, caller, away.clone());
        state.stored = stored;
        if !self.context.sessions.insert(session, owner, away, state) {
            self.context.markers.leave(caller.user);
        }
    }

    /// Holds the user's read markers in memory, for one more session.
    async fn enter(&self, user: UserId) -> Result<Vec<(Arc<hubbub_storage::facts::Room>, Seq)>, Refusal> {
        let rooms = crate::people::rooms_of_user(&self.context, user).await?;
        let ids: Vec<RoomId> = rooms.iter().map(|room| room.id).collect();
        let heads = self.context.directory.heads(&ids).await?;
        let of_room: Vec<(RoomId, Seq)> = ids.into_iter().zip(heads.iter().copied()).collect();
        let entered = self.context.markers.enter(user, &of_room).await;
        self.context.directory.read(entered)?;
        Ok(rooms.into_iter().zip(heads).collect())
    }

    /// The answer to `identify`.
    async fn begun(&self, session: u64, caller: Caller) -> Result<Begun, Refusal> {
        let user = self.context.directory.user(caller.user).await?.ok_or_else(|| Refusal::not_found("user"))?;
        let communities = self.context.directory.communities_of(caller.user).await?;
        let rooms = self.enter(caller.user).await?;
        let markers = self.context.markers.of_all(caller.user, rooms.iter().map(|(room, _)| room.id));
        let state =
            |((room, head), (read, mentions)): ((Arc<hubbub_storage::facts::Room>, Seq), (Seq, u64))| RoomState {
                room: room.id,
                community: room.community,
                kind: room.kind,
                name: room.name.clone(),
                head,
                read,
                mentions,
                mode: "unread".into(),
            };
        Ok(Begun {
            session: self.context.ports.tokens.mint(session, caller.user),
            user: crate::people::user_brief(&user),
            communities: communities.iter().map(|community| crate::people::community_brief(community)).collect(),
            rooms: rooms.into_iter().zip(markers).map(state).collect(),
        })
    }

    /// Ends every session of a signed-in device, on every node, and closes its connections with 4010.
    pub fn sign_out(&self, sid: SessionId) {
        self.context.peers.tell_all(&SignOut { sid });
        self.context.sessions.to_device(&self.context, sid, || SessionMessage::SignOut);
    }

    /// Sessions in memory, connected or not.
    #[must_use]
    pub fn count(&self) -> usize {
        self.context.sessions.count()
    }

    /// Tells every client to come back after about `after_ms`, each at a time of its own, and closes
    /// its connection.
    pub fn drain(&self, after_ms: u64) {
        let sessions = self.context.sessions.all();
        let count = sessions.len().max(1) as u64;
        for (at, session) in (0_u64..).zip(sessions) {
            let spread_ms = after_ms / 2 + after_ms * at / count;
            let _ =
                self.context.sessions.send(&self.context, session, SessionMessage::Drain { after_ms: spread_ms });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use super::*;
    use crate::support::World;

    async fn until_nobody_is_here(world: &World) {
        let gone = async {
            while world.hub.sessions().count() > 0 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(5), gone).await.expect("the session ends");
    }

    /// Both found no session in memory and entered the user's read markers; one of them was never left again, so the
    /// markers of everyone to whom it happened stayed in memory for ever.
    #[tokio::test]
    async fn two_who_restore_a_session_at_once_count_its_markers_once() {
        let world = World::new().await;
        let ada = world.user("ada").await;
        let client = world.connect(ada).await;
        let (token, session) = client.session();
        let context = world.hub.context();
        client.disconnect();
        context.sessions.send(context, session, SessionMessage::Expire { stay: 1 }).expect("it is there");
        until_nobody_is_here(&world).await;
        assert!(!context.markers.has(ada.user), "nobody reads");

        let sessions = world.hub.sessions();
        let resume = async || {
            let connection: Arc<dyn Connection> = world.recorder();
            sessions.resume(connection, 1, ada, &token, Vec::new()).await
        };
        let (one, other) = tokio::join!(resume(), resume());
        assert!(one.is_ok() && other.is_ok(), "each is answered");
        assert_eq!(sessions.count(), 1, "there is one session");
        sessions.sign_out(ada.sid);
        until_nobody_is_here(&world).await;
        assert!(!context.markers.has(ada.user), "its markers left with it");
    }
}
