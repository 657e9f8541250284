//! `--url`, `--token`, `--token-file`: which node a command is for.

use std::{
    io::Read,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use clap::Args;
use serde::Deserialize;

use super::{Linked, admin_link::AdminLink, failure::Failure};
use crate::{config::NodeConfig, datadir::admin_socket};

/// Largest token file, in bytes; our tokens have about 400.
const TOKEN_FILE_BYTES_MAX: u64 = 16 * 1024;

/// A node elsewhere, instead of the one of the data directory.
#[derive(Debug, Clone, Args)]
pub struct Reach {
    /// A running node, such as `http://127.0.0.1:8080`, instead of the one of `--data-dir`.
    #[arg(long, global = true, value_name = "URL")]
    pub url: Option<String>,
    /// An access token, as `hubbub token` prints it.
    #[arg(long, global = true, env = "HUBBUB_TOKEN", hide_env_values = true)]
    pub token: Option<String>,
    /// A file with the access token, where others cannot see it.
    #[arg(long, global = true, value_name = "FILE", conflicts_with = "token")]
    pub token_file: Option<PathBuf>,
}

impl Reach {
    /// The node of the data directory.
    #[must_use]
    pub const fn here() -> Self {
        Self { url: None, token: None, token_file: None }
    }

    /// The token, wherever it was given.
    ///
    /// # Errors
    /// [`Failure::Usage`] when none was, [`Failure::Failed`] for a file that cannot be read.
    pub fn token(&self) -> Result<String, Failure> {
        if let Some(path) = &self.token_file {
            let unread = |error: std::io::Error| Failure::Failed(format!("{}: {error}", path.display()));
            let mut text = String::new();
            let file = std::fs::File::open(path).map_err(unread)?;
            file.take(TOKEN_FILE_BYTES_MAX).read_to_string(&mut text).map_err(unread)?;
            return Ok(text.trim().to_owned());
        }
        let missing =
            || Failure::Usage("--url needs --token or --token-file: `hubbub token NAME` makes one".to_owned());
        self.token.clone().ok_or_else(missing)
    }

    /// A link to the operator interface of a node that runs, and where its clients reach it; `instead`
    /// says what to do when none does.
    ///
    /// # Errors
    /// [`Failure::NotRunning`] when none runs over the data directory, and those of the link.
    pub async fn running(&self, data_dir: &Path, instead: &str) -> Result<(AdminLink, String), Failure> {
        if let Some(url) = self.url.clone() {
            let link = AdminLink::Remote { url: url.clone(), token: self.token()?, client: client()? };
            return Ok((link, url));
        }
        let none = || Failure::NotRunning(format!("no node runs over {}: {instead}", data_dir.display()));
        let link = AdminLink::to_running(&admin_socket(data_dir)).await?.ok_or_else(none)?;
        let settings: Listening = link.get("/v1/admin/settings").await?;
        Ok((link, url_of(&settings.listen, settings.tls)))
    }

    /// A link to the node's operator interface.
    ///
    /// # Errors
    /// A sentence with the remedy.
    pub async fn link(&self, data_dir: &Path, config: &NodeConfig) -> Result<Linked, Failure> {
        let Some(url) = self.url.clone() else {
            return Linked::to(data_dir, config).await;
        };
        let link = AdminLink::Remote { url, token: self.token()?, client: client()? };
        Ok(Linked { link, here: None })
    }
}

/// What of a node's settings tells where it is.
#[derive(Debug, Deserialize)]
struct Listening {
    listen: String,
    /// Absent where a node has no TLS, and of a release that knew none.
    #[serde(default)]
    tls: bool,
}

fn client() -> Result<Box<reqwest::Client>, Failure> {
    let client = hubbub_client::trust::http().build();
    client.map(Box::new).map_err(|error| Failure::Failed(format!("TLS cannot be set up: {error}")))
}

/// Where a client on this machine reaches a node that listens on `address`.
fn url_of(address: &str, tls: bool) -> String {
    let scheme = if tls { "https" } else { "http" };
    let port =
        address.parse().ok().filter(|known: &SocketAddr| known.ip().is_unspecified()).map(|known| known.port());
    port.map_or_else(|| format!("{scheme}://{address}"), |port| format!("{scheme}://localhost:{port}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_on_every_address_is_reached_on_this_machine() {
        assert_eq!(url_of("127.0.0.1:8080", false), "http://127.0.0.1:8080");
        assert_eq!(url_of("0.0.0.0:8080", false), "http://localhost:8080");
        assert_eq!(url_of("[::]:80", false), "http://localhost:80");
        assert_eq!(url_of("[::1]:80", false), "http://[::1]:80");
    }
}
