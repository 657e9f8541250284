//! One look at the cluster, by way of one running node.

use crate::{
    cli::{admin_link::AdminLink, failure::Failure},
    http::{
        admin::Nodes,
        admin_hot::{HotBy, HotRooms},
        admin_nodes::ClusterView,
    },
};

/// Rooms asked for: more than a terminal has lines, and what one page may hold.
const ROOMS: usize = 100;

/// What was seen.
#[derive(Debug, Clone)]
pub(super) struct Look {
    /// How each node says that it is.
    pub(super) nodes: Nodes,
    /// The cluster; none of a node that is alone.
    pub(super) cluster: Option<ClusterView>,
    /// The rooms that cost most.
    pub(super) hot: HotRooms,
}

impl Look {
    /// Looks.
    ///
    /// # Errors
    /// Those of the link.
    pub(super) async fn take(link: &AdminLink, by: HotBy) -> Result<Self, Failure> {
        let hot = format!("/v1/admin/rooms/hot?by={}&limit={ROOMS}", by.name());
        let (nodes, cluster, hot) =
            tokio::join!(link.get("/v1/admin/nodes"), link.get("/v1/admin/cluster"), link.get(&hot));
        let cluster = match cluster {
            Ok(cluster) => Some(cluster),
            // It is not one of a cluster.
            Err(Failure::Conflict(_)) => None,
            Err(failure) => return Err(failure),
        };
        Ok(Self { nodes: nodes?, cluster, hot: hot? })
    }
}
