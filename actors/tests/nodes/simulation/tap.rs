//! A client's connection: hands events to the oracle, and keeps answers for who waits for them.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use hubbub_actors::Connection;
use hubbub_protocol::{
    error::CloseCode,
    frame::Frame,
    ids::{RoomId, Seq},
};
use parking_lot::Mutex;
use serde_json::Value;
use tokio::sync::Notify;

use super::Trial;

/// What somebody has seen of each room, over all their connections.
pub(super) type Cursors = Arc<Mutex<BTreeMap<RoomId, u64>>>;

pub(super) struct Tap {
    trial: Arc<Trial>,
    who: usize,
    cursors: Cursors,
    /// Whether the client still reads from it.
    read: AtomicBool,
    closed: AtomicBool,
    answers: Mutex<BTreeMap<u32, Value>>,
    news: Notify,
}

impl Tap {
    pub(super) fn new(trial: Arc<Trial>, who: usize, cursors: Cursors) -> Arc<Self> {
        let (read, closed) = (AtomicBool::new(true), AtomicBool::new(false));
        Arc::new(Self { trial, who, cursors, read, closed, answers: Mutex::default(), news: Notify::new() })
    }

    /// The client reads no more from it.
    pub(super) fn leave(&self) {
        self.read.store(false, Ordering::SeqCst);
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::SeqCst)
    }

    /// The answer to a request; `None` when it does not come in time, or the connection is closed first.
    pub(super) async fn answer(&self, id: u32, within: Duration) -> Option<Value> {
        let waiting = async {
            loop {
                let news = self.news.notified();
                if let Some(answer) = self.answers.lock().remove(&id) {
                    return Some(answer);
                }
                if self.is_closed() {
                    return None;
                }
                news.await;
            }
        };
        tokio::time::timeout(within, waiting).await.ok().flatten()
    }
}

impl std::fmt::Debug for Tap {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tap").field("who", &self.who).finish_non_exhaustive()
    }
}

impl Connection for Tap {
    fn reply(&self, frame: Frame) {
        let value: Value = serde_json::from_slice(frame.payload()).expect("frames are JSON");
        let id = value["re"].as_u64().and_then(|id| u32::try_from(id).ok()).expect("an answer names its request");
        self.answers.lock().insert(id, value);
        self.news.notify_waiters();
    }
    fn control(&self, frame: Frame) {
        let value: Value = serde_json::from_slice(frame.payload()).expect("frames are JSON");
        if value["ev"] == "gap" && self.read.load(Ordering::SeqCst) {
            // Nothing here is slow enough to be left out.
            self.trial.oracle.lock().broken(format!("person {} was told of a gap: {value}", self.who));
        }
    }
    fn event(&self, room: RoomId, Seq(seq): Seq, frame: &Arc<Frame>) {
        if !self.read.load(Ordering::SeqCst) {
            return;
        }
        let had = self.cursors.lock().insert(room, seq).unwrap_or(0);
        self.trial.oracle.lock().told(&self.trial.nodes.store, self.who, (room, seq), had, frame.payload());
    }
    fn ephemeral(&self, _: &Arc<Frame>) {}
    fn close(&self, _: CloseCode) {
        self.closed.store(true, Ordering::SeqCst);
        self.news.notify_waiters();
    }
}
