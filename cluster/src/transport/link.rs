//! One connection to a peer, seen from what is sent: its queues, its asks, and how it ends.

use std::{collections::BTreeMap, fmt, time::Duration};

use bytes::Bytes;
use hubbub_protocol::{
    ids::NodeId,
    peer::{Class, Envelope, Lane, SendError},
};
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use super::{
    Carried,
    asks::{Asks, Waiting},
    frame::Frame,
    limits::{BUSY_RETRY_AFTER, WHISPER_BYTES_MAX, class_bytes_max},
    queue::{Budget, NotQueued, Outgoing, Queue, queue},
    track::{Purpose, Track},
};
use hubbub_protocol::peer::PEER_MESSAGE_BYTES_MAX;

/// The far side's wire, for what does not ride a track.
pub(super) trait Wire: Send + Sync + fmt::Debug {
    /// Sends a datagram, or drops it.
    fn whisper(&self, datagram: Bytes);

    /// What it has carried, if it counts.
    fn carried(&self) -> Carried {
        Carried::default()
    }
}

/// Whose link it is; decides which of two links to a peer is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Origin {
    /// The node that dialled.
    pub(super) dialled_by: NodeId,
    /// The peer's run: a number that it draws at each start.
    pub(super) incarnation: u64,
}

/// A live link.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) peer: NodeId,
    pub(super) purpose: Purpose,
    pub(super) origin: Origin,
    pub(super) asks: Asks,
    /// Set when the link is to end; whoever serves it then stops.
    pub(super) over: CancellationToken,
    queues: BTreeMap<Track, Queue>,
    budgets: BTreeMap<Class, Budget>,
    outgoing: Mutex<Vec<(Track, Outgoing)>>,
    wire: Box<dyn Wire>,
}

impl Link {
    pub(super) fn new(peer: NodeId, purpose: Purpose, origin: Origin, wire: Box<dyn Wire>) -> Self {
        let budgets: BTreeMap<Class, Budget> =
            Class::ALL.map(|class| (class, Budget::new(class_bytes_max(class)))).into();
        let mut queues = BTreeMap::new();
        let mut outgoing = Vec::new();
        for track in Track::all(purpose) {
            // Answers are bounded by themselves: a class full of casts must not hold back an answer.
            let budget = match track {
                Track::Lane(lane) => budgets[&lane.class].clone(),
                Track::Answers(class) => Budget::new(class_bytes_max(class)),
            };
            let (put, take) = queue(budget);
            queues.insert(track, put);
            outgoing.push((track, take));
        }
        let over = CancellationToken::new();
        Self {
            peer,
            purpose,
            origin,
            asks: Asks::default(),
            over,
            queues,
            budgets,
            outgoing: outgoing.into(),
            wire,
        }
    }

    /// The ends that writers take from; given once.
    pub(super) fn take_outgoing(&self) -> Vec<(Track, Outgoing)> {
        std::mem::take(&mut *self.outgoing.lock())
    }

    /// Bytes that wait in `class`.
    pub(super) fn waiting_bytes(&self, class: Class) -> usize {
        self.budgets[&class].waiting()
    }

    /// What it has carried.
    pub(super) fn carried(&self) -> Carried {
        self.wire.carried()
    }

    /// Whether this link is kept and `older` ended, when both lead to one peer: the one that the lower node dialled,
    /// so that both ends keep the same; but a peer that started anew is believed at once.
    pub(super) fn replaces(&self, older: &Self, me: NodeId) -> bool {
        let lower = me.min(self.peer);
        self.origin.incarnation != older.origin.incarnation
            || self.origin.dialled_by == lower
            || older.origin.dialled_by != lower
    }

    pub(super) fn cast(&self, lane: Lane, envelope: Envelope) -> Result<(), SendError> {
        self.put(Track::Lane(lane), Frame::cast(envelope))
    }

    pub(super) fn ask(&self, lane: Lane, envelope: Envelope, timeout: Duration) -> Result<Waiting, SendError> {
        let waiting = self.asks.begin().ok_or_else(|| self.busy())?;
        let deadline_ms = u32::try_from(timeout.as_millis()).unwrap_or(u32::MAX);
        self.put(Track::Lane(lane), Frame::ask(waiting.id, deadline_ms, envelope))?;
        Ok(waiting)
    }

    pub(super) fn whisper(&self, envelope: Envelope) -> Result<(), SendError> {
        let frame = Frame::whisper(envelope);
        let bytes = frame.size();
        let datagram = frame.to_bytes().ok().filter(|_| bytes <= WHISPER_BYTES_MAX);
        let datagram = datagram.ok_or(SendError::TooLarge { bytes, bytes_max: WHISPER_BYTES_MAX })?;
        self.wire.whisper(datagram.freeze());
        Ok(())
    }

    /// Puts `frame` on `track`, or says why not.
    pub(super) fn put(&self, track: Track, frame: Frame) -> Result<(), SendError> {
        if frame.body.len() > PEER_MESSAGE_BYTES_MAX {
            return Err(SendError::TooLarge { bytes: frame.body.len(), bytes_max: PEER_MESSAGE_BYTES_MAX });
        }
        if self.over.is_cancelled() {
            return Err(SendError::Unreachable { node: self.peer });
        }
        let Some(queue) = self.queues.get(&track) else {
            let number = track.preamble()[1];
            return Err(SendError::NoLane { lane: Lane { class: track.class(), number } });
        };
        queue.put(frame).map_err(|error| match error {
            NotQueued::Full => self.busy(),
            NotQueued::Gone => SendError::Unreachable { node: self.peer },
        })
    }

    fn busy(&self) -> SendError {
        SendError::Busy { node: self.peer, retry_after: BUSY_RETRY_AFTER }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Nowhere;
    impl Wire for Nowhere {
        fn whisper(&self, _datagram: Bytes) {}
    }

    fn link(me_dialled: bool, incarnation: u64) -> Link {
        let dialled_by = if me_dialled { NodeId(1) } else { NodeId(2) };
        Link::new(NodeId(2), Purpose::Main, Origin { dialled_by, incarnation }, Box::new(Nowhere))
    }

    #[test]
    fn of_two_links_both_ends_keep_the_one_that_the_lower_node_dialled() {
        let me = NodeId(1);
        assert!(link(true, 5).replaces(&link(false, 5), me));
        assert!(!link(false, 5).replaces(&link(true, 5), me));
        assert!(link(true, 5).replaces(&link(true, 5), me), "a node that dials again has lost the first");
        assert!(link(false, 6).replaces(&link(true, 5), me), "a peer that started anew has lost all links");
    }

    #[test]
    fn what_cannot_be_sent_is_refused_by_name() {
        let link = link(true, 5);
        let envelope = |bytes| Envelope { kind: 1, map_version: 0, body: Bytes::from(vec![0; bytes]) };
        let lane = |class, number| Lane { class, number };
        let no_lane = lane(Class::Append, 8);
        assert_eq!(link.cast(no_lane, envelope(1)), Err(SendError::NoLane { lane: no_lane }));
        let bulk = lane(Class::Bulk, 0);
        assert_eq!(link.cast(bulk, envelope(1)), Err(SendError::NoLane { lane: bulk }), "bulk has its own link");
        let bytes = PEER_MESSAGE_BYTES_MAX + 1;
        let too_large = SendError::TooLarge { bytes, bytes_max: PEER_MESSAGE_BYTES_MAX };
        assert_eq!(link.cast(lane(Class::Raft, 0), envelope(bytes)), Err(too_large));
        assert!(matches!(link.whisper(envelope(WHISPER_BYTES_MAX)), Err(SendError::TooLarge { .. })));
        link.over.cancel();
        let gone = SendError::Unreachable { node: NodeId(2) };
        assert_eq!(link.cast(lane(Class::Raft, 0), envelope(1)), Err(gone));
    }
}
