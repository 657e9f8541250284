//! What a founder keeps between `init` and its first `serve`: the authority, sealed, and the first token.

use std::{fs, io, path::Path};

use hubbub_cluster::control::{Command, Role, Token, TokenId, state::CaFacts};
use serde::{Deserialize, Serialize};

use super::files;
use crate::cli::failure::Failure;

const FOUNDING: &str = "founding.json";

/// The token that `init` printed. As in the cluster, only the hash of its secret is kept.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FirstToken {
    /// Its public half.
    pub id: TokenId,
    /// SHA-256 of its secret.
    pub secret_sha256: [u8; 32],
    /// The most its holder may become.
    pub role: Role,
    /// How many nodes it admits.
    pub uses: u32,
    /// When it was made, in Unix milliseconds.
    pub made_ms: u64,
    /// When it ends, in Unix milliseconds.
    pub expires_ms: u64,
}

impl std::fmt::Debug for FirstToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "FirstToken({})", self.id)
    }
}

impl FirstToken {
    /// The command that makes it.
    #[must_use]
    pub fn command(&self) -> Command {
        let token = Token {
            secret_sha256: self.secret_sha256,
            role: self.role,
            uses_left: self.uses,
            expires_ms: self.expires_ms,
        };
        Command::CreateToken { id: self.id, token, now_ms: self.made_ms }
    }
}

/// What is founded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FoundingFile {
    /// The authority: its root and its key, sealed.
    pub ca: CaFacts,
    /// The token.
    pub token: FirstToken,
}

impl FoundingFile {
    pub(super) fn read(directory: &Path) -> Result<Option<Self>, Failure> {
        let path = directory.join(FOUNDING);
        let Some(text) = files::read_text(&path)? else { return Ok(None) };
        serde_json::from_str(&text).map(Some).map_err(|_| files::damaged(&path))
    }

    pub(super) fn write(&self, directory: &Path) -> Result<(), Failure> {
        let path = directory.join(FOUNDING);
        let bytes = serde_json::to_vec(self).map_err(|error| Failure::Failed(error.to_string()))?;
        files::write_private(&path, &bytes).map_err(|error| files::unwritten(&path, &error))
    }

    pub(super) fn remove(directory: &Path) -> Result<(), Failure> {
        let path = directory.join(FOUNDING);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(files::unwritten(&path, &error)),
            Ok(()) | Err(_) => files::sync_parent(&path).map_err(|error| files::unwritten(&path, &error)),
        }
    }
}
