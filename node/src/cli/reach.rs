//! `--url`, `--token`, `--token-file`: which node a command is for.

use std::{
    io::Read,
    path::{Path, PathBuf},
};

use clap::Args;

use super::{Linked, admin_link::AdminLink, failure::Failure};
use crate::config::NodeConfig;

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

    /// A link to the node's operator interface.
    ///
    /// # Errors
    /// A sentence with the remedy.
    pub async fn link(&self, data_dir: &Path, config: &NodeConfig) -> Result<Linked, Failure> {
        let Some(url) = self.url.clone() else {
            return Linked::to(data_dir, config).await;
        };
        let link = AdminLink::Remote { url, token: self.token()?, client: Box::default() };
        Ok(Linked { link, here: None })
    }
}
