//! What a session needs to go on after its node is gone, written behind in one transaction for all
//! sessions that have changed.
//!
//! A crash forgets at most the last [`HubConfig::write_behind_every`] of subscribing: then a room is
//! missing until the client subscribes anew or names it in its cursors, and no event is lost.
//!
//! [`HubConfig::write_behind_every`]: crate::context::HubConfig::write_behind_every

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use futures_util::FutureExt as _;
use hubbub_protocol::{
    ids::{RoomId, SessionId, UserId},
    op::{Intents, Mode},
};
use hubbub_storage::{Store, StoreError, Together, facts::ResumeState};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::context::Context;

/// States written in one transaction.
const FLUSH_MAX: usize = 2_000;
/// How long a state is kept after its session was last seen: 30 days, in milliseconds.
pub const KEEP_MS: i64 = 30 * 24 * 3_600 * 1_000;

/// A session's subscriptions and settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Saved {
    /// The device it signed in from.
    pub sid: SessionId,
    /// What the client wants to be sent.
    pub intents: Intents,
    /// What it follows, and how. Shared with the copy that waits to be written, see [`Unsaved::change`].
    pub rooms: Arc<BTreeMap<RoomId, Mode>>,
}

#[derive(Serialize, Deserialize)]
struct Form {
    sid: SessionId,
    intents: Vec<String>,
    live: Vec<RoomId>,
    unread: Vec<RoomId>,
}

impl Saved {
    /// The form in which it is kept, and sent to another node.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let of = |mode| self.rooms.iter().filter(|(_, known)| **known == mode).map(|(room, _)| *room).collect();
        let form = Form {
            sid: self.sid,
            intents: self.intents.names().into_iter().map(str::to_owned).collect(),
            live: of(Mode::Live),
            unread: of(Mode::Unread),
        };
        serde_json::to_vec(&form).expect("plain data")
    }

    /// Reads a saved state back; `None` for a form of another version.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let Form { sid, intents, live, unread } = serde_json::from_slice(bytes).ok()?;
        let live = live.into_iter().map(|room| (room, Mode::Live));
        let rooms = live.chain(unread.into_iter().map(|room| (room, Mode::Unread))).collect();
        Some(Self { sid, intents: Intents::named(&intents), rooms: Arc::new(rooms) })
    }
}

/// Reads what sessions were saved as.
pub(crate) fn read_together(store: Arc<dyn Store>) -> Together<u64, Arc<ResumeState>> {
    Together::new(move |sessions| {
        let store = store.clone();
        async move {
            let states = store.resume_states(&sessions).await?.into_iter();
            Ok(states.map(|state| (state.session, Arc::new(state))).collect())
        }
        .boxed()
    })
}

/// States that have changed since they were last written.
#[derive(Debug, Default)]
pub struct Unsaved(Mutex<HashMap<u64, (UserId, Saved)>>);

impl Unsaved {
    /// Keeps a state for the next time.
    pub fn put(&self, session: u64, user: UserId, saved: Saved) {
        self.0.lock().insert(session, (user, saved));
    }

    /// Changes what a session follows, and keeps the state for the next time. The copy that waits here is let go of
    /// first, so that one who follows many rooms does not copy them all for each: at most once for each time of writing.
    pub fn change(
        &self,
        session: u64,
        user: UserId,
        saved: &mut Saved,
        change: impl FnOnce(&mut BTreeMap<RoomId, Mode>),
    ) {
        let mut states = self.0.lock();
        states.remove(&session);
        change(Arc::make_mut(&mut saved.rooms));
        states.insert(session, (user, saved.clone()));
    }

    /// A state that is not written yet.
    #[must_use]
    pub fn get(&self, session: u64) -> Option<(UserId, Saved)> {
        self.0.lock().get(&session).cloned()
    }

    /// Leaves a state unwritten.
    pub fn forget(&self, session: u64) {
        self.0.lock().remove(&session);
    }

    /// Writes what has changed.
    ///
    /// # Errors
    /// [`StoreError::Write`]: what was not written is kept for the next time.
    pub async fn flush(&self, context: &Context) -> Result<(), StoreError> {
        loop {
            let taken: Vec<_> = {
                let mut states = self.0.lock();
                let ids: Vec<u64> = states.keys().take(FLUSH_MAX).copied().collect();
                ids.into_iter().filter_map(|id| states.remove(&id).map(|state| (id, state))).collect()
            };
            if taken.is_empty() {
                return Ok(());
            }
            let saved_at = context.now();
            let states: Vec<ResumeState> = taken
                .iter()
                .map(|(session, (user, saved))| ResumeState {
                    session: *session,
                    user: *user,
                    state: saved.encode(),
                    saved_at,
                })
                .collect();
            if let Err(error) = context.store.put_resume_states(&states).await {
                let mut states = self.0.lock();
                for (id, state) in taken {
                    states.entry(id).or_insert(state);
                }
                return Err(error);
            }
            context.hinted.saved(&*context.ports.cache, states);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_saved_session_reads_back() {
        let rooms = [(RoomId::from_raw(1), Mode::Live), (RoomId::from_raw(2), Mode::Unread)];
        let rooms = Arc::new(rooms.into());
        let saved = Saved { sid: SessionId::from_raw(9), intents: Intents::TYPING, rooms };
        assert_eq!(Saved::decode(&saved.encode()), Some(saved));
        assert_eq!(Saved::decode(b"{}"), None);
    }

    /// A session that followed 16,384 rooms copied all of them for each of the last: a minute of an unoptimised build.
    #[test]
    fn what_a_session_follows_is_not_copied_for_each_room_that_it_follows() {
        let (unsaved, user) = (Unsaved::default(), UserId::from_raw(7));
        let mut saved = Saved { sid: SessionId::from_raw(9), intents: Intents::TYPING, rooms: Arc::default() };
        unsaved.put(1, user, saved.clone());
        let kept = Arc::as_ptr(&saved.rooms);
        for room in 0..100 {
            unsaved.change(1, user, &mut saved, |rooms| {
                rooms.insert(RoomId::from_raw(room), Mode::Live);
            });
            assert_eq!(Arc::as_ptr(&saved.rooms), kept);
        }
        assert_eq!(unsaved.get(1), Some((user, saved)));
    }
}
