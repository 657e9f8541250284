//! Raft over the transport.
//!
//! Heartbeats and votes ride a lane of their own, so that they do not wait behind entries; parts of snapshots go in
//! bulk. Raft's bytes have a version of their own and are not packed again.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use hubbub_protocol::{
    ids::NodeId,
    peer::{AskError, Class, Envelope, Lane, PEER_MESSAGE_BYTES_MAX, Rejection},
};

use super::{
    core::Core,
    wire::{RAFT_CALL, RAFT_REPLY},
};
use crate::{
    raft::{MESSAGE_BYTES_MAX, Peer, RaftEar as _, RaftWire, Urgency, WireError},
    transport::Transport,
};

const _: () = assert!(MESSAGE_BYTES_MAX <= PEER_MESSAGE_BYTES_MAX, "what Raft says must fit a message");

/// Longest wait for an answer; Raft's own deadlines are shorter, but for a part of a snapshot.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// See the module.
pub(super) struct Wire(pub(super) Arc<dyn Transport>);

const fn lane(urgency: Urgency) -> Lane {
    match urgency {
        Urgency::Beat => Lane { class: Class::Raft, number: 0 },
        Urgency::Entries => Lane { class: Class::Raft, number: 1 },
        Urgency::Part => Lane { class: Class::Bulk, number: 0 },
    }
}

#[async_trait]
impl RaftWire for Wire {
    async fn call(&self, to: NodeId, _: &Peer, urgency: Urgency, message: Bytes) -> Result<Bytes, WireError> {
        let envelope = Envelope { kind: RAFT_CALL, map_version: 0, body: message };
        match self.0.ask(to, lane(urgency), envelope, ANSWER_WITHIN).await {
            Ok(reply) if reply.kind == RAFT_REPLY => Ok(reply.body),
            Err(AskError::Send(_) | AskError::Rejected(Rejection::Busy { .. })) => Err(WireError::Unreachable),
            Ok(_) | Err(AskError::Rejected(_) | AskError::TimedOut { .. } | AskError::Lost { .. }) => {
                Err(WireError::NoAnswer)
            }
        }
    }
}

impl Core {
    pub(super) async fn hear_raft(&self, from: NodeId, envelope: Envelope) -> Result<Envelope, Rejection> {
        let reply = self.raft.hear(from, envelope.body).await.ok_or(Rejection::Malformed)?;
        Ok(Envelope { kind: RAFT_REPLY, map_version: 0, body: reply })
    }
}
