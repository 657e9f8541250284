//! How a peer is named on the command line: its kind, whether it has a cache, what clients reach it by, and
//! settings that it runs with beyond the usual ones.
//!
//! `hubbub`, `hubbub-redis`, `hubbub-tls` and `hubbub@metrics.enabled=false` are four peers of one comparison.

use std::fmt;
use std::str::FromStr;

use clap::ValueEnum;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// A program that does nothing but broadcast
    Floor,
    /// One node over the embedded store
    Hubbub,
    /// One node over PostgreSQL
    HubbubPg,
    /// A cluster of two nodes over one PostgreSQL
    #[value(name = "hubbub2")]
    Hubbub2,
    /// A cluster of three nodes over one PostgreSQL
    #[value(name = "hubbub3")]
    Hubbub3,
    /// One process of Socket.IO, with PostgreSQL and Redis
    #[value(name = "socketio")]
    SocketIo,
    /// Two processes of Socket.IO that share rooms through Redis
    #[value(name = "socketio2")]
    SocketIo2,
    /// ejabberd, with rooms archived in PostgreSQL
    Ejabberd,
}

impl Kind {
    /// Whether it is Hubbub, whose settings are known and whose clients can resume.
    pub(crate) fn is_ours(self) -> bool {
        matches!(self, Self::Hubbub | Self::HubbubPg | Self::Hubbub2 | Self::Hubbub3)
    }
}

/// Ends the name of nodes that share a Redis.
const REDIS: &str = "-redis";
/// Ends the name of a node that clients reach over TLS.
const TLS: &str = "-tls";

/// A peer to be started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Spec {
    pub(crate) kind: Kind,
    /// Whether the nodes share a Redis.
    pub(crate) redis: bool,
    /// Whether clients come over TLS.
    pub(crate) tls: bool,
    /// Keys of a node's configuration with their values, in the order given.
    pub(crate) settings: Vec<(String, String)>,
    /// Most users, for cases that ask; clients beyond share them. For Hubbub alone, whose clients have accounts.
    pub(crate) users: Option<usize>,
    /// Whether its database counts the statements that it carries out, for cases that ask.
    pub(crate) counts_statements: bool,
}

impl Spec {
    pub(crate) fn plain(kind: Kind) -> Self {
        let (redis, tls, settings) = (false, false, Vec::new());
        Self { kind, redis, tls, settings, users: None, counts_statements: false }
    }

    /// The settings as a node reads them from its environment.
    pub(crate) fn environment(&self) -> Vec<(String, String)> {
        let variable = |key: &str| format!("HUBBUB__{}", key.to_uppercase().replace('.', "__"));
        self.settings.iter().map(|(key, value)| (variable(key), value.clone())).collect()
    }
}

impl fmt::Display for Spec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = self.kind.to_possible_value();
        f.write_str(kind.as_ref().map_or("", |kind| kind.get_name()))?;
        f.write_str(if self.redis { REDIS } else { "" })?;
        f.write_str(if self.tls { TLS } else { "" })?;
        self.settings.iter().try_for_each(|(key, value)| write!(f, "@{key}={value}"))
    }
}

impl FromStr for Spec {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut parts = text.split('@');
        let name = parts.next().unwrap_or_default();
        let without = |name, end| str::strip_suffix(name, end).map_or((name, false), |rest| (rest, true));
        let (kind, tls) = without(name, TLS);
        let (kind, redis) = without(kind, REDIS);
        let kind = Kind::from_str(kind, false).map_err(|_| {
            let known: Vec<String> =
                Kind::value_variants().iter().map(|kind| Self::plain(*kind).to_string()).collect();
            format!(
                "`{name}` is no peer; the peers are {}; Hubbub's may end in {REDIS}, a single node in {TLS}",
                known.join(", ")
            )
        })?;
        let setting = |part: &str| {
            let pair = part.split_once('=').filter(|(key, _)| !key.is_empty());
            let (key, value) = pair.ok_or_else(|| format!("`{part}` sets nothing; write @KEY=VALUE"))?;
            Ok::<_, String>((key.to_owned(), value.to_owned()))
        };
        let settings: Vec<_> = parts.map(setting).collect::<Result<_, _>>()?;
        if !settings.is_empty() && !kind.is_ours() {
            return Err(format!("`{name}` has no settings; peers of Hubbub have"));
        }
        if redis && !kind.is_ours() {
            return Err(format!("`{name}` is no peer; only Hubbub's may end in {REDIS}"));
        }
        if tls && !matches!(kind, Kind::Hubbub | Kind::HubbubPg) {
            return Err(format!("`{name}` is no peer; TLS is for single nodes: hubbub-tls, hubbub-pg-tls"));
        }
        Ok(Self { redis, tls, settings, ..Self::plain(kind) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_is_named_with_the_settings_it_runs_with() {
        let spec: Spec = "hubbub2@metrics.enabled=false@edge.heartbeat=30s".parse().expect("a peer");
        assert_eq!(spec.kind, Kind::Hubbub2);
        let variables = spec.environment();
        assert_eq!(variables[0], ("HUBBUB__METRICS__ENABLED".to_owned(), "false".to_owned()));
        assert_eq!(variables[1], ("HUBBUB__EDGE__HEARTBEAT".to_owned(), "30s".to_owned()));
        assert_eq!(spec.to_string(), "hubbub2@metrics.enabled=false@edge.heartbeat=30s");
        assert_eq!("hubbub-pg".parse(), Ok(Spec::plain(Kind::HubbubPg)));
        for name in ["hubbub-pg-tls@edge.heartbeat=30s", "hubbub3-redis", "hubbub-pg-redis-tls"] {
            let spec: Spec = name.parse().expect("a peer");
            assert_eq!((spec.redis, spec.tls), (name.contains("redis"), name.contains("tls")), "{name}");
            assert_eq!(spec.to_string(), name);
        }
    }

    #[test]
    fn a_peer_that_is_none_is_told_which_there_are() {
        let refused = |text: &str| text.parse::<Spec>().expect_err("no peer");
        let known = "floor, hubbub, hubbub-pg, hubbub2, hubbub3, socketio, socketio2, ejabberd";
        assert!(refused("hubub").contains(known));
        assert!(refused("hubub").ends_with("Hubbub's may end in -redis, a single node in -tls"));
        assert_eq!(refused("hubbub@fast"), "`fast` sets nothing; write @KEY=VALUE");
        assert!(refused("socketio-redis").ends_with("only Hubbub's may end in -redis"));
        assert!(refused("floor-tls").ends_with("TLS is for single nodes: hubbub-tls, hubbub-pg-tls"));
        assert_eq!(refused("floor@a=b"), "`floor` has no settings; peers of Hubbub have");
    }
}
