//! Every key of the configuration: declared once, with its meaning, its default and its range.
//!
//! The declaration makes the structs that components receive, and the list from which files,
//! variables and flags are read and the reference is written. A key that is not here does not exist.

use std::{net::SocketAddr, time::Duration};

use figment::value::Value;
use hubbub_protocol::limits::HEARTBEAT_MS;

use super::setting::{Rule, Setting, Size, masked};
use crate::{
    auth::Registration,
    cache,
    logs::{self, LogFormat},
    net::Connections,
    store,
};

/// One key.
#[derive(Debug)]
pub struct Key {
    /// Its name, with that of its table: `edge.heartbeat`.
    pub name: &'static str,
    /// What it means, line by line.
    pub meaning: &'static [&'static str],
    /// The name under which a plain number is taken, and the unit of that: `edge.heartbeat_ms`, `ms`.
    pub number: Option<(&'static str, &'static str)>,
    /// What is accepted, in words that follow "must be".
    pub accepts: fn() -> String,
    /// Sets it; `false` when the value is not accepted.
    pub set: fn(&mut NodeConfig, &Value) -> bool,
    toml: fn(&NodeConfig) -> String,
    json: fn(&NodeConfig) -> serde_json::Value,
}

impl Key {
    /// The variable of the environment that sets it.
    #[must_use]
    pub fn variable(&self) -> String {
        variable(self.name)
    }

    /// Its value as TOML, without passwords.
    #[must_use]
    pub fn shown(&self, config: &NodeConfig) -> String {
        masked(&(self.toml)(config))
    }

    /// Its value for programs, without passwords.
    #[must_use]
    pub fn shown_json(&self, config: &NodeConfig) -> serde_json::Value {
        match (self.json)(config) {
            serde_json::Value::String(text) => masked(&text).into(),
            other => other,
        }
    }
}

/// The variable of the environment that sets `key`.
#[must_use]
pub fn variable(key: &str) -> String {
    format!("{}{}", super::given::PREFIX, key.to_uppercase().replace('.', "__"))
}

macro_rules! keys {
    ($($(#[doc = $page:literal])+ $table:ident: $Table:ident {
        $($(#[doc = $doc:literal])+ $key:ident: $Type:ty = $default:expr, $rule:expr $(, $number:ident in $unit:literal)?;)+
    })+) => {
        /// Everything that can be set.
        #[derive(Debug, Clone, PartialEq, Eq, Default)]
        pub struct NodeConfig {
            $($(#[doc = $page])+ pub $table: $Table,)+
        }

        $(
            $(#[doc = $page])+
            #[derive(Debug, Clone, PartialEq, Eq)]
            pub struct $Table {
                $($(#[doc = $doc])+ pub $key: $Type,)+
            }

            impl Default for $Table {
                fn default() -> Self {
                    Self { $($key: $default,)+ }
                }
            }
        )+

        /// The tables with what each is about, in the order of the reference.
        pub const TABLES: &[(&str, &[&str])] = &[$((stringify!($table), &[$($page),+]),)+];

        /// The keys, in the order of the reference.
        pub const KEYS: &[Key] = &[$($(
            Key {
                name: concat!(stringify!($table), ".", stringify!($key)),
                meaning: &[$($doc),+],
                number: keys!(@number $table $($number $unit)?),
                accepts: || { let rule: Rule<$Type> = $rule; rule.words() },
                set: |config, value| {
                    let rule: Rule<$Type> = $rule;
                    let Some(value) = <$Type>::read(value).filter(|value| rule.takes(value)) else { return false };
                    config.$table.$key = value;
                    true
                },
                toml: |config| config.$table.$key.toml(),
                json: |config| config.$table.$key.json(),
            },
        )+)+];
    };
    (@number $table:ident) => { None };
    (@number $table:ident $number:ident $unit:literal) => {
        Some((concat!(stringify!($table), ".", stringify!($number)), $unit))
    };
}

const ADDRESS: &str = "an address and a port, such as \"127.0.0.1:8080\"";
const LABEL: &str = "a text of at most 64 bytes";
const FILE: &str = "the path of a file, or empty";
const SWITCH: &str = "true or false";

const fn days(days: u64) -> Duration {
    Duration::from_secs(days * 24 * 3_600)
}

/// Whether `text` is empty, or a host and a port.
fn is_host_port(text: &str) -> bool {
    let parts = text.rsplit_once(':');
    text.is_empty() || parts.is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok())
}

keys! {
    /// Where the node is reached.
    listen: ListenConfig {
        /// Where clients connect.
        /// An address other than loopback lets other machines in: set `listen.tls_cert`, or put TLS in front of it.
        public: SocketAddr = ([127, 0, 0, 1], 8080).into(), Rule::Any(ADDRESS);
        /// File with the certificate for `listen.public` and those between it and a root, in PEM. Empty is no TLS.
        /// It is looked at every 2 s: a renewed one is used without a restart. Turns `auth.cookies_secure` on.
        tls_cert: String = String::new(), Rule::Any(FILE);
        /// File with the private key of that certificate, in PEM and without a password.
        tls_key: String = String::new(), Rule::Any(FILE);
        /// Where operators read health and metrics. Keep it off the internet.
        admin: SocketAddr = ([127, 0, 0, 1], 8081).into(), Rule::Any(ADDRESS);
    }

    /// How clients' connections are treated.
    edge: EdgeSettings {
        /// Time between two heartbeats of a client.
        /// Shorter finds dead clients sooner and costs each of them a frame every time.
        heartbeat: Duration = Duration::from_millis(HEARTBEAT_MS),
            Rule::Within("a time", Duration::from_millis(100), Duration::from_secs(600), "\"30s\""), heartbeat_ms in "ms";
        /// Origins of web pages that may connect, beside the node's own.
        /// Set it when the page is served from another host than the node.
        origins: Vec<String> = Vec::new(), Rule::Any("a list of origins, such as [\"https://chat.example\"]");
        /// Whether clients and callers are limited in how much they ask. Off is for tests only.
        rate_limits: bool = true, Rule::Any(SWITCH);
        /// Time within which clients are told to come back when the node stops, each at a random part of it.
        /// Longer spares the other nodes a rush, and leaves people without a connection for longer.
        reconnect_after: Duration = Duration::from_secs(1),
            Rule::Within("a time", Duration::ZERO, Duration::from_secs(300), "\"1s\""), reconnect_after_ms in "ms";
    }

    /// How much the node takes on.
    limits: LimitSettings {
        /// Connections of clients at once; the next are answered 503 until one ends.
        /// `"auto"` is what the limit on open files (`ulimit -n`) leaves after a reserve for the node's own.
        /// Each takes one open file, and about 20 KiB of memory while it is silent.
        connections: Connections = Connections::Auto,
            Rule::Where("\"auto\", or a number from 1 to 10000000", Connections::is_sensible);
    }

    /// Who may sign in, and for how long.
    auth: AuthSettings {
        /// Who may make an account: anyone, whoever has an invite, or operators alone.
        registration: Registration = Registration::Invite, Rule::Any("\"open\", \"invite\" or \"closed\"");
        /// How long an access token is good for.
        /// Shorter makes a stolen one useless sooner, and clients fetch a new one more often.
        access_ttl: Duration = Duration::from_secs(900),
            Rule::Within("a time", Duration::from_secs(1), Duration::from_secs(900), "\"15min\""), access_ttl_s in "s";
        /// How long a refresh token is good for from its last use: after that a device signs in anew.
        refresh_ttl: Duration = days(30),
            Rule::Within("a time", days(1), days(365), "\"30 days\""), refresh_ttl_days in "days";
        /// Whether cookies are sent over encrypted connections alone. Turn it on behind TLS.
        cookies_secure: bool = false, Rule::Any(SWITCH);
    }

    /// Where everything is kept.
    store: StoreConfig {
        /// The store: the embedded one, in the data directory, or a PostgreSQL database.
        /// A URL with a password is best set by the environment: a command line is seen by all users of a machine.
        url: String = "sqlite".to_owned(),
            Rule::Where("\"sqlite\", or a URL as postgres://USER:PASSWORD@HOST:PORT/DATABASE", |url| store::is_known(url));
        /// Connections to PostgreSQL that append messages, each for its share of the shards.
        /// One carries tens of thousands of messages a second, and a commit for many rooms costs less than many commits;
        /// more keep a slow disk of the server's busy.
        lanes: u8 = 1, Rule::Within("a number", 1, 64, "1");
        /// Connections to PostgreSQL that read.
        /// The server's `max_connections` must allow for lanes, readers and writers of all nodes.
        readers: u8 = 8, Rule::Within("a number", 1, 128, "8");
        /// Connections to PostgreSQL that write accounts, memberships and the like.
        writers: u8 = 4, Rule::Within("a number", 1, 64, "4");
        /// Power of two of the shards that rooms are spread over: 6 makes 64.
        /// Fixed once there is data. More let a larger cluster share the work evenly.
        shard_bits: u8 = 6, Rule::Within("a number", 0, 16, "6");
        /// Free space on the data directory's disk below which `/readyz` says so and the log warns.
        /// Sends fail when the disk is full; this is the time to make room before.
        space_min: Size = Size(64 << 20), Rule::Within("a size", Size(0), Size(1 << 40), "\"64 MiB\"");
    }

    /// A Redis that all nodes of a cluster share. The cluster is as right without it, and does more work.
    redis: RedisSettings {
        /// Where it is. Empty is none.
        /// With it rate limits count over all nodes, and the newest page of a room and clients that come back cost the
        /// store less. It holds texts of messages for an hour: give it a password and a network of your own.
        url: String = String::new(), Rule::Where(
            "empty, or a URL as redis://USER:PASSWORD@HOST:PORT/NUMBER; TLS (rediss://) is not spoken, so use a network \
             of your own or a tunnel",
            |url| cache::is_known(url)
        );
    }

    /// How the node is one of a cluster. Without `hubbub init` or `hubbub join` none of it is used.
    cluster: ClusterSettings {
        /// Where other nodes, and nodes that join, connect: UDP.
        /// An address other than loopback lets other machines in; only nodes with a certificate get further.
        listen: SocketAddr = ([127, 0, 0, 1], 7400).into(), Rule::Any(ADDRESS);
        /// Where other nodes reach this one, as host and port, when that is not `cluster.listen`.
        /// Empty is what was said to `init` or `join`. Behind address translation it is the outer address.
        advertise: String = String::new(),
            Rule::Where("empty, or a host and a port, such as \"chat-1.internal:7400\"", |text| is_host_port(text));
        /// The node's name among the members, for `init` and `join`. Empty is the name of the machine.
        name: String = String::new(), Rule::Where(LABEL, |text| text.len() <= 64);
        /// What fails together: a rack, a zone. Voters are spread over zones. For `init` and `join`.
        zone: String = String::new(), Rule::Where(LABEL, |text| text.len() <= 64);
        /// Where the zone is. For `init` and `join`.
        region: String = String::new(), Rule::Where(LABEL, |text| text.len() <= 64);
        /// Shares of the work that the node takes: a node of 2 gets twice the shards of a node of 1. For `init` and
        /// `join`.
        capacity: u8 = 1, Rule::Within("a number", 1, 250, "1");
    }

    /// What the node measures, for `/metrics`.
    metrics: MetricSettings {
        /// Whether requests and deliveries are counted and timed.
        /// Off is for those who want to see what that costs. What costs nothing to tell is told in any case.
        enabled: bool = true, Rule::Any(SWITCH);
    }

    /// What the node says of itself, on standard error.
    log: LogConfig {
        /// Levels by module: `error`, `warn`, `info`, `debug` or `trace`. The first is for all others.
        /// `hubbub log-level` changes them while the node runs.
        filter: String = "info,openraft=warn,openraft::core::raft_core=off".to_owned(),
            Rule::Where("levels by module, such as \"info,hubbub_actors=debug\"", |text| logs::filter(text).is_ok());
        /// Lines for people, or one JSON object a line for programs.
        format: LogFormat = LogFormat::Human, Rule::Any("\"human\" or \"json\"");
    }
}
