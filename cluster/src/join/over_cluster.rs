//! The running cluster as the desk's council.

use async_trait::async_trait;
use hubbub_protocol::{ids::NodeId, ports::Placement};

use super::council::Council;
use crate::{
    control::{Answer, Command, Control},
    runtime::Cluster,
};

#[async_trait]
impl Council for Cluster {
    fn leader(&self) -> Option<NodeId> {
        Self::leader(self)
    }

    async fn confirm(&self) -> bool {
        Self::confirm(self).await.is_ok()
    }

    fn look(&self, look: &mut dyn FnMut(&Control)) {
        self.facts(|control| look(control));
    }

    fn roots(&self) -> Vec<Vec<u8>> {
        self.map().head.roots.clone()
    }

    fn map_version(&self) -> u64 {
        Placement::map_version(self)
    }

    async fn propose(&self, command: Command) -> Result<Answer, String> {
        Self::propose(self, command).await.map_err(|failure| failure.to_string())
    }
}
