//! Facts of nodes that are well, for tests to spoil.

use std::time::Duration;

use hubbub_cluster::control::{MemberState, VersionRange};
use hubbub_protocol::{ids::NodeId, time::Timestamp};
use hubbub_storage::{Durability, Vitals};

use crate::{
    doctor::{
        Finding, State,
        facts::{
            ClockFacts, ClusterFacts, DiskFacts, Facts, FileFacts, IdentityFacts, MemberFacts, ReachedStore,
            SocketFacts, StoreFacts, ValidityFacts,
        },
    },
    net::Connections,
};

pub(super) const NOW: Timestamp = Timestamp(1_800_000_000_000);

/// A node with the embedded store, and no cluster.
pub(super) fn alone() -> Facts {
    Facts {
        running: true,
        data_dir: "/var/lib/hubbub".to_owned(),
        data_fault: None,
        now: NOW,
        disk: Some(DiskFacts { free_bytes: 100 << 30, space_min_bytes: 64 << 20 }),
        files: FileFacts { may_open: Some(524_288), wanted: Connections::Auto },
        sockets: None,
        store: StoreFacts::Reached(Box::new(sqlite())),
        cache: None,
        identity: None,
        cluster: None,
    }
}

/// One of three voters, over a database with a standby.
pub(super) fn member() -> Facts {
    let wide = 8 << 20;
    Facts {
        sockets: Some(SocketFacts { receive_bytes_max: wide, send_bytes_max: wide, wanted_bytes: wide }),
        store: StoreFacts::Reached(Box::new(postgres())),
        identity: Some(IdentityFacts { certificate: Some(valid(-24, 6 * 24)), roots: vec![valid(-24, 87_600)] }),
        cluster: Some(cluster()),
        ..alone()
    }
}

pub(super) fn sqlite() -> ReachedStore {
    ReachedStore {
        read: Some(Duration::from_millis(1)),
        write: Some(Ok(Duration::from_millis(3))),
        vitals: Vitals {
            durability: Durability::Sqlite { synchronous: 2, journal: "wal".to_owned() },
            clock: None,
            schema: 3,
            schema_known: 3,
        },
        ahead: None,
    }
}

pub(super) fn postgres() -> ReachedStore {
    let durability = Durability::Postgres {
        fsync: true,
        full_page_writes: true,
        synchronous_commit: "on".to_owned(),
        synchronous_standby_names: "ANY 1 (b, c)".to_owned(),
    };
    let vitals = Vitals { durability, clock: Some(NOW), schema: 1, schema_known: 1 };
    ReachedStore { vitals, ahead: Some(ClockFacts { ahead_ms: -12, unsure_ms: 1 }), ..sqlite() }
}

/// A certificate that began and ends so many hours from now.
pub(super) fn valid(begin: i64, end: i64) -> ValidityFacts {
    let at = |hours: i64| Timestamp(NOW.0 + hours * 3_600_000);
    ValidityFacts { begin: at(begin), end: at(end) }
}

/// Three voters and a worker, seen by node 1.
pub(super) fn cluster() -> ClusterFacts {
    let member = |node: u64| MemberFacts {
        node: NodeId(node),
        name: format!("chat-{node}"),
        state: MemberState::Up,
        votes: node < 4,
        linked: node > 1,
        fault: None,
        storage_ok: None,
        versions: VersionRange { min: 1, max: 1 },
        clock: (node > 1).then_some(ClockFacts { ahead_ms: 3, unsure_ms: 1 }),
    };
    ClusterFacts {
        me: NodeId(1),
        superseded: false,
        leader: Some(NodeId(2)),
        coasting: false,
        voters_changing: false,
        active_version: 1,
        members: (1..5).map(member).collect(),
        shards: 64,
        orphans: 0,
        unreached: 0,
        hanging: 0,
    }
}

/// The one finding of `check`, which must be in `state`; what it says, remedy included.
pub(super) fn only(findings: &[Finding], check: &str, state: State) -> String {
    let of_check: Vec<&Finding> = findings.iter().filter(|finding| finding.check == check).collect();
    let [finding] = of_check[..] else { panic!("{check}: {findings:#?}") };
    assert_eq!(finding.state, state, "{finding:#?}");
    assert_eq!(finding.remedy.is_some(), state != State::Ok, "{finding:#?}");
    format!("{}; {}", finding.found, finding.remedy.clone().unwrap_or_default())
}
