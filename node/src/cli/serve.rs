//! `hubbub serve`: run a node.

use std::{net::SocketAddr, path::Path};

use clap::{Args, ValueEnum};

use super::failure::Failure;
use crate::{auth::Registration, config::Loaded, logs, serve};

/// On or off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Switch {
    /// On.
    On,
    /// Off.
    Off,
}

/// Options of `serve`. Each goes ahead of the environment, and that ahead of the file.
#[derive(Debug, Args)]
pub struct Serve {
    /// Address and port for clients [default: 127.0.0.1:8080].
    #[arg(long, value_name = "ADDR")]
    pub listen: Option<SocketAddr>,
    /// File with the certificate for TLS, in PEM [default: none].
    #[arg(long, value_name = "FILE")]
    pub tls_cert: Option<String>,
    /// File with its private key, in PEM [default: none].
    #[arg(long, value_name = "FILE")]
    pub tls_key: Option<String>,
    /// Address and port for health and metrics [default: 127.0.0.1:8081].
    #[arg(long, value_name = "ADDR")]
    pub admin_listen: Option<SocketAddr>,
    /// Who may make an account [default: invite].
    #[arg(long, value_enum)]
    pub registration: Option<Registration>,
    /// Where everything is kept [default: sqlite, in the data directory].
    #[arg(long, value_name = "URL")]
    pub store: Option<String>,
    /// Milliseconds between two heartbeats of a client [default: 30000].
    #[arg(long, value_name = "N")]
    pub heartbeat_ms: Option<u64>,
    /// Seconds an access token is good for [default: 900].
    #[arg(long, value_name = "SECONDS")]
    pub access_ttl: Option<u64>,
    /// Whether clients are limited in how much they ask. Off is for tests only [default: on].
    #[arg(long, value_enum)]
    pub rate_limits: Option<Switch>,
}

impl Serve {
    /// Runs the node until it is told to stop.
    ///
    /// # Errors
    /// A sentence with the remedy.
    pub async fn run(self, data_dir: &Path, loaded: Loaded) -> Result<(), Failure> {
        let config = self.over(loaded).finish()?;
        let levels = logs::begin(&config.log).map_err(|error| Failure::Usage(format!("`log.filter`: {error}")))?;
        serve::serve(data_dir, config, levels).await
    }

    fn over(self, loaded: Loaded) -> Loaded {
        let registration = self.registration.and_then(|who| who.to_possible_value());
        loaded
            .flag("--listen", "listen.public", self.listen.map(|address| address.to_string()))
            .flag("--tls-cert", "listen.tls_cert", self.tls_cert)
            .flag("--tls-key", "listen.tls_key", self.tls_key)
            .flag("--admin-listen", "listen.admin", self.admin_listen.map(|address| address.to_string()))
            .flag("--registration", "auth.registration", registration.map(|value| value.get_name().to_owned()))
            .flag("--store", "store.url", self.store)
            .flag("--heartbeat-ms", "edge.heartbeat_ms", self.heartbeat_ms)
            .flag("--access-ttl", "auth.access_ttl_s", self.access_ttl)
            .flag("--rate-limits", "edge.rate_limits", self.rate_limits.map(|switch| switch == Switch::On))
    }
}
