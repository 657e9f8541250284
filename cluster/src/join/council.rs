//! What the desk asks of the control plane.

use std::fmt::Debug;

use async_trait::async_trait;
use hubbub_protocol::ids::NodeId;

use crate::control::{Answer, Command, Control};

/// The control plane, as joining needs it.
#[async_trait]
pub trait Council: Send + Sync + Debug {
    /// Who leads, as far as this node knows.
    fn leader(&self) -> Option<NodeId>;

    /// Returns `true` once [`look`](Self::look) shows all that was agreed before the call: on the leader alone.
    async fn confirm(&self) -> bool;

    /// Looks at the facts of this node. Without any where it takes no part in Raft.
    fn look(&self, look: &mut dyn FnMut(&Control));

    /// The roots that certificates may end in, DER, as every node knows them.
    fn roots(&self) -> Vec<Vec<u8>>;

    /// The version of this node's map, for what it sends.
    fn map_version(&self) -> u64;

    /// Proposes `command`, here or at the leader.
    ///
    /// # Errors
    /// A sentence: nobody has answered in time.
    async fn propose(&self, command: Command) -> Result<Answer, String>;
}
