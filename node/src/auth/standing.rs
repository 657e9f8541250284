//! Which sessions still stand: asked for every request, answered from memory nearly always.
//!
//! The store is the truth. What it said is remembered for [`KNOWN_FOR`]; what was ended through this
//! process is remembered for as long as a token of it could be valid, and goes first. So an ended
//! session is refused from the moment its end is answered, whatever was being looked up meanwhile,
//! and a restart forgets nothing.
//!
//! # Invariants
//!
//! * After [`Standing::ended`] returns, [`Standing::of`] never answers that the session stands.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use futures_util::FutureExt as _;
use hubbub_protocol::{
    ids::{SessionId, UserId},
    time::Timestamp,
};
use hubbub_storage::{Store, StoreError, Together, TogetherError};
use moka::sync::Cache;
use parking_lot::Mutex;

/// How long an answer of the store is believed. A session ended through another node is told of at once; when that
/// is lost because a link is broken, this bounds how long the session is still served.
const KNOWN_FOR: Duration = Duration::from_secs(6);
/// Sessions remembered: at about 100 bytes each, 20 MB.
const KNOWN_MAX: u64 = 200_000;
/// An ended session is remembered this much longer than a token of it lives, in milliseconds: more
/// than [`KNOWN_FOR`] and any look-up take together.
const ENDED_MARGIN_MS: i64 = 120_000;

/// What is known of sessions.
#[derive(Debug)]
pub struct Standing {
    read: Together<SessionId, UserId>,
    known: Cache<SessionId, Option<UserId>>,
    ended: Mutex<Ended>,
    token_ms: i64,
}

/// Ended sessions and when they may be forgotten. Each cost its client a sign-in, which takes a core
/// some 20 ms: within the quarter of an hour a token lives two cores end at most about 100,000.
#[derive(Debug, Default)]
struct Ended {
    until: HashMap<SessionId, Timestamp>,
    sweep_at: usize,
}

impl Ended {
    fn insert(&mut self, sid: SessionId, until: Timestamp, now: Timestamp) {
        if self.until.len() >= self.sweep_at {
            self.until.retain(|_, until| *until > now);
            self.sweep_at = 1_024.max(self.until.len() * 2);
        }
        self.until.insert(sid, until);
    }
}

impl Standing {
    /// Knows nothing yet. An access token lives for `access_ttl`.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, access_ttl: Duration) -> Self {
        Self {
            read: Together::new(move |sids| look_up(store.clone(), sids).boxed()),
            known: Cache::builder().max_capacity(KNOWN_MAX).time_to_live(KNOWN_FOR).build(),
            ended: Mutex::default(),
            token_ms: i64::try_from(access_ttl.as_millis()).unwrap_or(i64::MAX / 4),
        }
    }

    /// Whose session `sid` is; `None` when it is over, was never begun, or its user is disabled.
    ///
    /// # Errors
    /// When it has to be looked up and cannot.
    pub async fn of(&self, sid: SessionId) -> Result<Option<UserId>, TogetherError> {
        let user = match self.known.get(&sid) {
            Some(known) => known,
            None => {
                let read = self.read.get(sid).await?;
                self.known.insert(sid, read);
                read
            }
        };
        let ended = self.ended.lock().until.contains_key(&sid);
        Ok(user.filter(|_| !ended))
    }

    /// Remembers that a session has ended; the caller has written it to the store.
    pub fn ended(&self, sid: SessionId, now: Timestamp) {
        let until = now.plus_ms(self.token_ms.saturating_add(ENDED_MARGIN_MS));
        self.ended.lock().insert(sid, until, now);
    }
}

/// Those of `sids` that stand, with whose they are.
async fn look_up(store: Arc<dyn Store>, sids: Vec<SessionId>) -> Result<Vec<(SessionId, UserId)>, StoreError> {
    let mut standing = store.sessions(&sids).await?;
    standing.retain(|session| session.ended_at.is_none());
    let users: Vec<UserId> = standing.iter().map(|session| session.user).collect();
    let users = store.users(&users).await?.into_iter();
    let enabled: HashSet<UserId> = users.filter(|user| !user.disabled).map(|user| user.id).collect();
    let standing = standing.into_iter().filter(|session| enabled.contains(&session.user));
    Ok(standing.map(|session| (session.id, session.user)).collect())
}

#[cfg(test)]
mod tests {
    use hubbub_storage::MemStore;

    use super::*;

    #[test]
    fn ended_sessions_are_forgotten_when_no_token_of_them_can_be_valid() {
        let mut ended = Ended::default();
        for number in 0..10_000 {
            let now = Timestamp(number);
            let sid = SessionId::from_raw(number.unsigned_abs());
            ended.insert(sid, now.plus_ms(100), now);
        }
        assert!(ended.until.len() < 2_048, "{}", ended.until.len());
        assert!(ended.until.contains_key(&SessionId::from_raw(9_999)));
    }

    #[tokio::test]
    async fn a_look_up_that_was_under_way_does_not_bring_an_ended_session_back() {
        let standing = Standing::new(Arc::new(MemStore::new()), Duration::from_secs(900));
        let (sid, user) = (SessionId::from_raw(1), UserId::from_raw(2));
        standing.known.insert(sid, Some(user));
        assert_eq!(standing.of(sid).await.expect("known"), Some(user));
        standing.ended(sid, Timestamp(0));
        // What the look-up had read before the end arrives after it.
        standing.known.insert(sid, Some(user));
        assert_eq!(standing.of(sid).await.expect("known"), None);
    }
}
