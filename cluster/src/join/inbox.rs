//! Hands the desk what is the desk's, and everything else on.

use std::sync::{Arc, OnceLock, Weak};

use hubbub_protocol::{
    ids::NodeId,
    peer::{Envelope, Eventually, Lane, PeerChange, PeerInbox, PeerMessage, Rejection},
};

use super::{
    answer::{Judged, Renewed, TokensTold},
    desk::Desk,
    request::{DESK_KINDS, Knocked, RenewalWanted, TokensWanted},
};

/// When an asker should come back who came before the desk was open.
const NOT_OPEN_RETRY_MS: u32 = 200;

/// The inbox that a transport of a member hands to: made first, and given its desk later.
#[derive(Debug)]
pub struct DeskInbox {
    desk: OnceLock<Weak<Desk>>,
    next: Arc<dyn PeerInbox>,
}

impl DeskInbox {
    /// In front of `next`.
    #[must_use]
    pub fn over(next: Arc<dyn PeerInbox>) -> Arc<Self> {
        Arc::new(Self { desk: OnceLock::new(), next })
    }

    /// Lets `desk` answer from now on, as long as somebody holds it. Once: a second call does nothing.
    pub fn set_desk(&self, desk: &Arc<Desk>) {
        // A second desk would answer the same.
        drop(self.desk.set(Arc::downgrade(desk)));
    }
}

impl PeerInbox for DeskInbox {
    fn cast(&self, from: NodeId, lane: Lane, envelope: Envelope) -> Eventually<()> {
        self.next.cast(from, lane, envelope)
    }

    fn ask(&self, from: NodeId, lane: Lane, envelope: Envelope) -> Eventually<Result<Envelope, Rejection>> {
        if !DESK_KINDS.contains(&envelope.kind) {
            return self.next.ask(from, lane, envelope);
        }
        match self.desk.get().and_then(Weak::upgrade) {
            Some(desk) => Box::pin(async move { answer(&desk, from, &envelope).await }),
            None => Box::pin(std::future::ready(Err(Rejection::Busy { retry_after_ms: NOT_OPEN_RETRY_MS }))),
        }
    }

    fn whisper(&self, from: NodeId, envelope: Envelope) {
        self.next.whisper(from, envelope);
    }

    fn changed(&self, node: NodeId, change: PeerChange) {
        self.next.changed(node, change);
    }
}

async fn answer(desk: &Desk, from: NodeId, envelope: &Envelope) -> Result<Envelope, Rejection> {
    let version = desk.map_version();
    match envelope.kind {
        Knocked::KIND => pack(version, &Judged(desk.judge(&envelope.open()?).await)),
        RenewalWanted::KIND => {
            let RenewalWanted { request } = envelope.open()?;
            pack(version, &Renewed(desk.sign_again(from, &request.into()).await))
        }
        TokensWanted::KIND => {
            let TokensWanted = envelope.open()?;
            pack(version, &TokensTold(desk.tell_tokens().await))
        }
        _ => Err(Rejection::UnknownKind),
    }
}

fn pack<M: PeerMessage>(version: u64, message: &M) -> Result<Envelope, Rejection> {
    Envelope::pack(version, message).map_err(|_| Rejection::Malformed)
}
