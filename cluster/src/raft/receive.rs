//! Taking what other nodes say: the other end of [`network`](super::network).

use async_trait::async_trait;
use bytes::Bytes;
use hubbub_protocol::ids::NodeId;
use openraft::Snapshot;
use parking_lot::Mutex;

use super::{
    types::Types,
    wire::{Message, Part, RaftEar, Reply},
};
use crate::control::wire::CONTROL_BYTES_MAX;

/// The parts of one snapshot that have come so far. One at a time: there is one leader.
#[derive(Debug)]
struct Kept {
    snapshot_id: String,
    bytes: Vec<u8>,
}

/// Hands what comes in to openraft.
pub(super) struct Ear {
    pub(super) raft: openraft::Raft<Types>,
    kept: Mutex<Option<Kept>>,
}

impl Ear {
    pub(super) fn new(raft: openraft::Raft<Types>) -> Self {
        Self { raft, kept: Mutex::default() }
    }

    /// `None` when Raft has stopped here.
    async fn answer(&self, message: Message) -> Option<Reply> {
        match message {
            Message::Append(request) => self.raft.append_entries(request).await.ok().map(Reply::Append),
            Message::Vote(request) => self.raft.vote(request).await.ok().map(Reply::Vote),
            Message::Part(part) => self.keep(part).await,
        }
    }

    async fn keep(&self, part: Part) -> Option<Reply> {
        let (vote, meta, total) = (part.vote, part.meta.clone(), part.total);
        let bytes = match self.add(part) {
            Ok(bytes) => bytes,
            Err(reply) => return Some(reply),
        };
        let whole = u64::try_from(bytes.len()).is_ok_and(|len| len == total);
        if !whole {
            *self.kept.lock() = Some(Kept { snapshot_id: meta.snapshot_id, bytes });
            return Some(Reply::More);
        }
        let snapshot = Snapshot { meta, snapshot: Box::new(bytes) };
        let installed = self.raft.install_full_snapshot(vote, snapshot).await.ok()?;
        Some(Reply::Installed(installed.vote))
    }

    /// What is kept with `part` behind it, if it follows.
    fn add(&self, part: Part) -> Result<Vec<u8>, Reply> {
        let kept = self.kept.lock().take().filter(|kept| kept.snapshot_id == part.meta.snapshot_id);
        let mut bytes = kept.filter(|_| part.offset > 0).map(|kept| kept.bytes).unwrap_or_default();
        let follows = u64::try_from(bytes.len()).is_ok_and(|len| len == part.offset);
        let fits = bytes.len() + part.bytes.len() <= CONTROL_BYTES_MAX;
        if !follows || !fits {
            return Err(Reply::FromStart);
        }
        bytes.extend(part.bytes);
        Ok(bytes)
    }
}

#[async_trait]
impl RaftEar for Ear {
    async fn hear(&self, from: NodeId, message: Bytes) -> Option<Bytes> {
        let message = Message::from_bytes(&message).ok()?;
        // A vote names its node: nobody speaks for another.
        if message.speaker() != Some(from.0) {
            tracing::warn!(node.id = %from, "node {from} spoke to Raft under another number");
            return None;
        }
        self.answer(message).await?.to_bytes().ok()
    }
}
