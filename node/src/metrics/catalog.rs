//! Every metric, declared once: its name, kind, labels, the most series it can have, and what it means.
//!
//! `/metrics` shows these and no others, and `docs/metrics.md` is written from here (`hubbub metrics reference`).
//! A new one is a line here and a line in [`collect`](super::collect).
//!
//! # Invariants
//!
//! * Names are nouns with their unit at the end: `_seconds`, `_bytes`; counters end in `_total`.
//! * A label has its values from a list that is fixed when the node starts, or is a node of the cluster, of which
//!   [`PEERS_MAX`] are shown. No label names a room, a user or anything a client may choose.
//! * So all series together are at most [`SERIES_MAX`]; a test adds them up.

use hubbub_actors::{directory::CACHES, meter::BOUNDS_US};
use hubbub_protocol::peer::Class;

use super::{
    ops::{CODES, LEFT_OUT, OPS},
    routes::{CLASSES, ROUTES_MAX},
};

/// Series that a node shows at most: about 700 KB of text for one that has served every route and op in every way.
pub const SERIES_MAX: usize = 6_500;
/// Peers that are shown, by number: a cluster is a few dozen nodes.
pub const PEERS_MAX: usize = 64;
/// Series of one histogram: its bounds, the one without, sum and count.
const PER_HISTOGRAM: usize = BOUNDS_US.len() + 3;
/// Kinds of connections to a database.
const POOLS: usize = 3;

/// How a metric moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It only grows, from 0 at the start of the process.
    Counter,
    /// It goes up and down.
    Gauge,
    /// How often something took how long.
    Histogram,
}

impl Kind {
    /// The name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// One metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metric {
    /// Its name.
    pub name: &'static str,
    /// How it moves.
    pub kind: Kind,
    /// The names of its labels.
    pub labels: &'static [&'static str],
    /// Most combinations of their values.
    pub rows_max: usize,
    /// What it means, and when to look.
    pub help: &'static str,
}

impl Metric {
    /// Most series it can have.
    #[must_use]
    pub const fn series_max(&self) -> usize {
        match self.kind {
            Kind::Counter | Kind::Gauge => self.rows_max,
            Kind::Histogram => self.rows_max * PER_HISTOGRAM,
        }
    }
}

/// Metrics of one subject.
#[derive(Debug, Clone, Copy)]
pub struct Section {
    /// The subject.
    pub title: &'static str,
    /// The metrics.
    pub metrics: &'static [Metric],
}

macro_rules! catalog {
    ($($title:literal { $($name:ident: $kind:ident $text:literal $([$($label:literal),+] up to $rows:expr)?, $help:literal;)+ })+) => {
        $($(
            #[doc = $help]
            pub const $name: Metric = Metric {
                name: $text,
                kind: Kind::$kind,
                labels: &[$($($label),+)?],
                rows_max: catalog!(@rows $($rows)?),
                help: $help,
            };
        )+)+

        /// All of them, in the order of the reference.
        pub const SECTIONS: &[Section] = &[$(Section { title: $title, metrics: &[$($name),+] }),+];
    };
    (@rows) => { 1 };
    (@rows $rows:expr) => { $rows };
}

catalog! {
    "Connections and sessions" {
        CONNECTIONS: Gauge "hubbub_connections", "WebSocket connections open";
        CONNECTIONS_PUBLIC: Gauge "hubbub_connections_public", "connections on the public listener, WebSocket or not; these count against the limit";
        CONNECTIONS_MAX: Gauge "hubbub_connections_max", "connections that the public listener takes: `limits.connections`, or what the open files leave";
        CONNECTIONS_REFUSED: Counter "hubbub_connections_refused_total", "connections refused with 503 because there were too many; raise the limit or add a node when it rises";
        SESSIONS: Gauge "hubbub_sessions", "sessions in memory, connected or waiting for their client";
        SESSIONS_BEGUN: Counter "hubbub_sessions_begun_total", "sessions begun";
        SESSIONS_RESUMED: Counter "hubbub_sessions_resumed_total", "sessions taken up again";
        SUBSCRIPTIONS: Gauge "hubbub_subscriptions", "rooms that sessions follow here, each session's counted";
        USERS_ACTIVE: Gauge "hubbub_users_active", "users with a device here or somebody watching";
    }
    "Requests" {
        OPS_ASKED: Counter "hubbub_ops_total" ["op"] up to OPS, "requests on WebSockets, by op; `invalid` could not be read";
        OPS_REFUSED: Counter "hubbub_op_errors_total" ["op", "code"] up to OPS * CODES, "requests on WebSockets that were refused, by op and error code";
        OPS_TOOK: Histogram "hubbub_op_seconds" ["op"] up to OPS, "time from the reading of a request on a WebSocket to its answer";
        HTTP_ASKED: Counter "hubbub_http_requests_total" ["path", "method", "status"] up to (ROUTES_MAX + 1) * CLASSES.len(), "REST requests, by route and class of the status; `other` is no route";
        HTTP_TOOK: Histogram "hubbub_http_request_seconds" ["path", "method"] up to ROUTES_MAX + 1, "time that a REST request took";
    }
    "Messages" {
        EVENTS_APPENDED: Counter "hubbub_events_appended_total", "events appended by this node";
        APPEND_BATCHES: Counter "hubbub_append_batches_total", "batches committed by this node";
        BATCH_TOOK: Histogram "hubbub_append_batch_seconds", "time that the store took for one batch";
        ACK_TOOK: Histogram "hubbub_ack_seconds" ["stage"] up to 3, "time of one request that stores something, in the room that orders it: `queue` from its arrival until it is given to the lane, `append` until it is on disk, `fan_out` until it is given to the relay and answered";
        EVENTS_DELIVERED: Counter "hubbub_events_delivered_total", "events handed to connections";
        DELIVERY_TOOK: Histogram "hubbub_delivery_seconds", "time from an event's commit, or its arrival from the room's owner, to the write for the last of those who follow here; once for what is handed on together, and once for each connection that did not take it at once";
        LEFT_OUT_TOTAL: Counter "hubbub_outbox_dropped_total" ["class"] up to LEFT_OUT.len(), "frames not sent because a client is too slow: `event` and `replay` became part of a gap that the client heals, `ephemeral` is gone";
    }
    "Actors" {
        ROOMS_ACTIVE: Gauge "hubbub_rooms_active", "rooms in memory";
        RELAYS: Gauge "hubbub_relays", "relays in memory";
        SHARDS_OWNED: Gauge "hubbub_shards_owned", "shards this node orders";
        ROOMS_QUEUED: Gauge "hubbub_rooms_queued", "requests that wait for rooms, or are at work there";
        LANES_QUEUED: Gauge "hubbub_lanes_queued", "appends that wait for lanes; while it stays high, the store is what is slow";
        GATES_HELD: Gauge "hubbub_gates_held", "gates held by those who change memberships, of 256";
        ACTORS_FAILED: Counter "hubbub_actors_failed_total", "actors that failed; look at the log when it rises";
        ACTORS_PASSIVATED: Counter "hubbub_actors_passivated_total", "sessions and rooms that left memory to make place; while it rises, the node holds as many actors as it may";
        CACHE_HITS: Counter "hubbub_cache_hits_total" ["cache"] up to CACHES.len(), "facts asked for that were in memory";
        CACHE_MISSES: Counter "hubbub_cache_misses_total" ["cache"] up to CACHES.len(), "facts asked for that had to be read from the store";
        CACHE_ENTRIES: Gauge "hubbub_cache_entries" ["cache"] up to CACHES.len(), "facts in memory";
    }
    "Store" {
        STORE_CONNECTIONS: Gauge "hubbub_store_connections" ["pool"] up to POOLS, "connections to PostgreSQL open, by what they are for: `lanes` append, `readers` read, `writers` write facts; none of these show for the embedded store";
        STORE_CONNECTIONS_MAX: Gauge "hubbub_store_connections_max" ["pool"] up to POOLS, "connections that may be open: `store.lanes`, `store.readers`, `store.writers`";
        STORE_CONNECTIONS_IDLE: Gauge "hubbub_store_connections_idle" ["pool"] up to POOLS, "connections open and not at work";
        STORE_CONNECTIONS_LOST: Counter "hubbub_store_connections_lost_total" ["pool"] up to POOLS, "connections that failed or got no answer in time; a restart of the server costs some, a network that drops them costs more each hour";
        STORE_WAITS: Counter "hubbub_store_waits_total" ["pool"] up to POOLS, "times that all connections were at work when one was wanted; raise the pool's number when it rises all the time";
        STORE_WAITED: Counter "hubbub_store_waited_seconds_total" ["pool"] up to POOLS, "time waited for a connection";
    }
    "Redis" {
        REDIS_CONFIGURED: Gauge "hubbub_redis_configured", "1 when hints are shared by Redis (`redis.url`), 0 when there is none";
        REDIS_LEFT_ALONE: Gauge "hubbub_redis_left_alone", "1 while Redis is left alone because it does not answer; see [operating](operating.md#redis)";
        REDIS_HITS: Counter "hubbub_redis_hits_total", "hints that were there: tails of rooms, and what sessions followed";
        REDIS_MISSES: Counter "hubbub_redis_misses_total", "hints that were not there";
        REDIS_UNFIT: Counter "hubbub_redis_unfit_total", "hints of another making or version; somebody else writes our keys when it rises all the time";
        REDIS_FAILURES: Counter "hubbub_redis_failures_total", "calls of Redis that failed or took longer than 50 ms";
        REDIS_SKIPPED: Counter "hubbub_redis_skipped_total", "calls of Redis that were not made, because it was left alone or 64 were under way";
    }
    "Cluster" {
        MEMBERS: Gauge "hubbub_cluster_members" ["state"] up to 4, "members as this node knows them, by state; the metrics of the cluster show on members only";
        COASTING: Gauge "hubbub_cluster_coasting", "1 while no leader has confirmed this node for the time of a lease: it goes on, and what it says of presence and rights may be old";
        MAP_VERSION: Gauge "hubbub_cluster_map_version", "version of the map of shards here";
        RAFT_TERM: Gauge "hubbub_raft_term", "term; it grows when a leader is elected, so a change every minute is a fault";
        RAFT_LEADER: Gauge "hubbub_raft_leader", "1 on the node that leads";
        RAFT_LEADER_KNOWN: Gauge "hubbub_raft_leader_known", "1 while this node knows who leads";
        RAFT_LAG: Gauge "hubbub_raft_lag_entries", "entries of the log here that have not made facts here yet";
        RAFT_PROPOSALS: Counter "hubbub_raft_proposals_total", "changes of the cluster proposed by this node";
        RAFT_PROPOSALS_FAILED: Counter "hubbub_raft_proposals_failed_total", "those of them that nobody confirmed in time";
        PEER_LINKED: Gauge "hubbub_peer_linked" ["peer"] up to PEERS_MAX, "1 while there is a link to that node";
        PEER_RTT: Gauge "hubbub_peer_rtt_seconds" ["peer"] up to PEERS_MAX, "time of a round trip to that node";
        PEER_SENT: Counter "hubbub_peer_sent_bytes_total" ["peer"] up to PEERS_MAX, "bytes sent to that node";
        PEER_RECEIVED: Counter "hubbub_peer_received_bytes_total" ["peer"] up to PEERS_MAX, "bytes received from that node";
        PEER_LOST: Counter "hubbub_peer_lost_packets_total" ["peer"] up to PEERS_MAX, "packets lost on the way to that node";
        PEER_QUEUED: Gauge "hubbub_peer_queued_bytes" ["peer", "class"] up to PEERS_MAX * Class::ALL.len(), "bytes that wait for that node, by class";
        PEER_REFUSED: Counter "hubbub_peer_busy_total" ["class"] up to Class::ALL.len(), "messages to other nodes that were not taken because their class was full";
    }
    "Process" {
        UPTIME: Gauge "hubbub_uptime_seconds", "time since the start";
        INFO: Gauge "hubbub_info" ["version"] up to 1, "1, with the version that runs";
    }
}

/// What the operating system tells of the process, by the crate `prometheus`: `process_…`.
pub const PROCESS_SERIES: usize = 7;

/// Each metric.
pub fn all() -> impl Iterator<Item = &'static Metric> {
    SECTIONS.iter().flat_map(|section| section.metrics)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_series_together_stay_below_the_stated_number() {
        let sum = all().map(Metric::series_max).sum::<usize>() + PROCESS_SERIES;
        assert!(sum <= SERIES_MAX, "{sum}");
    }

    #[test]
    fn names_are_unique_and_end_as_their_kind_asks() {
        let mut names: Vec<&str> = all().map(|metric| metric.name).collect();
        names.sort_unstable();
        assert!(names.windows(2).all(|pair| pair[0] != pair[1]), "{names:?}");
        for metric in all() {
            let counts = metric.name.ends_with("_total");
            assert_eq!(counts, metric.kind == Kind::Counter, "{}", metric.name);
            let timed = metric.name.ends_with("_seconds");
            assert!(metric.kind != Kind::Histogram || timed, "{}", metric.name);
            assert!(
                metric.labels.is_empty() == (metric.rows_max == 1) || metric.name == INFO.name,
                "{}",
                metric.name
            );
            assert!(!metric.help.ends_with('.') && !metric.help.contains('|'), "{}", metric.name);
        }
    }

    #[test]
    fn dashboard_and_alerts_name_metrics_that_there_are() {
        for file in ["deploy/grafana/hubbub.json", "deploy/prometheus/alerts.yml"] {
            let path = format!("{}/../{file}", env!("CARGO_MANIFEST_DIR"));
            let text = std::fs::read_to_string(path).expect("a file that an operator may use");
            let words = text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
            let named: Vec<&str> = words.filter(|word| word.starts_with("hubbub_")).collect();
            assert!(named.len() > 8, "{file}");
            for name in named {
                let bare = name.strip_suffix("_bucket").unwrap_or(name);
                assert!(all().any(|metric| metric.name == bare), "{file} names {name}");
            }
        }
    }
}
