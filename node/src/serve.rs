//! A node's life: hold the data directory, open the store, start the actors, listen, drain.

use std::{
    fs,
    future::IntoFuture,
    net::SocketAddr,
    os::unix::fs::PermissionsExt,
    path::Path,
    sync::{Arc, OnceLock},
    time::Duration,
};

use axum::{Router, routing::get};
use hubbub_actors::{Hub, HubConfig, Ports, session::SessionTokens};
use hubbub_cluster::SingleNode;
use hubbub_protocol::{
    ids::{SessionId, TsidGenerator, UserId},
    peer::{Alone, PeerBus},
    ports::{Clock, Placement},
    shard::ShardBits,
};
use hubbub_storage::Store;
use parking_lot::Mutex;
use tokio::{
    net::UnixListener,
    signal::unix::{Signal, SignalKind, signal},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    auth::{Auth, AuthConfig, SignOut, resume_token::ResumeTokens},
    belonging, cache,
    cli::failure::Failure,
    clock::SystemClock,
    config::NodeConfig,
    datadir::{DataDir, admin_socket},
    disk::Disk,
    doctor::gather::Surroundings,
    edge::{
        handshake,
        shared::{Edge, EdgeConfig},
    },
    health::{self, Readiness},
    http::{
        self,
        limits::{Limits, shared},
    },
    logs::Levels,
    member::Member,
    membership::{self, Membership},
    metrics::{EdgeMeters, Metrics, Parts, Routes},
    net::{self, Connections, Seats, Tls},
    standing,
    state::{App, AppState, Settings},
    store, web,
};

/// How long a stopping node waits for its connections to end.
const DRAIN_WITHIN: Duration = Duration::from_secs(20);

/// The node part of the ids of a node that has no others.
const ONLY_SLOT: u16 = 1;

/// A node whose parts are up, listening or not.
#[derive(Debug)]
pub struct Node {
    /// The parts, as handlers see them.
    pub app: App,
    /// The actors.
    pub hub: Hub,
    store: Arc<dyn Store>,
    data: DataDir,
}

/// Closes sockets through the hub, which is started after sign-in is.
#[derive(Debug, Default)]
struct LateSignOut(Mutex<Option<Hub>>);

impl SignOut for LateSignOut {
    fn sign_out(&self, sid: SessionId) {
        if let Some(hub) = &*self.0.lock() {
            hub.sessions().sign_out(sid);
        }
    }
}

/// Resume tokens of this installation.
#[derive(Debug)]
struct Tokens(ResumeTokens);

impl SessionTokens for Tokens {
    fn mint(&self, session: u64, user: UserId) -> String {
        self.0.seal(session, user)
    }

    fn open(&self, token: &str) -> Option<(u64, UserId)> {
        self.0.unseal(token)
    }
}

impl Node {
    /// Brings up the parts of the node whose data is in `data`, in a process that logs by `levels`. A member of a cluster waits until that knows of it.
    ///
    /// # Errors
    /// A sentence with the remedy.
    pub async fn open(data: DataDir, config: &NodeConfig, levels: Arc<Levels>) -> Result<Self, Failure> {
        let membership = Membership::load(&data)?;
        if membership.is_some() {
            membership::needs_database(data.path(), &config.store, "be a member of a cluster")?;
        }
        let shared = store::open(&data, &config.store).await?;
        belonging::check(&*shared, &config.store.url, membership.as_ref()).await?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let member = match membership {
            Some(membership) => Some(Member::start(membership, &config.cluster, clock.clone()).await?),
            None => None,
        };
        let (placement, bus, id_slot): (Arc<dyn Placement>, Arc<dyn PeerBus>, u16) = match &member {
            Some(member) => {
                member.until_known().await;
                let slot = member.cluster.id_slot().unwrap_or(member.membership.id_slot);
                (member.cluster.clone(), member.transport.clone(), slot)
            }
            None => {
                let single = SingleNode::new(ShardBits::new(config.store.shard_bits));
                let alone = Alone(single.this_node());
                (Arc::new(single), Arc::new(alone), ONLY_SLOT)
            }
        };
        let ids = Arc::new(TsidGenerator::new(id_slot));
        let sign_out = Arc::new(LateSignOut::default());
        let auth_config = AuthConfig {
            access_ttl: config.auth.access_ttl,
            refresh_ttl: config.auth.refresh_ttl,
            registration: config.auth.registration,
            cookies_secure: config.auth.cookies_secure || config.listen.has_tls(),
            ..AuthConfig::default()
        };
        let auth = Auth::open(shared.clone(), clock.clone(), ids.clone(), auth_config, sign_out.clone()).await?;
        let tokens = Arc::new(Tokens(ResumeTokens::open(&*shared).await?));
        let cache =
            cache::open(&config.redis.url, member.as_ref().map(|member| &member.membership), &*shared).await?;
        let hub_config = HubConfig {
            lanes: store::lanes(&config.store),
            measure: config.metrics.enabled,
            ..HubConfig::default()
        };
        let ports = Ports {
            clock: clock.clone(),
            placement: placement.clone(),
            bus,
            tokens,
            ids: ids.clone(),
            cache: cache.clone(),
        };
        let hub = Hub::start(shared.clone(), ports, hub_config).await?;
        *sign_out.0.lock() = Some(hub.clone());
        let ended = auth.clone();
        hub.on_sign_out(Box::new(move |sid| ended.ended_elsewhere(sid)));
        let settings = Settings {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            registration: config.auth.registration,
            access_ttl_s: config.auth.access_ttl.as_secs(),
            heartbeat_ms: millis(config.edge.heartbeat),
            rate_limits: config.edge.rate_limits,
            listen: config.listen.public.to_string(),
            tls: config.listen.has_tls(),
            store: store::shown(&config.store.url),
        };
        let store = shared.clone();
        let limits = Limits::shared(config.edge.rate_limits, cache, placement.clone());
        let app = Arc::new(AppState {
            store: shared,
            clock,
            ids,
            placement,
            auth,
            limits,
            levels,
            routes: Routes::of(&http::openapi(), hub.meters().clone()),
            settings,
            surroundings: Surroundings::of(data.path(), config),
            importing: Arc::default(),
            member: member.map_or_else(OnceLock::new, OnceLock::from),
            hub: hub.clone(),
        });
        Ok(Self { app, hub, store, data })
    }

    /// Ends the actors and closes the store.
    pub async fn close(self, reconnect_after_ms: u64) {
        self.hub.drain(reconnect_after_ms).await;
        if let Some(member) = self.app.member.get() {
            member.close().await;
        }
        self.store.close().await;
        drop(self.data);
    }
}

/// Runs a node until it is told to stop.
///
/// # Errors
/// A sentence with the remedy.
pub async fn serve(data_dir: &Path, mut config: NodeConfig, levels: Arc<Levels>) -> Result<(), Failure> {
    if !config.edge.rate_limits {
        tracing::warn!("rate limits are OFF: anyone may ask as much as they like");
    }
    let data = DataDir::hold(data_dir)?;
    let _outlived = outlive_file_limits();
    let seats = seats(config.limits.connections, net::raise_open_files());
    let tls = Tls::open(&config.listen, SystemClock.now())?;
    let public = net::listen(config.listen.public)?;
    let admin = net::listen(config.listen.admin)?;
    let socket = listen_unix(data_dir)?;
    let address = public.local_addr().map_err(|error| Failure::Failed(error.to_string()))?;
    // A port of 0 has become one by now.
    config.listen.public = address;
    if let Ok(address) = admin.local_addr() {
        tracing::info!("health and metrics on http://{address}");
    }
    let started = SystemClock.now();
    let stopping = CancellationToken::new();
    let disk = Disk { path: data_dir.to_owned(), space_min_bytes: config.store.space_min.0 };
    let readiness = Readiness::starting(disk.clone());
    let for_operators = tokio::spawn(net::serve(
        admin,
        None,
        Seats::new(net::ADMIN_CONNECTIONS_MAX),
        health::admin_router(&readiness),
        stopping.clone(),
    ));
    let node = Node::open(data, &config, levels).await?;
    let edge = Arc::new(Edge {
        hub: node.hub.clone(),
        auth: node.app.auth.clone(),
        config: EdgeConfig {
            node: format!("n{}", node.app.placement.this_node()),
            heartbeat_ms: millis(config.edge.heartbeat),
            origins: config.edge.origins.clone(),
            rate_limits: config.edge.rate_limits,
            reconnect_after_ms: millis(config.edge.reconnect_after),
        },
        meters: EdgeMeters::new(node.hub.meters().clone()),
        connections: TaskTracker::new(),
        stopping,
    });
    standing::tell(&node.app, edge.clone());
    let parts = Parts { app: node.app.clone(), edge: edge.clone(), seats: seats.clone(), started };
    let metrics = Metrics::new(parts).map_err(|error| Failure::Failed(error.to_string()))?;
    readiness.is_up(node.app.clone(), metrics);
    let routes = public_routes(&node.app, &edge, &readiness);
    let stopping = &edge.stopping;
    let serving = [
        tokio::spawn(net::serve(public, tls.clone(), seats, routes, stopping.clone())),
        for_operators,
        tokio::spawn(disk.watch(stopping.clone())),
        tokio::spawn(shared::keep(node.app.clone(), stopping.clone())),
        spawn_unix(socket, http::over_socket(&node.app), stopping.clone()),
    ];
    if let Some(tls) = &tls {
        tokio::spawn(tls.clone().watch(node.app.clock.clone(), stopping.clone()));
    }
    if let Some(member) = node.app.member.get() {
        member.serve(&node.hub, edge.stopping.clone());
        tracing::info!("this is node {} of its cluster", node.app.placement.this_node());
    }
    announce(&node, address).await?;
    stopped().await;
    readiness.stop();
    if let Some(member) = node.app.member.get() {
        tracing::info!("stopping: what this node orders is handed over");
        member.leave().await;
    }
    tracing::info!("stopping: clients are told to come back");
    edge.stopping.cancel();
    node.hub.drain(millis(config.edge.reconnect_after)).await;
    edge.connections.close();
    let ended = async {
        edge.connections.wait().await;
        for task in serving {
            // A listener's task ends with its last request.
            let _ = task.await;
        }
    };
    if tokio::time::timeout(DRAIN_WITHIN, ended).await.is_err() {
        tracing::warn!("some connections did not end in {DRAIN_WITHIN:?} and are cut");
    }
    if let Some(member) = node.app.member.get() {
        member.close().await;
    }
    let _ = fs::remove_file(admin_socket(data_dir));
    node.store.close().await;
    tracing::info!("stopped");
    Ok(())
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Makes a write beyond a limit on the size of files fail, as on a full disk: without anyone who listens
/// to this signal it would end the process.
fn outlive_file_limits() -> Option<Signal> {
    signal(SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw())).ok()
}

/// As many seats as are wanted, and as there are open files for.
fn seats(wanted: Connections, files: Option<u64>) -> Arc<Seats> {
    let connections = wanted.of(files);
    if let Connections::AtMost(wanted) = wanted
        && connections < wanted
    {
        tracing::warn!(
            "`limits.connections` is {wanted}, but the open files are enough for {connections}: raise `ulimit -n`"
        );
    }
    tracing::info!("clients may hold {connections} connections");
    Seats::new(connections)
}

fn public_routes(app: &App, edge: &Arc<Edge>, readiness: &Arc<Readiness>) -> Router {
    Router::new()
        .route("/v1/ws", get(handshake::upgrade))
        .with_state(edge.clone())
        .merge(health::router(readiness))
        .merge(web::router())
        .fallback_service(http::public(app))
}

async fn announce(node: &Node, address: SocketAddr) -> Result<(), Failure> {
    let scheme = if node.app.settings.tls { "https" } else { "http" };
    if let Some(token) = node.app.auth.setup_token().await? {
        crate::cli::output::tell(&format!("make the owner account at {scheme}://{address}/setup#{token}"));
    }
    crate::cli::output::tell(&format!("listening on {scheme}://{address}"));
    Ok(())
}

fn listen_unix(data_dir: &Path) -> Result<UnixListener, Failure> {
    let path = admin_socket(data_dir);
    let failed = |error: std::io::Error| Failure::Failed(format!("cannot listen on {}: {error}", path.display()));
    // The directory is held, so a socket that is there belongs to a node that is gone.
    let _ = fs::remove_file(&path);
    let socket = UnixListener::bind(&path).map_err(failed)?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).map_err(failed)?;
    Ok(socket)
}

fn spawn_unix(listener: UnixListener, routes: Router, stopping: CancellationToken) -> tokio::task::JoinHandle<()> {
    tokio::spawn(async move {
        let until = stopping.cancelled_owned();
        if let Err(error) = axum::serve(listener, routes).with_graceful_shutdown(until).into_future().await {
            tracing::error!(%error, "the operator's socket failed");
        }
    })
}

async fn stopped() {
    let (Ok(mut terminate), Ok(mut interrupt)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        tracing::error!("cannot wait for signals: stop the node with kill -9");
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}
