//! The proof of a joiner: that it knows the token's secret, on this TLS channel, for this application.

use ring::hmac;
use sha2::{Digest as _, Sha256};

/// The label under which both ends draw bytes from the channel's keys (RFC 8446, section 7.5).
const LABEL: &[u8] = b"EXPORTER-hubbub-join/1";
/// What the proof is over comes after this.
const FOR_PROOF: &[u8] = b"hubbub join proof 1";

/// 32 bytes that both ends of one channel know, and nobody else: no two channels have the same.
pub(super) fn channel(connection: &quinn::Connection) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    connection.export_keying_material(&mut bytes, LABEL, b"").ok()?;
    Some(bytes)
}

fn said(channel: &[u8; 32], application: &[u8]) -> Vec<u8> {
    [FOR_PROOF, channel, &digest(application)].concat()
}

/// What stands for an application.
pub(super) fn digest(application: &[u8]) -> [u8; 32] {
    Sha256::digest(application).into()
}

pub(super) fn prove(secret_sha256: &[u8; 32], channel: &[u8; 32], application: &[u8]) -> Vec<u8> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret_sha256);
    hmac::sign(&key, &said(channel, application)).as_ref().to_vec()
}

/// Takes the same time whatever the proof is.
pub(super) fn holds(secret_sha256: &[u8; 32], channel: &[u8; 32], application: &[u8], proof: &[u8]) -> bool {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret_sha256);
    hmac::verify(&key, &said(channel, application), proof).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proof_holds_for_its_secret_channel_and_application_alone() {
        let proof = prove(&[1; 32], &[2; 32], b"n3");
        assert!(holds(&[1; 32], &[2; 32], b"n3", &proof));
        assert!(!holds(&[9; 32], &[2; 32], b"n3", &proof), "another secret");
        assert!(!holds(&[1; 32], &[9; 32], b"n3", &proof), "another channel");
        assert!(!holds(&[1; 32], &[2; 32], b"n4", &proof), "another application");
        assert!(!holds(&[1; 32], &[2; 32], b"n3", &proof[..31]), "cut short");
    }
}
