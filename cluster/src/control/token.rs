//! Who may join: a token says how many nodes, as what, until when.

use serde::{Deserialize, Serialize};

use super::member::Role;

/// Most tokens kept. Expired ones leave when a new one is made.
pub const TOKENS_MAX: usize = 1_024;
/// Most nodes one token may admit.
pub const USES_MAX: u32 = 1_000;

/// The public half of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TokenId(pub u128);

/// What a token permits. Its hash is the key of the joiner's proof: it counts as a secret.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    /// SHA-256 of the secret, which is never sent.
    pub secret_sha256: [u8; 32],
    /// The most its holder may become.
    pub role: Role,
    /// How many nodes it may still admit.
    pub uses_left: u32,
    /// When it ends, in Unix milliseconds.
    pub expires_ms: u64,
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { secret_sha256: _, role, uses_left, expires_ms } = self;
        write!(f, "Token({role:?}, {uses_left} uses until {expires_ms})")
    }
}

impl Token {
    /// Whether it is still good at `now_ms`.
    #[must_use]
    pub const fn admits(&self, now_ms: u64) -> bool {
        self.uses_left > 0 && now_ms < self.expires_ms
    }
}
