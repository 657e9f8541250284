//! Health and metrics: whether the process runs, whether it serves, and a handful of counts.

use std::{
    error::Error,
    sync::{
        Arc,
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
use hubbub_actors::Hub;
use hubbub_protocol::{ids::RoomId, time::Timestamp};
use prometheus::{Encoder, IntGauge, Registry, TextEncoder, process_collector::ProcessCollector};
use serde_json::json;

use crate::{disk::Disk, edge::conn::Edge, net::Seats, store::PoolGauges};

/// What health and metrics are read from.
#[derive(Debug)]
pub struct Readiness {
    hub: Hub,
    edge: Arc<Edge>,
    seats: Arc<Seats>,
    disk: Disk,
    started: Timestamp,
    stopping: AtomicBool,
    gauges: Gauges,
}

#[derive(Debug)]
struct Gauges {
    registry: Registry,
    by_name: Vec<(&'static str, IntGauge)>,
    pools: PoolGauges,
}

/// Name and meaning of each gauge; docs/metrics.md tells of them.
const GAUGES: &[(&str, &str)] = &[
    ("hubbub_connections", "WebSocket connections open"),
    ("hubbub_connections_public", "connections on the public listener, WebSocket or not"),
    ("hubbub_connections_max", "connections that the public listener takes"),
    ("hubbub_connections_refused", "connections refused since the start because there were too many"),
    ("hubbub_sessions", "sessions in memory, connected or waiting for their client"),
    ("hubbub_users_active", "users with a device here or somebody watching"),
    ("hubbub_rooms_active", "rooms in memory"),
    ("hubbub_relays", "relays in memory"),
    ("hubbub_shards_owned", "shards this node orders"),
    ("hubbub_events_appended", "events appended since the start"),
    ("hubbub_append_batches", "batches committed since the start"),
    ("hubbub_events_delivered", "events handed to connections since the start"),
    ("hubbub_sessions_begun", "sessions begun since the start"),
    ("hubbub_sessions_resumed", "sessions taken up again since the start"),
    ("hubbub_actors_failed", "actors that failed since the start"),
    ("hubbub_actors_passivated", "sessions and rooms that left memory to make place since the start"),
    ("hubbub_uptime_seconds", "seconds since the start"),
];

impl Gauges {
    fn new() -> Self {
        let registry = Registry::new();
        let mut by_name = Vec::new();
        for (name, help) in GAUGES {
            if let Ok(gauge) = IntGauge::new(*name, *help)
                && registry.register(Box::new(gauge.clone())).is_ok()
            {
                by_name.push((*name, gauge));
            }
        }
        // Without /proc there is nothing to tell of the process, and the rest is told all the same.
        let _ = registry.register(Box::new(ProcessCollector::for_self()));
        let pools = PoolGauges::register(&registry);
        Self { registry, by_name, pools }
    }
}

impl Readiness {
    /// Reads from these.
    #[must_use]
    pub fn new(hub: Hub, edge: Arc<Edge>, seats: Arc<Seats>, disk: Disk) -> Arc<Self> {
        let started = hub.now();
        Arc::new(Self { hub, edge, seats, disk, started, stopping: AtomicBool::new(false), gauges: Gauges::new() })
    }

    /// From now on the node says that it does not serve.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
    }

    /// Why the node does not serve; empty when it does.
    async fn reasons(&self) -> Vec<String> {
        let mut reasons = Vec::new();
        if self.stopping.load(Ordering::Acquire) {
            reasons.push("the node is stopping".to_owned());
        }
        if let Err(error) = self.hub.store().heads(&[RoomId::from_raw(0)]).await {
            reasons.push(format!("the store does not answer: {error}"));
        }
        if let Err(error) = self.hub.store().check_writes().await {
            reasons.push(format!(
                "the store cannot write, and sends are refused until it can: make room if the disk is full ({})",
                root(&error)
            ));
        }
        reasons
    }

    fn text(&self) -> Result<Vec<u8>, prometheus::Error> {
        let status = self.hub.observe();
        let uptime_s = self.hub.now().ms_since(self.started) / 1_000;
        let values = [
            self.edge.connections.len() as u64,
            self.seats.taken(),
            self.seats.max(),
            self.seats.refused(),
            status.sessions as u64,
            status.users as u64,
            status.rooms_active as u64,
            status.relays as u64,
            u64::from(status.shards),
            status.appended,
            status.batches,
            status.delivered,
            status.sessions_begun,
            status.sessions_resumed,
            status.actors_failed,
            status.passivated,
            uptime_s,
        ];
        for ((_, gauge), value) in self.gauges.by_name.iter().zip(values) {
            gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        }
        self.gauges.pools.set(&self.hub.store().pools());
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.gauges.registry.gather(), &mut text)?;
        Ok(text)
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
    let reasons = readiness.reasons().await;
    let status = if reasons.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let warnings: Vec<String> = readiness.disk.warning().into_iter().collect();
    (status, Json(json!({"ready": reasons.is_empty(), "reasons": reasons, "warnings": warnings}))).into_response()
}

async fn metrics(State(readiness): State<Arc<Readiness>>) -> Response {
    match readiness.text() {
        Ok(text) => ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}
