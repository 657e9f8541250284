//! The bus of a node that has no others.

use std::time::Duration;

use super::{AskError, Envelope, Eventually, Lane, PeerBus, SendError};
use crate::ids::NodeId;

/// Reaches nobody. Holds the number of the node.
#[derive(Debug, Clone, Copy)]
pub struct Alone(pub NodeId);

impl PeerBus for Alone {
    fn this_node(&self) -> NodeId {
        self.0
    }

    fn cast(&self, to: NodeId, _lane: Lane, _envelope: Envelope) -> Result<(), SendError> {
        Err(SendError::Unreachable { node: to })
    }

    fn ask(
        &self,
        to: NodeId,
        _lane: Lane,
        _envelope: Envelope,
        _timeout: Duration,
    ) -> Eventually<Result<Envelope, AskError>> {
        Box::pin(std::future::ready(Err(SendError::Unreachable { node: to }.into())))
    }

    fn whisper(&self, to: NodeId, _envelope: Envelope) -> Result<(), SendError> {
        Err(SendError::Unreachable { node: to })
    }
}
