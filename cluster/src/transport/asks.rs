//! The asks of a link that wait for an answer.

use std::{
    collections::HashMap,
    sync::{Arc, Weak},
};

use hubbub_protocol::peer::{Envelope, Rejection};
use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::limits::ASKS_WAITING_MAX;

type Answer = Result<Envelope, Rejection>;

#[derive(Debug, Default)]
struct Table {
    last: u64,
    waiting: HashMap<u64, oneshot::Sender<Answer>>,
    over: bool,
}

/// Asks by their number.
#[derive(Debug, Clone, Default)]
pub(super) struct Asks(Arc<Mutex<Table>>);

/// An ask that waits; dropping it forgets it, so that a late answer finds nobody.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) id: u64,
    answer: oneshot::Receiver<Answer>,
    table: Weak<Mutex<Table>>,
}

impl Asks {
    /// A place for an ask; `None` when [`ASKS_WAITING_MAX`] wait, or the link is over.
    pub(super) fn begin(&self) -> Option<Waiting> {
        let mut table = self.0.lock();
        if table.over || table.waiting.len() >= ASKS_WAITING_MAX {
            return None;
        }
        table.last += 1;
        let id = table.last;
        let (sender, answer) = oneshot::channel();
        table.waiting.insert(id, sender);
        Some(Waiting { id, answer, table: Arc::downgrade(&self.0) })
    }

    /// Hands `answer` to whoever waits for `id`. An answer that nobody waits for came too late.
    pub(super) fn resolve(&self, id: u64, answer: Answer) {
        if let Some(sender) = self.0.lock().waiting.remove(&id) {
            drop(sender.send(answer));
        }
    }

    /// The link broke: no one gets an answer any more.
    pub(super) fn end(&self) {
        let mut table = self.0.lock();
        table.over = true;
        table.waiting.clear();
    }
}

impl Waiting {
    /// The answer; `None` when the link broke first.
    pub(super) async fn answer(&mut self) -> Option<Answer> {
        (&mut self.answer).await.ok()
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if let Some(table) = self.table.upgrade() {
            table.lock().waiting.remove(&self.id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_answer_finds_its_ask_and_a_late_one_finds_nobody() {
        let asks = Asks::default();
        let mut first = asks.begin().expect("there is room");
        let second = asks.begin().expect("there is room");
        let late = second.id;
        drop(second);
        asks.resolve(late, Err(Rejection::Late));
        asks.resolve(first.id, Err(Rejection::Malformed));
        assert_eq!(first.answer().await, Some(Err(Rejection::Malformed)));
        assert!(asks.0.lock().waiting.is_empty());
    }

    #[tokio::test]
    async fn asks_are_bounded_and_end_with_their_link() {
        let asks = Asks::default();
        let mut waiting: Vec<Waiting> =
            (0..ASKS_WAITING_MAX).map(|_| asks.begin().expect("there is room")).collect();
        assert!(asks.begin().is_none());
        waiting.truncate(1);
        assert!(asks.begin().is_some());
        asks.end();
        assert_eq!(waiting[0].answer().await, None);
        assert!(asks.begin().is_none());
    }
}
