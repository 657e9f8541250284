//! Tokens with which a client session is resumed: sealed, not secret.
//!
//! A token is the session's number, its user and an HMAC-SHA256 over both under a key that all nodes
//! share through the store; it outlives a restart of any node.
//! It proves nothing alone: `resume` takes it together with an access token of the same user.

use std::fmt;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::Mac;
use hubbub_protocol::ids::UserId;
use hubbub_storage::{Store, StoreError};

use super::mac::{HmacSha256, keyed};

/// Session and user, eight bytes each, then the tag.
const TOKEN_BYTES: usize = 8 + 8 + 16;

/// Seals and opens resume tokens.
#[derive(Clone)]
pub struct ResumeTokens {
    key: HmacSha256,
}

impl fmt::Debug for ResumeTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ResumeTokens")
    }
}

impl ResumeTokens {
    /// Takes the cluster's key from the store, making it at the first start.
    ///
    /// # Errors
    /// [`StoreError::Read`], [`StoreError::Write`].
    pub async fn open(store: &dyn Store) -> Result<Self, StoreError> {
        let fresh: [u8; 32] = rand::random();
        Ok(Self::new(&store.secret_or("resume-key", &fresh).await?))
    }

    /// Takes the key.
    #[must_use]
    pub fn new(key: &[u8]) -> Self {
        Self { key: keyed(key) }
    }

    fn mac(&self, named: &[u8]) -> HmacSha256 {
        let mut mac = self.key.clone();
        mac.update(named);
        mac
    }

    /// Seals a session of `user`.
    #[must_use]
    pub fn seal(&self, session: u64, user: UserId) -> String {
        let named = [session.to_be_bytes(), user.raw().to_be_bytes()].concat();
        let tag = self.mac(&named).finalize().into_bytes();
        URL_SAFE_NO_PAD.encode([&named, &tag[..16]].concat())
    }

    /// The session and user of a token that was sealed here; `None` for any other text.
    #[must_use]
    pub fn unseal(&self, token: &str) -> Option<(u64, UserId)> {
        let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
        if bytes.len() != TOKEN_BYTES {
            return None;
        }
        let (named, tag) = bytes.split_at(16);
        self.mac(named).verify_truncated_left(tag).ok()?;
        let (session, user) = named.split_first_chunk::<8>()?;
        let user = u64::from_be_bytes(user.try_into().ok()?);
        Some((u64::from_be_bytes(*session), UserId::from_raw(user)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_session_is_opened_and_a_forged_one_is_not() {
        let tokens = ResumeTokens::new(b"key");
        let user = UserId::from_raw(42);
        let token = tokens.seal(u64::MAX, user);
        assert_eq!(tokens.unseal(&token), Some((u64::MAX, user)));
        assert_eq!(ResumeTokens::new(b"other").unseal(&token), None);
        let mut bytes = URL_SAFE_NO_PAD.decode(&token).expect("base64");
        for at in 0..bytes.len() {
            bytes[at] ^= 1;
            assert_eq!(tokens.unseal(&URL_SAFE_NO_PAD.encode(&bytes)), None);
            bytes[at] ^= 1;
        }
        for forged in ["", "x", "😀", &token[1..]] {
            assert_eq!(tokens.unseal(forged), None);
        }
    }
}
