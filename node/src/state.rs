//! What every request handler of a node can reach.

use std::sync::{Arc, OnceLock};

use hubbub_actors::Hub;
use hubbub_protocol::{
    ids::TsidGenerator,
    ports::{Clock, Placement},
    time::Timestamp,
};
use hubbub_storage::Store;
use serde::Serialize;
use tokio::sync::Mutex;

use crate::{
    auth::{Auth, Registration},
    doctor::gather::Surroundings,
    http::limits::Limits,
    logs::Levels,
    member::Member,
    metrics::Routes,
};

/// What an operator may know of how a node runs: `GET /v1/admin/settings`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Settings {
    /// The product's version.
    pub version: String,
    /// Who may make an account.
    pub registration: Registration,
    /// Seconds an access token is good for.
    pub access_ttl_s: u64,
    /// Milliseconds between two heartbeats of a client.
    pub heartbeat_ms: u64,
    /// Whether rate limits are on.
    pub rate_limits: bool,
    /// Address and port for clients.
    pub listen: String,
    /// Whether they speak TLS there.
    pub tls: bool,
    /// Where the store is, without what would open it: `sqlite` or the like.
    pub store: String,
}

/// The parts of a node, as its handlers see it.
#[derive(Debug)]
pub struct AppState {
    /// Where accounts, logs and the rest are kept.
    pub store: Arc<dyn Store>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Makes ids.
    pub ids: Arc<TsidGenerator>,
    /// Which node owns what.
    pub placement: Arc<dyn Placement>,
    /// Who may sign in, and how.
    pub auth: Auth,
    /// How often anyone may ask.
    pub limits: Limits,
    /// Which lines are logged.
    pub levels: Arc<Levels>,
    /// Requests by route.
    pub routes: Routes,
    /// How the node runs.
    pub settings: Settings,
    /// What `doctor` looks at beside the rest.
    pub surroundings: Surroundings,
    /// Held by an import, so that one follows the other: two at once would each make what neither has
    /// found, and one whose asker has gone is still at work when the next one begins.
    pub importing: Arc<Mutex<()>>,
    /// What this node is in a cluster, once it takes part in one.
    pub member: OnceLock<Member>,
    /// The actors.
    pub hub: Hub,
}

/// A node's parts, shared by its handlers.
pub type App = Arc<AppState>;

impl AppState {
    /// The store.
    #[must_use]
    pub fn store(&self) -> &dyn Store {
        &*self.store
    }

    /// The time now.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The next raw id.
    #[must_use]
    pub fn next_id(&self) -> u64 {
        self.ids.next(u64::try_from(self.now().0).unwrap_or(0))
    }
}
