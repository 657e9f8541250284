//! Pages that many ask for at once, as when a large room opens on thousands of screens: read once.
//!
//! While the first to ask waits for a connection, others who ask for the same page join it. Nobody joins
//! a read that has begun: they may have written since, and would miss what they wrote. So with
//! connections to spare everyone reads alone, and under a rush the work is bounded by the connections.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use hubbub_protocol::ids::RoomId;
use parking_lot::Mutex;
use tokio::sync::OnceCell;

use super::{PostgresStore, facts::read_in_turn, history, read_failed};
use crate::{
    error::{ErrorChain, StoreError},
    log::{MessagePage, Window},
};

type Asked = (RoomId, Window, usize);
type Answer = Arc<OnceCell<Result<MessagePage, StoreError>>>;

/// Pages that are waited for and not yet being read.
#[derive(Debug, Default)]
pub(super) struct Coalesced {
    waiting: Mutex<HashMap<Asked, Answer>>,
    joined: AtomicU64,
}

impl Coalesced {
    /// A page of messages.
    pub(super) async fn page(
        &self,
        store: &PostgresStore,
        room: RoomId,
        window: Window,
        limit: usize,
    ) -> Result<MessagePage, StoreError> {
        let asked = Waiting::join(self, (room, window, limit));
        let read = async {
            let turn = store.readers.turn().await;
            asked.begins();
            let failed = read_failed("messages");
            let statement = history::page(room, window, limit);
            let rows = read_in_turn(&store.readers, turn.map_err(&failed)?, statement).await.map_err(&failed)?;
            history::page_of(&rows)
        };
        match asked.answer.get_or_init(|| read).await {
            Ok(page) => Ok(page.clone()),
            Err(error) => Err(again(error)),
        }
    }

    /// How many were answered by the read of another.
    #[cfg(test)]
    pub(super) fn joined(&self) -> u64 {
        self.joined.load(Ordering::Relaxed)
    }

    /// Whether any page is on the list.
    #[cfg(test)]
    pub(super) fn is_waited_for(&self) -> bool {
        !self.waiting.lock().is_empty()
    }
}

/// One who asks.
struct Waiting<'a> {
    all: &'a Coalesced,
    asked: Asked,
    answer: Answer,
}

impl<'a> Waiting<'a> {
    fn join(all: &'a Coalesced, asked: Asked) -> Self {
        let mut waiting = all.waiting.lock();
        if waiting.contains_key(&asked) {
            all.joined.fetch_add(1, Ordering::Relaxed);
        }
        let answer = waiting.entry(asked).or_default().clone();
        Self { all, asked, answer }
    }

    /// From now on nobody joins.
    fn begins(&self) {
        let mut waiting = self.all.waiting.lock();
        if waiting.get(&self.asked).is_some_and(|other| Arc::ptr_eq(other, &self.answer)) {
            waiting.remove(&self.asked);
        }
    }
}

impl Drop for Waiting<'_> {
    /// The last one who gives up takes the page off the list: the list and itself hold it then.
    fn drop(&mut self) {
        let mut waiting = self.all.waiting.lock();
        let is_ours = waiting.get(&self.asked).is_some_and(|other| Arc::ptr_eq(other, &self.answer));
        if is_ours && Arc::strong_count(&self.answer) <= 2 {
            waiting.remove(&self.asked);
        }
    }
}

/// The same failure, for another who asked.
fn again(error: &StoreError) -> StoreError {
    match error {
        StoreError::Undecodable { room, seq, source } => {
            StoreError::Undecodable { room: *room, seq: *seq, source: ErrorChain(&**source).to_string().into() }
        }
        StoreError::Read { what, source } => {
            StoreError::Read { what, source: ErrorChain(&**source).to_string().into() }
        }
        other => StoreError::Read { what: "messages", source: ErrorChain(other).to_string().into() },
    }
}
