//! Collects the facts: of a running node in its own process, of a stopped one beside its data.
//!
//! # Failure
//!
//! What cannot be read is a fact, or is left out where the system does not tell; nothing here fails.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    str::FromStr,
    time::{Duration, Instant},
};

use hubbub_cluster::{
    control::{MemberState, Place},
    identity::validity,
    runtime::Map,
    transport::limits::SOCKET_BUFFER_BYTES,
};
use hubbub_protocol::{
    ids::{Epoch, NodeId, RoomId},
    ports::Clock,
    shard::ShardId,
    time::Timestamp,
};
use hubbub_storage::{ErrorChain, HintCache, PostgresStore, PostgresUrl, SqliteStore, Store};
use rustix::{
    fs::statvfs,
    process::{Resource, getrlimit},
};
use rustls::pki_types::CertificateDer;

use super::clocks::{self, ahead};
use super::facts::{
    CacheFacts, ClusterFacts, DiskFacts, Facts, FileFacts, IdentityFacts, MemberFacts, ReachedStore, SocketFacts,
    StoreFacts, ValidityFacts,
};
use crate::{
    cache,
    clock::SystemClock,
    config::NodeConfig,
    datadir::DataDir,
    member::Member,
    membership::{self, Membership},
    net::Connections,
    state::AppState,
    store::EMBEDDED,
};

/// Longest wait for one answer of the store: what the server itself takes before it gives a statement up.
const STORE_WITHIN: Duration = Duration::from_secs(5);
/// A heartbeat says how its sender is for so long: ten of them come in that time.
const BEAT_GOOD_FOR: Duration = Duration::from_secs(5);
/// How long shards that move are watched: the leader ends a move after 5 s, and looks four times a second.
const MOVES_WITHIN: Duration = Duration::from_secs(7);
/// How often they are looked at.
const MOVES_EVERY: Duration = Duration::from_millis(250);

/// What of a node's configuration `doctor` looks at.
#[derive(Debug, Clone)]
pub struct Surroundings {
    /// The data directory.
    pub data_dir: PathBuf,
    /// `store.space_min`.
    pub space_min_bytes: u64,
    /// `limits.connections`.
    pub connections: Connections,
    /// `redis.url`, without a password; empty for none.
    pub redis: String,
}

impl Surroundings {
    /// Those of the node over `data_dir`.
    #[must_use]
    pub fn of(data_dir: &Path, config: &NodeConfig) -> Self {
        Self {
            data_dir: data_dir.to_owned(),
            space_min_bytes: config.store.space_min.0,
            connections: config.limits.connections,
            redis: cache::shown(&config.redis.url),
        }
    }

    fn disk(&self) -> Option<DiskFacts> {
        let told = statvfs(&self.data_dir).ok()?;
        let free_bytes = told.f_bavail.saturating_mul(told.f_frsize);
        Some(DiskFacts { free_bytes, space_min_bytes: self.space_min_bytes })
    }

    fn files(&self) -> FileFacts {
        // A node raises what it has to what it may have.
        FileFacts { may_open: getrlimit(Resource::Nofile).maximum, wanted: self.connections }
    }
}

/// The facts of the running node that `app` is of. Takes up to [`MOVES_WITHIN`] while shards move.
pub async fn running(app: &AppState) -> Facts {
    let here = &app.surroundings;
    let member = app.member.get();
    let cluster = async {
        match member {
            Some(member) => Some(cluster(member).await),
            None => None,
        }
    };
    let (store, cache, mut cluster) =
        tokio::join!(reached(app.store(), &*app.clock), answering(&here.redis, &**app.hub.cache()), cluster);
    if let Some(cluster) = &mut cluster {
        // Asked alone, so that nothing else makes the answers late.
        let clocks = clocks::of_members(&app.hub, &*app.clock).await;
        for member in &mut cluster.members {
            member.clock = clocks.get(&member.node).copied();
        }
    }
    Facts {
        running: true,
        data_dir: here.data_dir.display().to_string(),
        data_fault: None,
        now: app.now(),
        disk: here.disk(),
        files: here.files(),
        sockets: member.and_then(|_| sockets()),
        store,
        cache,
        identity: member.map(|_| identity(&here.data_dir)),
        cluster,
    }
}

/// The facts of the node over `data_dir`, which does not run.
pub async fn stopped(data_dir: &Path, config: &NodeConfig) -> Facts {
    let here = Surroundings::of(data_dir, config);
    let (member, data_fault) = match held(data_dir, config) {
        Ok(member) => (member, None),
        Err(fault) => (false, Some(fault)),
    };
    Facts {
        running: false,
        data_dir: data_dir.display().to_string(),
        data_fault,
        now: SystemClock.now(),
        disk: here.disk(),
        files: here.files(),
        sockets: if member { sockets() } else { None },
        store: looked_at(data_dir, config).await,
        cache: configured(&here.redis, config).await,
        identity: member.then(|| identity(data_dir)),
        cluster: None,
    }
}

/// Takes hold of the data directory for a moment, if there is one; whether it is a member's.
fn held(data_dir: &Path, config: &NodeConfig) -> Result<bool, String> {
    if !data_dir.exists() {
        return Err(format!(
            "there is no data directory {}: name the node's with --data-dir, or let `hubbub serve` make it",
            data_dir.display()
        ));
    }
    let data = DataDir::hold(data_dir).map_err(|failure| failure.to_string())?;
    let member = Membership::load(&data).map_err(|failure| failure.to_string())?.is_some();
    if member {
        let fits = membership::needs_database(data_dir, &config.store, "be a member of a cluster");
        fits.map_err(|failure| failure.to_string())?;
    }
    Ok(member)
}

fn sockets() -> Option<SocketFacts> {
    let number = |name: &str| {
        let text = fs::read_to_string(format!("/proc/sys/net/core/{name}")).ok()?;
        text.trim().parse().ok()
    };
    Some(SocketFacts {
        receive_bytes_max: number("rmem_max")?,
        send_bytes_max: number("wmem_max")?,
        wanted_bytes: u64::try_from(SOCKET_BUFFER_BYTES).unwrap_or(u64::MAX),
    })
}

fn identity(data_dir: &Path) -> IdentityFacts {
    let (certificate, roots) = membership::certificates(data_dir);
    let valid = |certificate: &CertificateDer<'_>| {
        let (begin, end) = validity(certificate)?;
        let at = |time: time::OffsetDateTime| Timestamp(time.unix_timestamp().saturating_mul(1_000));
        Some(ValidityFacts { begin: at(begin), end: at(end) })
    };
    IdentityFacts {
        certificate: certificate.as_ref().and_then(valid),
        roots: roots.iter().filter_map(valid).collect(),
    }
}

/// Waits for an answer of the store, and measures how long that took.
async fn timed<T, E: std::error::Error + 'static>(
    answer: impl Future<Output = Result<T, E>>,
) -> Result<(T, Duration), String> {
    let begun = Instant::now();
    match tokio::time::timeout(STORE_WITHIN, answer).await {
        Ok(Ok(answer)) => Ok((answer, begun.elapsed())),
        Ok(Err(error)) => Err(ErrorChain(&error).to_string()),
        Err(_) => Err(format!("no answer within {} s", STORE_WITHIN.as_secs())),
    }
}

/// Whether the cache at `url` answers, where there is to be one.
async fn answering(url: &str, cache: &dyn HintCache) -> Option<CacheFacts> {
    if url.is_empty() {
        return None;
    }
    Some(CacheFacts { url: url.to_owned(), answer: cache.probe().await })
}

/// The same for a node that does not run, and so has none at hand. What it is asked needs no secret.
async fn configured(url: &str, config: &NodeConfig) -> Option<CacheFacts> {
    match cache::to_redis(&config.redis.url, None, &[]) {
        Ok(cache) => answering(url, &cache).await,
        Err(why) => (!url.is_empty()).then(|| CacheFacts { url: url.to_owned(), answer: Err(why) }),
    }
}

async fn reached(store: &dyn Store, clock: &dyn Clock) -> StoreFacts {
    // The first answer may have to wait for a connection; the second one is that of a store at work.
    if let Err(why) = timed(store.heads(&[RoomId::from_raw(0)])).await {
        // A read waits for a server that is away; a write says sooner what is wrong.
        let sooner = timed(store.check_writes()).await.err();
        return StoreFacts::Unreachable(sooner.unwrap_or(why));
    }
    let read = timed(store.heads(&[RoomId::from_raw(0)])).await.map(|(_, took)| took);
    let before = clock.now();
    let vitals = timed(store.vitals()).await;
    let after = clock.now();
    match (read, vitals) {
        (Ok(read), Ok((vitals, _))) => {
            // What keeps writes from going on is looked for first: a probe may need less.
            let write = match timed(store.check_writes()).await {
                Ok(_) => timed(store.probe_write()).await.map(|((), took)| took),
                Err(why) => Err(why),
            };
            let ahead = vitals.clock.map(|theirs| ahead(before, theirs, after));
            StoreFacts::Reached(Box::new(ReachedStore { read: Some(read), write: Some(write), vitals, ahead }))
        }
        (Err(why), _) | (_, Err(why)) => StoreFacts::Unreachable(why),
    }
}

/// The store of a node that does not run: looked at, and not opened, which would change its schema.
async fn looked_at(data_dir: &Path, config: &NodeConfig) -> StoreFacts {
    if config.store.url == EMBEDDED {
        let file = data_dir.join("hubbub.sqlite");
        if !file.is_file() {
            return StoreFacts::Absent;
        }
        return match timed(SqliteStore::look(&file)).await {
            Ok((vitals, _)) => {
                StoreFacts::Reached(Box::new(ReachedStore { read: None, write: None, vitals, ahead: None }))
            }
            Err(why) => StoreFacts::Unreachable(why),
        };
    }
    let url = match PostgresUrl::from_str(&config.store.url) {
        Ok(url) => url,
        Err(why) => return StoreFacts::Unreachable(why),
    };
    match timed(PostgresStore::look(&url)).await {
        Ok((vitals, took)) => {
            // The clock is read at the end of the look, most of which is making the connection.
            let after = SystemClock.now();
            let before = Timestamp(after.0.saturating_sub(i64::try_from(took.as_millis()).unwrap_or(i64::MAX)));
            let ahead = vitals.clock.map(|theirs| ahead(before, theirs, after));
            StoreFacts::Reached(Box::new(ReachedStore { read: None, write: None, vitals, ahead }))
        }
        Err(why) => StoreFacts::Unreachable(why),
    }
}

fn moving(map: &Map) -> BTreeSet<(ShardId, Epoch)> {
    let moving = map.each_shard().filter(|(_, place)| place.place != Place::Stable);
    moving.map(|(shard, place)| (shard, place.epoch)).collect()
}

/// How many moves that are under way are still so after longer than one may take.
async fn hanging(member: &Member) -> usize {
    let begun = Instant::now();
    let mut still = moving(&member.cluster.map());
    while !still.is_empty() && begun.elapsed() < MOVES_WITHIN {
        tokio::time::sleep(MOVES_EVERY).await;
        let now = moving(&member.cluster.map());
        still.retain(|shard| now.contains(shard));
    }
    still.len()
}

async fn cluster(member: &Member) -> ClusterFacts {
    let hanging = hanging(member).await;
    let (status, map) = (member.cluster.status(), member.cluster.map());
    let serves = |place: &hubbub_cluster::control::ShardPlace| {
        let owner = map.members.get(&place.owner).map(|owner| owner.state);
        matches!(owner, Some(MemberState::Up | MemberState::Draining))
    };
    let reached =
        |node: NodeId| node == status.node || status.peers.iter().any(|peer| peer.node == node && peer.linked);
    let unreached = map.shards.iter().filter(|place| serves(place) && !reached(place.owner)).count();
    let members = status.members.iter().map(|known| {
        let peer = status.peers.iter().find(|peer| peer.node == known.node);
        MemberFacts {
            node: known.node,
            name: known.member.about.name.clone(),
            state: known.member.state,
            votes: status.voters.contains(&known.node),
            linked: peer.is_some_and(|peer| peer.linked),
            fault: peer.and_then(|peer| peer.fault.clone()),
            storage_ok: known.beat.as_ref().filter(|beat| beat.age < BEAT_GOOD_FOR).map(|beat| beat.storage_ok),
            versions: known.member.about.versions,
            clock: None,
        }
    });
    ClusterFacts {
        me: status.node,
        superseded: status.superseded,
        leader: status.leader,
        coasting: status.coasting,
        voters_changing: status.voters_changing,
        active_version: map.head.active_version,
        members: members.collect(),
        shards: map.shards.len(),
        orphans: map.shards.iter().filter(|place| !serves(place)).count(),
        unreached,
        hanging,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config::StoreConfig,
        doctor::{Report, State, facts::StoreFacts},
        testing::World,
    };

    #[tokio::test]
    async fn a_running_node_is_looked_at_from_inside() {
        let world = World::new().await;
        let facts = running(&world.app).await;
        assert!(facts.running && facts.cluster.is_none());
        assert!(matches!(&facts.store, StoreFacts::Reached(store) if matches!(store.write, Some(Ok(_)))));
        let owner = world.owner("root").await;
        let answer = world.ask("GET", "/v1/admin/doctor").by(&owner).send().await;
        let report: Report = serde_json::from_value(answer.body).expect("a report");
        assert_eq!(report.state, State::Fault, "a store in memory is one");
        assert_eq!(report.count(State::Fault), 1, "{report:#?}");
        let other = world.register("ada").await;
        assert_eq!(world.ask("GET", "/v1/admin/doctor").by(&other).send().await.status, 403);
    }

    #[tokio::test]
    async fn a_stopped_node_is_looked_at_and_stays_as_it_is() {
        let folder = tempfile::TempDir::new().expect("a temporary folder");
        let (path, config) = (folder.path().join("data"), NodeConfig::default());
        let facts = stopped(&path, &config).await;
        assert!(facts.data_fault.is_some_and(|fault| fault.contains("--data-dir")));
        assert!(!path.exists(), "a look makes no directory");
        let data = DataDir::hold(&path).expect("a fresh directory");
        assert!(stopped(&path, &config).await.data_fault.is_some_and(|fault| fault.contains("in use")));
        let store = SqliteStore::open(&data.store()).await.expect("a fresh store opens");
        store.close().await;
        drop(data);
        let report = Report::of(&stopped(&path, &config).await);
        assert_eq!((report.state, report.count(State::Warning)), (State::Warning, 1), "{report:#?}");
    }

    #[tokio::test]
    async fn a_database_that_is_not_there_is_a_fault_of_a_stopped_node() {
        let folder = tempfile::TempDir::new().expect("a temporary folder");
        let url = "postgres://nobody:secret@127.0.0.1:1/none".to_owned();
        let config = NodeConfig { store: StoreConfig { url, ..StoreConfig::default() }, ..NodeConfig::default() };
        let StoreFacts::Unreachable(why) = stopped(folder.path(), &config).await.store else {
            panic!("nothing is there")
        };
        assert!(why.contains("127.0.0.1") && !why.contains("secret"), "{why}");
    }
}
