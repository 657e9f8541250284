//! A node for tests: in memory, with a clock that stands until it is moved, asked without a socket.

pub(crate) mod logged;

use std::{
    net::SocketAddr,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::ConnectInfo,
    http::{HeaderMap, Request, StatusCode, header},
};
use hubbub_actors::{Hub, HubConfig, Ports, session::SessionTokens};
use hubbub_protocol::{
    ids::{Epoch, NodeId, SessionId, TsidGenerator, UserId},
    peer::{Alone, Eventually},
    ports::{Clock, Placed, Placement},
    shard::{ShardBits, ShardId},
    time::Timestamp,
};
use hubbub_storage::{NoCache, mem::MemStore};
use parking_lot::Mutex;
use serde_json::Value;
use tower::ServiceExt;

use crate::{
    auth::{Auth, AuthConfig, Registration, SignOut},
    doctor::gather::Surroundings,
    http::{self, limits::Limits},
    logs::Levels,
    metrics::Routes,
    net::Connections,
    state::{App, AppState, Settings},
};

/// A password that is long enough.
pub(crate) const PASSWORD: &str = "correct horse battery";

/// A clock that stands until it is moved.
#[derive(Debug)]
pub(crate) struct StandingClock(AtomicI64);

impl StandingClock {
    /// Moves it forward.
    pub(crate) fn advance(&self, by: Duration) {
        let ms = i64::try_from(by.as_millis()).expect("a test is short");
        self.0.fetch_add(ms, Ordering::SeqCst);
    }
}

impl Clock for StandingClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::SeqCst))
    }
}

/// Everything is on this node.
#[derive(Debug)]
pub(crate) struct AllHere;

impl Placement for AllHere {
    fn this_node(&self) -> NodeId {
        NodeId(1)
    }
    fn shard_bits(&self) -> ShardBits {
        ShardBits::new(8)
    }
    fn place(&self, _: ShardId) -> Placed {
        Placed { owner: NodeId(1), epoch: Epoch(0), moving: false }
    }
    fn map_version(&self) -> u64 {
        1
    }
    fn others(&self) -> Arc<[NodeId]> {
        Arc::from([])
    }
    fn fresh_epoch(&self, _: ShardId, stored: Epoch) -> Eventually<Option<Epoch>> {
        Box::pin(std::future::ready(Some(stored.next())))
    }
}

/// Sessions are not resumed where requests come without a socket.
#[derive(Debug)]
struct NoResume;

impl SessionTokens for NoResume {
    fn mint(&self, session: u64, _: UserId) -> String {
        session.to_string()
    }
    fn open(&self, _: &str) -> Option<(u64, UserId)> {
        None
    }
}

/// Remembers whose sockets were to be closed.
#[derive(Debug, Default)]
pub(crate) struct SignedOut(Mutex<Vec<SessionId>>);

impl SignOut for SignedOut {
    fn sign_out(&self, sid: SessionId) {
        self.0.lock().push(sid);
    }
}

impl SignedOut {
    /// Whether the sockets of `sid` were.
    pub(crate) fn has(&self, sid: &str) -> bool {
        self.0.lock().iter().any(|known| known.to_string() == sid)
    }
}

/// A node and its surroundings.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) app: App,
    pub(crate) store: Arc<MemStore>,
    pub(crate) clock: Arc<StandingClock>,
    pub(crate) signed_out: Arc<SignedOut>,
    router: Router,
}

/// An answer, read whole.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

impl Answer {
    /// The code of an error, or nothing.
    pub(crate) fn code(&self) -> &str {
        self.body["error"]["code"].as_str().unwrap_or_default()
    }

    /// The field of an error, or nothing.
    pub(crate) fn field(&self) -> &str {
        self.body["error"]["field"].as_str().unwrap_or_default()
    }

    /// A text of the body, or nothing.
    pub(crate) fn text(&self, name: &str) -> &str {
        self.body[name].as_str().unwrap_or_default()
    }

    /// A header, or nothing.
    pub(crate) fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name).map(|value| value.to_str());
        value.and_then(Result::ok).unwrap_or_default()
    }

    /// What the cookie `name` was set to.
    pub(crate) fn cookie(&self, name: &str) -> Option<String> {
        let set = self.headers.get_all(header::SET_COOKIE).iter();
        set.filter_map(|line| line.to_str().ok())
            .find_map(|line| line.strip_prefix(&format!("{name}=")))
            .and_then(|rest| rest.split(';').next())
            .map(str::to_owned)
    }
}

impl World {
    /// A node where anyone may register.
    pub(crate) async fn new() -> Self {
        Self::with(Registration::Open, true).await
    }

    /// A node with this mode of registration, and with or without rate limits.
    pub(crate) async fn with(registration: Registration, rate_limits: bool) -> Self {
        let config = AuthConfig { registration, ..AuthConfig::default() };
        let clock = StandingClock(AtomicI64::new(1_800_000_000_000));
        Self::over(Arc::new(MemStore::new()), Arc::new(clock), config, rate_limits).await
    }

    /// The same node after a restart.
    pub(crate) async fn restarted(&self) -> Self {
        let (store, clock) = (Arc::clone(&self.store), Arc::clone(&self.clock));
        Self::over(store, clock, self.app.auth.config().clone(), true).await
    }

    async fn over(store: Arc<MemStore>, clock: Arc<StandingClock>, config: AuthConfig, rate_limits: bool) -> Self {
        logged::begin();
        let ids = Arc::new(TsidGenerator::new(1));
        let signed_out = Arc::new(SignedOut::default());
        let settings = Settings {
            version: "0.0.0".to_owned(),
            registration: config.registration,
            access_ttl_s: config.access_ttl.as_secs(),
            heartbeat_ms: 30_000,
            rate_limits,
            tls: false,
            listen: "192.0.2.1:8080".to_owned(),
            store: "memory".to_owned(),
        };
        let auth = Auth::open(store.clone(), clock.clone(), ids.clone(), config, signed_out.clone());
        let placement: Arc<dyn Placement> = Arc::new(AllHere);
        let ports = Ports {
            clock: clock.clone(),
            placement: placement.clone(),
            bus: Arc::new(Alone(NodeId(1))),
            tokens: Arc::new(NoResume),
            ids: ids.clone(),
            cache: Arc::new(NoCache),
        };
        let hub = Hub::start(store.clone(), ports, HubConfig::default());
        let hub = hub.await.expect("actors start over a store in memory");
        let app = Arc::new(AppState {
            auth: auth.await.expect("a store in memory opens"),
            store: store.clone(),
            clock: clock.clone(),
            ids,
            placement,
            levels: Levels::none(),
            routes: Routes::of(&http::openapi(), hub.meters().clone()),
            hub,
            limits: Limits::new(rate_limits),
            settings,
            surroundings: Surroundings {
                data_dir: std::env::temp_dir(),
                space_min_bytes: 0,
                connections: Connections::AtMost(1),
                redis: String::new(),
            },
            importing: Arc::default(),
            member: OnceLock::new(),
        });
        Self { router: http::public(&app), app, store, clock, signed_out }
    }

    /// Begins a request.
    pub(crate) fn ask(&self, method: &str, path: &str) -> Asking<'_> {
        let request = Request::builder().method(method).uri(path);
        let address: SocketAddr = "192.0.2.1:9".parse().expect("an address");
        let request = request.body(Body::empty()).expect("a request");
        Asking { world: self, request }.from(address)
    }

    /// Registers someone; gives what signing in answers.
    pub(crate) async fn register(&self, name: &str) -> Value {
        let body = serde_json::json!({"name": name, "password": PASSWORD});
        let answer = self.ask("POST", "/v1/auth/register").json(&body).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{:?}", answer.body);
        planted(answer.body)
    }

    /// Makes an owner account; gives what signing in answers.
    pub(crate) async fn owner(&self, name: &str) -> Value {
        let token = self.app.auth.setup_token().await.expect("the store works");
        let body = serde_json::json!({
            "token": token.expect("there is no owner yet"),
            "name": name,
            "password": PASSWORD,
        });
        let answer = self.ask("POST", "/v1/setup").json(&body).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{:?}", answer.body);
        planted(answer.body)
    }
}

fn planted(signed_in: Value) -> Value {
    logged::plant("password", PASSWORD);
    for (kind, field) in [("access-token", "access_token"), ("refresh-token", "refresh_token")] {
        if let Some(token) = signed_in[field].as_str().filter(|token| !token.is_empty()) {
            logged::plant(kind, token);
        }
    }
    signed_in
}

/// A request being put together.
#[derive(Debug)]
pub(crate) struct Asking<'a> {
    world: &'a World,
    request: Request<Body>,
}

impl Asking<'_> {
    fn from(mut self, address: SocketAddr) -> Self {
        self.request.extensions_mut().insert(ConnectInfo(address));
        self
    }

    /// From this address.
    pub(crate) fn at(self, address: &str) -> Self {
        let address = SocketAddr::new(address.parse().expect("an address"), 9);
        self.from(address)
    }

    /// With a header.
    pub(crate) fn header(mut self, name: &'static str, value: &str) -> Self {
        let value = value.parse().expect("a header");
        self.request.headers_mut().append(name, value);
        self
    }

    /// As whoever `signed_in` is of.
    pub(crate) fn by(self, signed_in: &Value) -> Self {
        let token = signed_in["access_token"].as_str().expect("a token");
        self.header("authorization", &format!("Bearer {token}"))
    }

    /// With a body of any bytes, called JSON.
    pub(crate) async fn raw(self, body: impl Into<Vec<u8>>) -> Answer {
        let mut this = self.header("content-type", "application/json");
        *this.request.body_mut() = Body::from(body.into());
        this.send().await
    }

    /// With a JSON body.
    pub(crate) async fn json(self, body: &Value) -> Answer {
        self.raw(body.to_string()).await
    }

    /// As it is.
    pub(crate) async fn send(self) -> Answer {
        let response = self.world.router.clone().oneshot(self.request).await;
        let response = match response {
            Ok(response) => response,
            Err(never) => match never {},
        };
        let (head, body) = response.into_parts();
        let bytes = to_bytes(body, usize::MAX).await.expect("a body in memory");
        let body = if bytes.is_empty() {
            Value::Null
        } else {
            serde_json::from_slice(&bytes).expect("every answer is JSON")
        };
        Answer { status: head.status, headers: head.headers, body }
    }
}
