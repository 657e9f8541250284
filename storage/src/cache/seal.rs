//! The form of a value in the cache: one byte of version, a seal, the body.
//!
//! # Invariants
//!
//! * Only who holds the installation's secret can make a value that opens, and it opens under its own key alone: a
//!   value that was tampered with, moved, or made by another installation reads as nothing.
//! * An older value of ours does open. That it is old must be found by whoever uses it.

use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

/// The form that this release writes and reads; another release's reads as nothing.
const VERSION: u8 = 1;
/// Version and seal.
pub(super) const HEAD_BYTES: usize = 1 + 32;
/// Bytes of a digest that names something: 128 bits do not meet by chance.
const NAME_BYTES: usize = 16;

/// What is sealed, so that nothing can stand for something else.
const VALUE: &[u8] = b"value";
const NAME: &[u8] = b"name";

/// Seals and opens values, and hides names.
#[derive(Clone)]
pub(super) struct Sealer(Hmac<Sha256>);

impl Sealer {
    /// Takes the installation's secret.
    pub(super) fn new(secret: &[u8]) -> Self {
        // HMAC fills its key up with zeros to a block of SHA-256, 64 bytes.
        let mut block = [0; 64];
        block[..32].copy_from_slice(&Sha256::digest(secret));
        Self(Hmac::new(&block.into()))
    }

    fn mac(&self, what: &[u8], key: &[u8], body: &[u8]) -> Hmac<Sha256> {
        let mut mac = self.0.clone();
        for part in [what, key] {
            mac.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            mac.update(part);
        }
        mac.update(body);
        mac
    }

    /// The value of `body` under `key`.
    pub(super) fn seal(&self, key: &str, body: &[u8]) -> Vec<u8> {
        let mut value = Vec::with_capacity(HEAD_BYTES + body.len());
        value.push(VERSION);
        value.extend_from_slice(&self.mac(VALUE, key.as_bytes(), body).finalize().into_bytes());
        value.extend_from_slice(body);
        value
    }

    /// The body of a value that was kept under `key`, if it is one of ours.
    pub(super) fn open(&self, key: &str, value: &Bytes) -> Option<Bytes> {
        let (head, body) = value.split_at_checked(HEAD_BYTES)?;
        let (version, seal) = head.split_first()?;
        if *version != VERSION {
            return None;
        }
        self.mac(VALUE, key.as_bytes(), body).verify_slice(seal).ok()?;
        Some(value.slice(HEAD_BYTES..))
    }

    /// A name that does not tell what it stands for.
    pub(super) fn hidden(&self, name: &[u8]) -> String {
        let digest = self.mac(NAME, &[], name).finalize().into_bytes();
        digest[..NAME_BYTES].iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value() -> Vec<u8> {
        Sealer::new(b"secret").seal("key", b"body")
    }

    #[test]
    fn a_value_opens_under_its_own_key_and_secret_alone() {
        let value = Bytes::from(value());
        let sealer = Sealer::new(b"secret");
        assert_eq!(sealer.open("key", &value), Some(Bytes::from_static(b"body")));
        assert_eq!(sealer.open("another", &value), None);
        assert_eq!(Sealer::new(b"another").open("key", &value), None);
    }

    #[test]
    fn a_value_that_was_changed_anywhere_or_cut_reads_as_nothing() {
        let sealer = Sealer::new(b"secret");
        for at in 0..value().len() {
            let mut changed = value();
            changed[at] ^= 1;
            assert_eq!(sealer.open("key", &changed.into()), None, "byte {at}");
            assert_eq!(sealer.open("key", &Bytes::from(value()).slice(..at)), None, "cut at {at}");
        }
    }

    #[test]
    fn a_hidden_name_is_the_same_for_one_installation_alone() {
        let hidden = |secret: &[u8], name: &[u8]| Sealer::new(secret).hidden(name);
        assert_eq!(hidden(b"secret", b"ada"), hidden(b"secret", b"ada"));
        assert_ne!(hidden(b"secret", b"ada"), hidden(b"another", b"ada"));
        assert_ne!(hidden(b"secret", b"ada"), hidden(b"secret", b"bob"));
        assert_eq!(hidden(b"secret", b"ada").len(), 32);
    }
}
