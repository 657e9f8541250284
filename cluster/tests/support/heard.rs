//! An inbox that keeps what it hears, echoes asks, and can be made to hold a class up.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
    time::Duration,
};

use hubbub_protocol::{
    ids::NodeId,
    peer::{Class, Envelope, Eventually, Lane, PeerChange, PeerInbox, Rejection},
};
use tokio::sync::watch;

/// An ask of this kind is answered late,
pub(crate) const SLOW: u16 = 20;
/// of this never,
pub(crate) const NEVER: u16 = 21;
/// of this with a rejection; of any other with itself.
pub(crate) const REFUSE: u16 = 22;

/// Something heard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Note {
    Cast(NodeId, Lane, u32),
    Ask(NodeId, Lane, u32),
    Whisper(NodeId, u32),
    Changed(NodeId, PeerChange),
}

#[derive(Debug)]
pub(crate) struct Heard {
    notes: Arc<Mutex<Vec<Note>>>,
    held: watch::Sender<BTreeSet<Class>>,
}

impl Default for Heard {
    fn default() -> Self {
        Self { notes: Arc::default(), held: watch::Sender::new(BTreeSet::new()) }
    }
}

fn value(envelope: &Envelope) -> u32 {
    envelope.body.first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes))
}

impl Heard {
    fn note(&self, note: Note) {
        self.notes.lock().unwrap().push(note);
    }

    pub(crate) fn notes(&self) -> Vec<Note> {
        self.notes.lock().unwrap().clone()
    }

    pub(crate) fn casts(&self) -> impl Iterator<Item = Note> {
        self.notes().into_iter().filter(|note| matches!(note, Note::Cast(..)))
    }

    pub(crate) fn casts_on(&self, from: NodeId, on: Lane) -> Vec<u32> {
        let one = |note| match note {
            Note::Cast(node, lane, n) if node == from && lane == on => Some(n),
            _ => None,
        };
        self.notes().into_iter().filter_map(one).collect()
    }

    pub(crate) fn asks(&self) -> Vec<u32> {
        let one = |note| if let Note::Ask(_, _, n) = note { Some(n) } else { None };
        self.notes().into_iter().filter_map(one).collect()
    }

    pub(crate) fn whispers(&self) -> usize {
        self.notes().iter().filter(|note| matches!(note, Note::Whisper(..))).count()
    }

    pub(crate) fn changes(&self, of: NodeId) -> Vec<PeerChange> {
        let one = |note| match note {
            Note::Changed(node, change) if node == of => Some(change),
            _ => None,
        };
        self.notes().into_iter().filter_map(one).collect()
    }

    /// Takes no more casts of `class` until [`release`](Self::release).
    pub(crate) fn hold_class(&self, class: Class) {
        self.held.send_modify(|held| {
            held.insert(class);
        });
    }

    pub(crate) fn release(&self) {
        self.held.send_modify(BTreeSet::clear);
    }

    pub(crate) async fn until(&self, what: &str, is: impl Fn(&Self) -> bool) {
        self.until_after(what, || (), is).await;
    }

    /// Does `again` until `is`.
    pub(crate) async fn until_after(&self, what: &str, again: impl Fn(), is: impl Fn(&Self) -> bool) {
        let deadline = tokio::time::Instant::now() + super::PATIENCE;
        while !is(self) {
            let notes = self.notes();
            let last = &notes[notes.len().saturating_sub(10)..];
            assert!(tokio::time::Instant::now() < deadline, "until {what}; last heard: {last:?}");
            again();
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

impl PeerInbox for Heard {
    fn cast(&self, from: NodeId, lane: Lane, envelope: Envelope) -> Eventually<()> {
        let mut held = self.held.subscribe();
        let (notes, n) = (self.notes.clone(), value(&envelope));
        Box::pin(async move {
            drop(held.wait_for(|held| !held.contains(&lane.class)).await);
            notes.lock().unwrap().push(Note::Cast(from, lane, n));
        })
    }

    fn ask(&self, from: NodeId, lane: Lane, envelope: Envelope) -> Eventually<Result<Envelope, Rejection>> {
        self.note(Note::Ask(from, lane, value(&envelope)));
        Box::pin(async move {
            match envelope.kind {
                SLOW => tokio::time::sleep(Duration::from_millis(200)).await,
                NEVER => std::future::pending().await,
                REFUSE => return Err(Rejection::Busy { retry_after_ms: 7 }),
                _ => {}
            }
            Ok(envelope)
        })
    }

    fn whisper(&self, from: NodeId, envelope: Envelope) {
        self.note(Note::Whisper(from, value(&envelope)));
    }

    fn changed(&self, node: NodeId, change: PeerChange) {
        self.note(Note::Changed(node, change));
    }
}
