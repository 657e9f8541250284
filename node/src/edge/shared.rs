//! What every connection of a node shares.

use std::sync::Arc;

use hubbub_actors::Hub;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{auth::Auth, metrics::EdgeMeters};

/// How connections are treated.
#[derive(Debug, Clone)]
pub struct EdgeConfig {
    /// The node's name, told in `hello`.
    pub node: String,
    /// Milliseconds between two heartbeats of a client.
    pub heartbeat_ms: u64,
    /// Origins of pages that may connect, beside our own.
    pub origins: Vec<String>,
    /// Whether clients are limited in how much they ask.
    pub rate_limits: bool,
    /// Milliseconds within which clients are told to come back when the node stops.
    pub reconnect_after_ms: u64,
}

/// What every connection of this node shares.
#[derive(Debug)]
pub struct Edge {
    /// The actors.
    pub hub: Hub,
    /// Who somebody is.
    pub auth: Auth,
    /// How connections are treated.
    pub config: EdgeConfig,
    /// What is measured of connections.
    pub meters: Arc<EdgeMeters>,
    /// The tasks of all connections.
    pub connections: TaskTracker,
    /// Cancelled when the node stops: nobody is let in any more. Sessions are told by the actors.
    pub stopping: CancellationToken,
}
