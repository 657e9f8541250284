//! Resume hints: what a session followed when that was last saved, so that a node to which its client comes back can
//! read the facts of those rooms while it still asks who has the session.
//!
//! # Invariants
//!
//! * A hint is never what a session is restored from: that is with the node that has the session, or in the store. A
//!   hint that is old names rooms whose facts are read in vain, or not early.
//! * The facts themselves come from the store, and rights are judged by them.

use std::{collections::HashMap, sync::Arc};

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use hubbub_storage::{Hint, HintCache, facts::ResumeState};
use parking_lot::Mutex;

use super::saved::Saved;
use crate::{caller::Caller, context::Context};

/// Hints that wait to be put: at about 500 bytes each, 5 MB. Past it the newest are left out.
const WAITING_MAX: usize = 10_000;
/// Hints put by one call: of 500 bytes each, within what a call may put.
const PUT_MAX: usize = 256;
/// Puts of one round, which comes every second; the rest waits.
const PUTS_MAX: usize = 16;
/// Rooms whose facts are read at once for one session, a part of the connections that read.
const AT_ONCE: usize = 4;

/// States that were saved and are to be put.
#[derive(Debug, Default)]
pub(crate) struct Hinted(Mutex<HashMap<u64, Bytes>>);

impl Hinted {
    /// Keeps what was saved for the next round.
    pub(crate) fn saved(&self, cache: &dyn HintCache, states: Vec<ResumeState>) {
        if !cache.status().there {
            return;
        }
        let mut waiting = self.0.lock();
        for ResumeState { session, state, .. } in states {
            if waiting.len() < WAITING_MAX || waiting.contains_key(&session) {
                waiting.insert(session, state.into());
            }
        }
    }

    /// Puts what waits. What is not kept is left out: it is a hint.
    pub(crate) async fn put(&self, cache: &dyn HintCache) {
        for _ in 0..PUTS_MAX {
            let hints = self.take();
            if hints.is_empty() || cache.put(&hints).await.is_none() {
                return;
            }
        }
    }

    fn take(&self) -> Vec<(Hint, Bytes)> {
        let mut waiting = self.0.lock();
        let some: Vec<u64> = waiting.keys().copied().take(PUT_MAX).collect();
        let taken =
            some.into_iter().filter_map(|session| Some((Hint::Session(session), waiting.remove(&session)?)));
        taken.collect()
    }
}

/// Reads the facts of the rooms that a session seems to have followed, beside whoever restores it.
pub(super) fn read_ahead(context: &Arc<Context>, session: u64, caller: Caller) {
    if !context.ports.cache.status().there {
        return;
    }
    let context = context.clone();
    tokio::spawn(async move {
        let hint = context.ports.cache.get(Hint::Session(session)).await;
        let Some(saved) = hint.and_then(|hint| Saved::decode(&hint)) else { return };
        let directory = &context.directory;
        // Who may not see a room learns nothing by this, and a store that fails is told of by whoever needs it.
        let read = |room| async move { drop(directory.access(caller.user, room).await) };
        let rooms: Vec<_> = saved.rooms.keys().copied().collect();
        stream::iter(rooms).for_each_concurrent(AT_ONCE, read).await;
    });
}
