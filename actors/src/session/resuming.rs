//! A client that comes back: follows again what its session followed, and is sent what it missed.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use hubbub_protocol::{
    frame::Frame,
    ids::{RoomId, Seq},
    limits::{REPLAY_EVENTS_MAX, SUBSCRIPTIONS_MAX},
    op::Mode,
    push::{Push, Resumed, ResumedRoom},
};
use tokio::sync::oneshot;

use super::{Resume, actor::SessionState, holding::Holding};
use crate::{connection::Connection, relay::Subscription, room::handle};

/// Events that one resume may replay over all its rooms; further rooms have a gap.
/// Ten thousand of about 400 bytes are 4 MB.
const RESUME_EVENTS_MAX: u64 = 10_000;
/// How long a resume waits for a room's relay.
const RELAY_WAIT: Duration = Duration::from_secs(5);

impl SessionState {
    /// Follows again what the session followed, and what the cursors name; answers, then lets the
    /// missed events go.
    pub(super) async fn resume(&mut self, connection: Arc<dyn Connection>, Resume { re, token, cursors }: Resume) {
        let holding = Arc::new(Holding::new(connection.clone()));
        let cursors: BTreeMap<RoomId, Seq> = cursors.into_iter().collect();
        // Saved once the client is attached, unless the store has the same.
        let followed = Arc::make_mut(&mut self.saved.rooms);
        for room in cursors.keys() {
            if followed.len() < SUBSCRIPTIONS_MAX {
                followed.entry(*room).or_insert(Mode::Live);
            }
        }
        let rooms: Vec<(RoomId, Mode)> = self.saved.rooms.iter().map(|(room, mode)| (*room, *mode)).collect();
        let ids: Vec<RoomId> =
            rooms.iter().map(|(room, _)| *room).filter(|room| cursors.contains_key(room)).collect();
        let heads = self.context.directory.heads(&ids).await.unwrap_or_default();
        let heads: BTreeMap<RoomId, Seq> = ids.into_iter().zip(heads).collect();
        let mut budget = RESUME_EVENTS_MAX;
        let mut begun = Vec::with_capacity(rooms.len());
        for (room, mode) in rooms {
            let Ok(access) = self.context.directory.access(self.caller.user, room).await else {
                Arc::make_mut(&mut self.saved.rooms).remove(&room);
                continue;
            };
            let cursor = cursors.get(&room).copied();
            let head = heads.get(&room).copied().unwrap_or_default();
            let missed = cursor.map_or(0, |seq| head.0.saturating_sub(seq.0));
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
}
