//! Health and metrics over HTTP: whether the process runs, whether it serves, and why not.
//!
//! The admin listener answers from the first moment on, so that an operator sees what a node waits for that does not
//! serve yet; the public one begins with the rest.

use std::{
    error::Error,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
};

use axum::{
    Json, Router,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use hubbub_cluster::{control::MemberState, runtime::ClusterStatus};
use hubbub_protocol::ids::RoomId;
use hubbub_storage::ErrorChain;
use serde_json::json;

use crate::{disk::Disk, metrics::Metrics, state::App};

/// What health and metrics are read from.
#[derive(Debug)]
pub struct Readiness {
    disk: Disk,
    stopping: AtomicBool,
    /// The node's parts, once they are up.
    up: OnceLock<(App, Metrics)>,
}

/// What keeps a node from serving, and what it serves in spite of.
#[derive(Debug, Default, PartialEq, Eq)]
struct Findings {
    reasons: Vec<String>,
    warnings: Vec<String>,
}

impl Readiness {
    /// Of a node that starts.
    #[must_use]
    pub fn starting(disk: Disk) -> Arc<Self> {
        Arc::new(Self { disk, stopping: AtomicBool::new(false), up: OnceLock::new() })
    }

    /// From now on the node serves, if its parts are well.
    pub fn is_up(&self, app: App, metrics: Metrics) {
        // The first counts; a node comes up once.
        let _ = self.up.set((app, metrics));
    }

    /// From now on the node says that it does not serve.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
    }

    async fn findings(&self) -> Findings {
        let mut found = Findings::default();
        found.warnings.extend(self.disk.warning());
        if self.stopping.load(Ordering::Acquire) {
            found.reasons.push("the node is stopping".to_owned());
        }
        let Some((app, _)) = self.up.get() else {
            found.reasons.push(STARTING.to_owned());
            return found;
        };
        if let Err(error) = app.store.heads(&[RoomId::from_raw(0)]).await {
            found.reasons.push(format!("the store does not answer: {}", ErrorChain(&error)));
        }
        if let Err(error) = app.store.check_writes().await {
            let why = match error.trouble() {
                Some(trouble) => trouble.to_string(),
                None => format!("make room if the disk is full ({})", root(&error)),
            };
            found.reasons.push(format!("the store cannot write, and sends are refused until it can: {why}"));
        }
        if let Some(member) = app.member.get() {
            of_cluster(&mut found, &member.cluster.status());
        }
        found
    }
}

const STARTING: &str =
    "the node is starting: it opens its store, and a member of a cluster waits until that knows of it";

/// What the cluster adds: a node that lost it goes on as far as the fence lets it.
fn of_cluster(found: &mut Findings, status: &ClusterStatus) {
    if status.superseded {
        let reason = "another process runs under this node's number, or the cluster has removed it: stop this one, \
                      and join anew if it is to come back";
        found.reasons.push(reason.to_owned());
    }
    if status.map_version == 0 {
        found
            .reasons
            .push("no map of the shards is known yet: `hubbub status` tells which nodes are linked".to_owned());
    }
    if status.leader.is_none() {
        let warning = "no leader is known: without a majority of the voters nothing is moved and nobody joins; \
                       rooms go on";
        found.warnings.push(warning.to_owned());
    }
    if status.coasting {
        let warning = "no leader has confirmed this node for a while: what it orders goes on under the fence, and \
                       what it says of presence and rights may be old; see `hubbub doctor`";
        found.warnings.push(warning.to_owned());
    }
    let state = status.members.iter().find(|known| known.node == status.node).map(|known| known.member.state);
    if state == Some(MemberState::Draining) {
        let warning = "this node is being drained: it serves what it has and is given nothing more";
        found.warnings.push(warning.to_owned());
    }
}

/// The deepest cause of an error, which says what went wrong.
fn root(mut error: &dyn Error) -> String {
    while let Some(cause) = error.source() {
        error = cause;
    }
    error.to_string()
}

/// `/healthz` and `/readyz`, for the public listener.
pub fn router(readiness: &Arc<Readiness>) -> Router {
    Router::new()
        .route("/healthz", get(async || Json(json!({"status": "ok"}))))
        .route("/readyz", get(readyz))
        .with_state(readiness.clone())
}

/// The same and `/metrics`, for the admin listener.
pub fn admin_router(readiness: &Arc<Readiness>) -> Router {
    let metrics = Router::new().route("/metrics", get(metrics)).with_state(readiness.clone());
    router(readiness).merge(metrics)
}

async fn readyz(State(readiness): State<Arc<Readiness>>) -> Response {
    let Findings { reasons, warnings } = readiness.findings().await;
    let status = if reasons.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(json!({"ready": reasons.is_empty(), "reasons": reasons, "warnings": warnings}))).into_response()
}

async fn metrics(State(readiness): State<Arc<Readiness>>) -> Response {
    let Some((_, metrics)) = readiness.up.get() else {
        return (StatusCode::SERVICE_UNAVAILABLE, STARTING).into_response();
    };
    match metrics.text() {
        Ok(text) => ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

#[cfg(test)]
mod tests;
