//! How a node is set: a file, then the environment, then flags; checked once, into exact types.
//!
//! `hubbub.toml` has one table per component. `HUBBUB__EDGE__HEARTBEAT_MS=5000` sets
//! `edge.heartbeat_ms`. A key that is not known is refused, with the nearest known one named.

use std::{net::SocketAddr, path::Path};

use figment::{
    Figment,
    providers::{Env, Format, Serialized, Toml},
};
use serde::{Deserialize, Serialize};

use crate::{auth::Registration, cli::failure::Failure};

/// Everything that can be set.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NodeConfig {
    /// Listeners.
    pub listen: ListenConfig,
    /// The WebSocket edge.
    pub edge: EdgeSettings,
    /// Sign-in.
    pub auth: AuthSettings,
    /// The store.
    pub store: StoreConfig,
    /// What the node says of itself.
    pub log: LogConfig,
}

/// `[listen]`: where the node is reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ListenConfig {
    /// Address and port for clients.
    pub public: SocketAddr,
    /// Address and port for operators: health and metrics. Keep it off the internet.
    pub admin: SocketAddr,
}

impl Default for ListenConfig {
    fn default() -> Self {
        Self { public: ([127, 0, 0, 1], 8080).into(), admin: ([127, 0, 0, 1], 8081).into() }
    }
}

/// `[edge]`: how connections are treated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EdgeSettings {
    /// Milliseconds between two heartbeats of a client, 100 to 600,000. Shorter finds dead clients
    /// sooner and costs a frame each time.
    pub heartbeat_ms: u64,
    /// Origins of pages that may connect, beside the node's own, such as `https://chat.example`.
    pub origins: Vec<String>,
    /// Whether clients and callers are limited in how much they ask. Turn it off for tests only.
    pub rate_limits: bool,
    /// Milliseconds within which clients are told to come back when the node stops.
    pub reconnect_after_ms: u64,
}

impl Default for EdgeSettings {
    fn default() -> Self {
        Self {
            heartbeat_ms: hubbub_protocol::limits::HEARTBEAT_MS,
            origins: Vec::new(),
            rate_limits: true,
            reconnect_after_ms: 1_000,
        }
    }
}

/// `[auth]`: who may sign in, and for how long.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AuthSettings {
    /// Who may make an account: `open`, `invite` or `closed`.
    pub registration: Registration,
    /// Seconds an access token is good for, 1 to 900.
    pub access_ttl_s: u64,
    /// Days a refresh token is good for from its last use, 1 to 365.
    pub refresh_ttl_days: u64,
    /// Whether cookies are sent over encrypted connections alone. Turn it on behind TLS.
    pub cookies_secure: bool,
}

impl Default for AuthSettings {
    fn default() -> Self {
        Self { registration: Registration::Invite, access_ttl_s: 900, refresh_ttl_days: 30, cookies_secure: false }
    }
}

/// `[store]`: where everything is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StoreConfig {
    /// `sqlite` for the embedded store in the data directory.
    pub url: String,
    /// Shards, as a power of two, 0 to 16. Fixed once there is data.
    pub shard_bits: u8,
}

impl Default for StoreConfig {
    fn default() -> Self {
        Self { url: "sqlite".to_owned(), shard_bits: 6 }
    }
}

/// `[log]`: what the node says of itself, on standard error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogConfig {
    /// Levels by module, such as `info,hubbub_actors=debug`.
    pub filter: String,
    /// Whether to write one JSON object a line.
    pub json: bool,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self { filter: "info".to_owned(), json: false }
    }
}

impl NodeConfig {
    /// Reads the file, if there is one, and the environment.
    ///
    /// # Errors
    /// A sentence that names the key, and the nearest known one.
    pub fn read(file: Option<&Path>) -> Result<Self, Failure> {
        let mut figment = Figment::from(Serialized::defaults(Self::default()));
        if let Some(file) = file {
            if !file.is_file() {
                return Err(Failure::Usage(format!("there is no configuration file {}", file.display())));
            }
            figment = figment.merge(Toml::file_exact(file));
        }
        figment = figment.merge(Env::prefixed("HUBBUB__").split("__"));
        figment.extract().map_err(|error| Failure::Usage(sentence(&error)))
    }

    /// Checks what types cannot say.
    ///
    /// # Errors
    /// A sentence that names the key and its range.
    pub fn check(&self) -> Result<(), Failure> {
        let within = |key: &str, value: u64, range: std::ops::RangeInclusive<u64>| {
            if range.contains(&value) {
                return Ok(());
            }
            let (from, to) = (range.start(), range.end());
            Err(Failure::Usage(format!("`{key}` must be from {from} to {to}, not {value}")))
        };
        within("edge.heartbeat_ms", self.edge.heartbeat_ms, 100..=600_000)?;
        within("auth.access_ttl_s", self.auth.access_ttl_s, 1..=900)?;
        within("auth.refresh_ttl_days", self.auth.refresh_ttl_days, 1..=365)?;
        within("store.shard_bits", u64::from(self.store.shard_bits), 0..=16)?;
        if self.store.url != "sqlite" {
            return Err(Failure::Usage(format!(
                "this version keeps its data in the embedded store only: set `store.url` to `sqlite`, not `{}`",
                self.store.url
            )));
        }
        Ok(())
    }
}

/// What is wrong, with the nearest key that is known.
fn sentence(error: &figment::Error) -> String {
    let mut text = format!("the configuration cannot be used: {error}");
    if let figment::error::Kind::UnknownField(wrong, known) = &error.kind
        && let Some(nearest) = nearest(wrong, known)
    {
        text.push_str(&format!("; did you mean `{nearest}`?"));
    }
    text
}

fn nearest<'a>(wrong: &str, known: &[&'a str]) -> Option<&'a str> {
    known
        .iter()
        .copied()
        .min_by_key(|name| distance(wrong, name))
        .filter(|name| distance(wrong, name) <= name.len() / 2)
}

/// Letters to change, add or leave out to come from one word to the other.
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (at, letter) in one.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = at + 1;
        for (place, known) in other.iter().enumerate() {
            let changed = diagonal + usize::from(letter != *known);
            diagonal = row[place + 1];
            row[place + 1] = changed.min(row[place] + 1).min(row[place + 1] + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(toml: &str) -> Result<NodeConfig, String> {
        let folder = tempfile::TempDir::new().expect("a temporary folder");
        let file = folder.path().join("hubbub.toml");
        std::fs::write(&file, toml).expect("a writable folder");
        NodeConfig::read(Some(&file)).map_err(|error| error.to_string())
    }

    #[test]
    fn an_empty_file_means_the_defaults() {
        assert_eq!(read("").expect("nothing wrong"), NodeConfig::default());
        assert_eq!(NodeConfig::default().check().map_err(|error| error.to_string()), Ok(()));
    }

    #[test]
    fn an_unknown_key_is_refused_with_the_nearest_known_one() {
        let error = read("[edge]\nheartbeat = 5").expect_err("unknown");
        assert!(error.contains("heartbeat_ms"), "{error}");
    }

    #[test]
    fn a_number_out_of_range_is_named() {
        let config = read("[auth]\naccess_ttl_s = 901").expect("a number");
        let error = config.check().expect_err("too long").to_string();
        assert!(error.contains("auth.access_ttl_s") && error.contains("900"), "{error}");
    }
}
