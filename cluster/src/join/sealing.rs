//! The key under which the authority's key is sealed, and sealing itself.
//!
//! ChaCha20-Poly1305 under a random nonce of 96 bits: a key seals a handful of values in its life, so no two nonces
//! meet. What a value is for goes in as associated data: a sealed value is good for nothing else.

use std::fmt;

use ring::{
    aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    hmac,
    rand::{SecureRandom as _, SystemRandom},
};
use rustls::pki_types::CertificateDer;

use super::base32::cluster_id;
use crate::{
    control::state::CaFacts,
    identity::{Authority, IdentityError},
};

/// What the authority's key is sealed for.
const FOR_AUTHORITY: &[u8] = b"hubbub authority 1";
/// What a sealing key is wrapped for.
const FOR_VOTER: &[u8] = b"hubbub voter 1";

/// 256 bits that unseal the authority's key. Only nodes that may vote hold it, in a file of mode 0600.
#[derive(Clone, PartialEq, Eq)]
pub struct SealingKey([u8; 32]);

impl fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealingKey(***)")
    }
}

/// A value that was not sealed by this key for this purpose, or was damaged.
#[derive(Debug, thiserror::Error)]
pub enum Unsealed {
    /// It does not open.
    #[error("the authority's key does not open: restore `sealing.key` of this cluster")]
    Closed,
    /// It opens, and is no authority.
    #[error("the authority's key cannot be used")]
    Authority(#[from] IdentityError),
}

impl SealingKey {
    /// A new key.
    #[must_use]
    pub fn random() -> Self {
        Self(random())
    }

    /// The key that was kept as `bytes`.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Its bytes, to be kept.
    #[must_use]
    pub const fn to_bytes(&self) -> [u8; 32] {
        self.0
    }

    /// What the cluster keeps of `authority`.
    #[must_use]
    pub fn seal_authority(&self, authority: &Authority) -> CaFacts {
        let sealed_key = seal(&self.0, FOR_AUTHORITY, &authority.key_pkcs8());
        CaFacts { roots: vec![authority.root().to_vec()], sealed_key }
    }

    /// The authority of the cluster numbered `cluster`, out of what it keeps: its newest root signs.
    ///
    /// # Errors
    /// [`Unsealed`].
    pub fn open_authority(&self, cluster: u128, facts: &CaFacts) -> Result<Authority, Unsealed> {
        let key = open(&self.0, FOR_AUTHORITY, &facts.sealed_key).ok_or(Unsealed::Closed)?;
        let root = facts.roots.last().cloned().ok_or(Unsealed::Closed)?;
        Ok(Authority::from_parts(cluster_id(cluster), CertificateDer::from(root), &key)?)
    }

    /// The key, wrapped for the joiner whose application `about` names and who knows the token's secret.
    pub(super) fn wrap(&self, secret_sha256: &[u8; 32], about: &[u8; 32]) -> Vec<u8> {
        seal(&wrapping_key(secret_sha256, about), FOR_VOTER, &self.0)
    }

    /// Undoes [`wrap`](Self::wrap).
    pub(super) fn unwrap_for(secret_sha256: &[u8; 32], about: &[u8; 32], wrapped: &[u8]) -> Option<Self> {
        let key = open(&wrapping_key(secret_sha256, about), FOR_VOTER, wrapped)?;
        key.try_into().ok().map(Self)
    }
}

/// Bytes of the operating system's source.
pub(super) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    SystemRandom::new().fill(&mut bytes).expect("the operating system gives random bytes");
    bytes
}

fn wrapping_key(secret_sha256: &[u8; 32], about: &[u8; 32]) -> [u8; 32] {
    let mut said = FOR_VOTER.to_vec();
    said.extend(about);
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret_sha256), &said);
    std::array::from_fn(|n| tag.as_ref().get(n).copied().unwrap_or(0))
}

fn aead(key: &[u8; 32]) -> LessSafeKey {
    let key = UnboundKey::new(&CHACHA20_POLY1305, key).expect("the key of this cipher has 32 bytes");
    LessSafeKey::new(key)
}

/// `value` as nonce, ciphertext, tag.
fn seal(key: &[u8; 32], purpose: &[u8], value: &[u8]) -> Vec<u8> {
    let nonce: [u8; NONCE_LEN] = random();
    let mut sealed = value.to_vec();
    aead(key)
        .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(purpose), &mut sealed)
        .expect("a value of a few hundred bytes is within the cipher's bounds");
    [nonce.as_slice(), &sealed].concat()
}

fn open(key: &[u8; 32], purpose: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
    let (nonce, sealed) = sealed.split_first_chunk::<NONCE_LEN>()?;
    let mut value = sealed.to_vec();
    let opened = aead(key).open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::from(purpose), &mut value);
    opened.ok().map(|value| value.to_vec())
}

#[cfg(test)]
mod tests {
    use time::OffsetDateTime;

    use super::*;

    #[test]
    fn the_authority_opens_under_its_own_key_alone() {
        let (key, now) = (SealingKey::random(), OffsetDateTime::now_utc());
        let authority = Authority::new(cluster_id(5), now).expect("made");
        let mut facts = key.seal_authority(&authority);
        let opened = key.open_authority(5, &facts).expect("its own key");
        assert_eq!(opened.pin(), authority.pin());
        assert!(matches!(SealingKey::random().open_authority(5, &facts), Err(Unsealed::Closed)));
        facts.sealed_key[20] ^= 1;
        assert!(matches!(key.open_authority(5, &facts), Err(Unsealed::Closed)));
        facts.sealed_key.truncate(3);
        assert!(matches!(key.open_authority(5, &facts), Err(Unsealed::Closed)));
    }

    #[test]
    fn a_wrapped_key_opens_for_the_one_application_and_secret() {
        let key = SealingKey::random();
        let wrapped = key.wrap(&[1; 32], &[2; 32]);
        assert_eq!(SealingKey::unwrap_for(&[1; 32], &[2; 32], &wrapped), Some(key));
        assert_eq!(SealingKey::unwrap_for(&[1; 32], &[3; 32], &wrapped), None);
        assert_eq!(SealingKey::unwrap_for(&[9; 32], &[2; 32], &wrapped), None);
    }
}
