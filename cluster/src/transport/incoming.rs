//! What arrives on a link goes to the inbox, in the order of its track.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use hubbub_protocol::peer::{Envelope, Lane, PeerInbox, Rejection};
use tokio::sync::Semaphore;

use super::{
    frame::{Frame, FrameError, Header},
    limits::{ASK_TIMEOUT_MAX, ASKS_ANSWERING_MAX},
    link::Link,
    track::Track,
};

/// What a peer sent that no sound node sends. The link is closed with this sentence.
#[derive(Debug, thiserror::Error)]
pub(super) enum Violation {
    #[error("the peer sent {0}")]
    Frame(#[from] FrameError),
    #[error("the peer sent a frame where its kind does not belong")]
    Misplaced,
    #[error("the peer opened a stream that is no lane of this link, or one twice")]
    Stream,
}

/// Receives for one link.
#[derive(Debug, Clone)]
pub(super) struct Incoming {
    link: Arc<Link>,
    inbox: Arc<dyn PeerInbox>,
    answering: Arc<Semaphore>,
}

impl Incoming {
    pub(super) fn new(link: Arc<Link>, inbox: Arc<dyn PeerInbox>) -> Self {
        Self { link, inbox, answering: Arc::new(Semaphore::new(ASKS_ANSWERING_MAX)) }
    }

    /// Hands on one frame; the track's next one waits until this is done.
    pub(super) async fn take(&self, track: Track, frame: Frame) -> Result<(), Violation> {
        let Frame { header, body } = frame;
        match (track, header) {
            (Track::Lane(lane), Header::Cast { kind, map_version }) => {
                self.inbox.cast(self.link.peer, lane, Envelope { kind, map_version, body }).await;
            }
            (Track::Lane(lane), Header::Ask { id, deadline_ms, kind, map_version }) => {
                let deadline = Duration::from_millis(deadline_ms.into());
                self.answer(lane, id, deadline, Envelope { kind, map_version, body }).await;
            }
            (Track::Answers(_), Header::Answer { id, kind, map_version }) => {
                self.link.asks.resolve(id, Ok(Envelope { kind, map_version, body }));
            }
            (Track::Answers(_), Header::Rejected { id, rejection }) => self.link.asks.resolve(id, Err(rejection)),
            _ => return Err(Violation::Misplaced),
        }
        Ok(())
    }

    /// Hands on a datagram. One that cannot be read is a violation: datagrams are whole or lost.
    pub(super) fn whisper(&self, datagram: &Bytes) -> Result<(), Violation> {
        let Frame { header, body } = Frame::from_bytes(datagram).map_err(FrameError::from)?;
        let Header::Whisper { kind, map_version } = header else { return Err(Violation::Misplaced) };
        self.inbox.whisper(self.link.peer, Envelope { kind, map_version, body });
        Ok(())
    }

    /// Begins an answer, and lets it finish in its own time.
    async fn answer(&self, lane: Lane, id: u64, deadline: Duration, envelope: Envelope) {
        // Closed never; the permit is the bound on answers under way.
        let Ok(permit) = self.answering.clone().acquire_owned().await else { return };
        let link = self.link.clone();
        let answers = Track::Answers(lane.class);
        if deadline.is_zero() {
            drop(link.put(answers, Frame::answer(id, Err(Rejection::Late))));
            return;
        }
        let answer = self.inbox.ask(link.peer, lane, envelope);
        tokio::spawn(async move {
            let _permit = permit;
            let within = tokio::time::timeout(deadline.min(ASK_TIMEOUT_MAX), answer);
            let answer = tokio::select! {
                answer = within => answer,
                () = link.over.cancelled() => return,
            };
            // After the deadline the asker has gone. A full track drops the answer: its asker times out.
            if let Ok(answer) = answer
                && let Err(error) = link.put(answers, Frame::answer(id, answer))
            {
                tracing::warn!(node.id = %link.peer, %error, "an answer was dropped");
            }
        });
    }
}
