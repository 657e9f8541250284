//! The Ed25519 keys that sign access tokens.
//!
//! Time is cut into periods of 30 days, and each has one key, made by whichever node needs it first
//! and kept in the store. So keys rotate without anyone doing it, and all nodes agree on them.
//! A token is signed with the key of now; those of the period before and after are accepted too,
//! and published, so that neither the turn of a period nor a slow clock is noticed.
//!
//! # Invariants
//!
//! * A key id stands for one key and one algorithm, EdDSA, whatever a token says of itself.
//! * Private keys are never shown by `Debug`, and leave this file only inside an [`EncodingKey`].

use std::{fmt, sync::Arc};

use hubbub_protocol::time::Timestamp;
use hubbub_storage::{Store, StoreError};
use jsonwebtoken::{
    Algorithm, DecodingKey, EncodingKey,
    jwk::{Jwk, JwkSet, KeyAlgorithm, PublicKeyUse, ThumbprintHash},
};
use parking_lot::RwLock;

/// How long a key signs, in milliseconds: 30 days, far above the 15 minutes a token lives.
const PERIOD_MS: i64 = 30 * 24 * 3_600 * 1_000;
/// DER of a PKCS #8 Ed25519 private key (RFC 8410), up to its 32 bytes of seed.
const PKCS8_HEAD: [u8; 16] =
    [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];

/// One key pair.
pub struct SigningKey {
    /// Its id, the beginning of its RFC 7638 thumbprint.
    pub kid: String,
    /// Signs.
    pub signs: EncodingKey,
    /// Verifies.
    pub verifies: DecodingKey,
    jwk: Jwk,
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("kid", &self.kid).finish_non_exhaustive()
    }
}

impl SigningKey {
    /// The key pair of a seed.
    ///
    /// # Errors
    /// When `seed` is not 32 bytes.
    pub fn from_seed(seed: &[u8]) -> Result<Self, jsonwebtoken::errors::Error> {
        let der = [&PKCS8_HEAD, seed].concat();
        let signs = EncodingKey::from_ed_der(&der);
        let mut jwk = Jwk::from_encoding_key(&signs, Algorithm::EdDSA)?;
        let thumbprint = jwk.thumbprint(ThumbprintHash::SHA256)?;
        let kid = thumbprint.chars().take(16).collect::<String>();
        jwk.common.key_id = Some(kid.clone());
        jwk.common.key_algorithm = Some(KeyAlgorithm::EdDSA);
        jwk.common.public_key_use = Some(PublicKeyUse::Signature);
        let verifies = DecodingKey::from_jwk(&jwk)?;
        Ok(Self { kid, signs, verifies, jwk })
    }
}

/// The keys of a period and its neighbours.
#[derive(Debug)]
pub struct Keys {
    period: i64,
    /// The period's before, its own, the next one's.
    keys: [SigningKey; 3],
}

impl Keys {
    /// The key to sign with.
    #[must_use]
    pub const fn current(&self) -> &SigningKey {
        &self.keys[1]
    }

    /// The key of that id.
    #[must_use]
    pub fn find(&self, kid: &str) -> Option<&SigningKey> {
        self.keys.iter().find(|key| key.kid == kid)
    }

    /// The public halves, as `/v1/.well-known/jwks.json` shows them.
    #[must_use]
    pub fn jwks(&self) -> JwkSet {
        JwkSet { keys: self.keys.iter().map(|key| key.jwk.clone()).collect() }
    }
}

#[cfg(test)]
impl Keys {
    /// Keys of the seeds given.
    pub(super) fn of_seeds(seeds: [u8; 3]) -> Self {
        let key = |seed| SigningKey::from_seed(&[seed; 32]).expect("a seed of 32 bytes");
        Self { period: 0, keys: seeds.map(key) }
    }
}

/// The keys in force, taken from the store when a period begins.
#[derive(Debug)]
pub struct KeyRing {
    store: Arc<dyn Store>,
    loaded: RwLock<Arc<Keys>>,
}

async fn key(store: &dyn Store, period: i64) -> Result<SigningKey, StoreError> {
    let fresh: [u8; 32] = rand::random();
    let seed = store.secret_or(&format!("jwt-key-{period}"), &fresh).await?;
    SigningKey::from_seed(&seed).map_err(|source| StoreError::Read { what: "a signing key", source: source.into() })
}

async fn load(store: &dyn Store, period: i64) -> Result<Keys, StoreError> {
    let keys = [key(store, period - 1).await?, key(store, period).await?, key(store, period + 1).await?];
    // Nothing that the key before those signed can be valid still.
    store.forget_secret(&format!("jwt-key-{}", period - 2)).await?;
    Ok(Keys { period, keys })
}

impl KeyRing {
    /// Loads the keys of `now`, making those that are not there.
    ///
    /// # Errors
    /// [`StoreError::Read`] and [`StoreError::Write`].
    pub async fn open(store: Arc<dyn Store>, now: Timestamp) -> Result<Self, StoreError> {
        let keys = load(&*store, now.0.div_euclid(PERIOD_MS)).await?;
        Ok(Self { store, loaded: RwLock::new(Arc::new(keys)) })
    }

    /// The keys in force at `now`.
    ///
    /// # Errors
    /// As [`KeyRing::open`], once in a period.
    pub async fn at(&self, now: Timestamp) -> Result<Arc<Keys>, StoreError> {
        let period = now.0.div_euclid(PERIOD_MS);
        let loaded = Arc::clone(&self.loaded.read());
        if loaded.period == period {
            return Ok(loaded);
        }
        let fresh = Arc::new(load(&*self.store, period).await?);
        *self.loaded.write() = Arc::clone(&fresh);
        Ok(fresh)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_id_belongs_to_its_key() {
        let key = SigningKey::from_seed(&[7; 32]).expect("a seed");
        let same = SigningKey::from_seed(&[7; 32]).expect("a seed");
        let other = SigningKey::from_seed(&[8; 32]).expect("a seed");
        assert_eq!(key.kid, same.kid);
        assert_ne!(key.kid, other.kid);
        assert_eq!(key.kid.len(), 16);
        assert!(SigningKey::from_seed(&[7; 31]).is_err());
    }

    #[test]
    fn what_is_published_has_no_private_half() {
        let key = SigningKey::from_seed(&[7; 32]).expect("a seed");
        let json = serde_json::to_value(&key.jwk).expect("plain data");
        assert_eq!(json["kty"], "OKP");
        assert_eq!(json["crv"], "Ed25519");
        assert_eq!(json["alg"], "EdDSA");
        assert_eq!(json["use"], "sig");
        assert_eq!(json["kid"], key.kid);
        assert!(json.get("d").is_none());
        assert!(!format!("{key:?}").contains("signs"));
    }
}
