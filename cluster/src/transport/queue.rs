//! What waits to go out on one track of a link, bounded in frames and, with its class, in bytes.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use bytes::BytesMut;
use tokio::sync::mpsc;

use super::{
    frame::Frame,
    limits::{BATCH_BYTES, LANE_FRAMES_MAX},
};

/// Bytes that wait in one class, over all its lanes.
#[derive(Debug, Clone)]
pub(super) struct Budget {
    waiting: Arc<AtomicUsize>,
    bytes_max: usize,
}

impl Budget {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self { waiting: Arc::default(), bytes_max }
    }

    fn take(&self, bytes: usize) -> bool {
        let fits = |waiting: usize| waiting.checked_add(bytes).filter(|sum| *sum <= self.bytes_max);
        self.waiting.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).is_ok()
    }

    fn give_back(&self, bytes: usize) {
        self.waiting.fetch_sub(bytes, Ordering::Relaxed);
    }

    pub(super) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }
}

/// Why a frame was not queued.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NotQueued {
    /// The track, or its class, is full.
    Full,
    /// The link is gone.
    Gone,
}

/// The end that frames are put in.
#[derive(Debug, Clone)]
pub(super) struct Queue {
    frames: mpsc::Sender<Frame>,
    budget: Budget,
}

/// The end that a track's writer takes from.
#[derive(Debug)]
pub(super) struct Outgoing {
    frames: mpsc::Receiver<Frame>,
    budget: Budget,
    taken: usize,
}

pub(super) fn queue(budget: Budget) -> (Queue, Outgoing) {
    let (sender, receiver) = mpsc::channel(LANE_FRAMES_MAX);
    (Queue { frames: sender, budget: budget.clone() }, Outgoing { frames: receiver, budget, taken: 0 })
}

impl Queue {
    pub(super) fn put(&self, frame: Frame) -> Result<(), NotQueued> {
        let bytes = frame.size();
        if !self.budget.take(bytes) {
            return Err(NotQueued::Full);
        }
        self.frames.try_send(frame).map_err(|error| {
            self.budget.give_back(bytes);
            match error {
                mpsc::error::TrySendError::Full(_) => NotQueued::Full,
                mpsc::error::TrySendError::Closed(_) => NotQueued::Gone,
            }
        })
    }
}

impl Outgoing {
    /// Waits for a frame, then takes what else is there, up to [`BATCH_BYTES`], as bytes to write.
    /// `None` when no more will come. Cancellation loses nothing before the first frame was there.
    pub(super) async fn batch(&mut self) -> Option<BytesMut> {
        self.written();
        let mut next = Some(self.frames.recv().await?);
        let mut out = BytesMut::with_capacity(BATCH_BYTES.min(next.as_ref().map_or(0, Frame::size) * 4));
        while let Some(frame) = next {
            self.taken += frame.size();
            if let Err(error) = frame.write(&mut out) {
                tracing::error!(%error, "a frame header does not fit its bound");
            }
            next = if out.len() < BATCH_BYTES { self.frames.try_recv().ok() } else { None };
        }
        Some(out)
    }

    /// The last batch is out: what it took of the budget is free again.
    fn written(&mut self) {
        self.budget.give_back(std::mem::take(&mut self.taken));
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use hubbub_protocol::peer::Envelope;

    use super::*;
    use crate::transport::limits::FRAME_HEADER_BYTES_MAX;

    fn frame(bytes: usize) -> Frame {
        Frame::cast(Envelope { kind: 1, map_version: 0, body: Bytes::from(vec![0; bytes]) })
    }

    #[tokio::test]
    async fn a_full_class_takes_more_only_when_something_was_written() {
        let budget = Budget::new(2 * (1_000 + FRAME_HEADER_BYTES_MAX));
        let (first, mut outgoing) = queue(budget.clone());
        let (second, _second_outgoing) = queue(budget.clone());
        assert_eq!(first.put(frame(1_000)), Ok(()));
        assert_eq!(second.put(frame(1_000)), Ok(()));
        assert_eq!(first.put(frame(0)), Err(NotQueued::Full), "lanes of a class share its bound");

        assert!(outgoing.batch().await.is_some());
        assert_eq!(first.put(frame(0)), Err(NotQueued::Full), "taken is not yet written");
        drop(tokio::time::timeout(std::time::Duration::ZERO, outgoing.batch()).await);
        assert_eq!(first.put(frame(1_000)), Ok(()));
    }

    #[test]
    fn a_track_takes_a_bounded_number_of_small_frames() {
        let (queue, outgoing) = queue(Budget::new(usize::MAX));
        (0..LANE_FRAMES_MAX).for_each(|_| assert_eq!(queue.put(frame(0)), Ok(())));
        assert_eq!(queue.put(frame(0)), Err(NotQueued::Full));
        drop(outgoing);
        assert_eq!(queue.put(frame(0)), Err(NotQueued::Gone));
        assert_eq!(
            queue.budget.waiting(),
            LANE_FRAMES_MAX * FRAME_HEADER_BYTES_MAX,
            "what was refused does not count"
        );
    }
}
