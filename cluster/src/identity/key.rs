//! A node's own key: made where the node runs, and never sent. What is sent is a request to sign it.

use std::fmt;

use rcgen::{CertificateParams, CertificateSigningRequestParams, KeyPair, PKCS_ED25519, PublicKeyData as _};
use rustls::pki_types::{CertificateSigningRequestDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use sha2::{Digest as _, Sha256};

use super::ca::{IdentityError, failed};

/// An Ed25519 key of a node.
pub struct NodeKey(KeyPair);

impl fmt::Debug for NodeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NodeKey(***)")
    }
}

impl NodeKey {
    /// A new key.
    ///
    /// # Errors
    /// [`IdentityError::Make`].
    pub fn new() -> Result<Self, IdentityError> {
        KeyPair::generate_for(&PKCS_ED25519).map(Self).map_err(failed("make a node's key"))
    }

    /// The key that was kept as PKCS #8.
    ///
    /// # Errors
    /// [`IdentityError::Make`] for anything else.
    pub fn from_pkcs8(key: &[u8]) -> Result<Self, IdentityError> {
        KeyPair::try_from(key).map(Self).map_err(failed("read a node's key"))
    }

    /// To be kept, in a file that its user alone can read.
    #[must_use]
    pub fn to_pkcs8(&self) -> Vec<u8> {
        self.0.serialize_der()
    }

    /// For TLS.
    #[must_use]
    pub fn for_tls(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.to_pkcs8()))
    }

    /// SHA-256 of its public half.
    #[must_use]
    pub fn sha256(&self) -> [u8; 32] {
        Sha256::digest(self.0.subject_public_key_info()).into()
    }

    /// A request to sign it, itself signed by it. It asks for no name: the authority gives one.
    ///
    /// # Errors
    /// [`IdentityError::Make`].
    pub fn request(&self) -> Result<CertificateSigningRequestDer<'static>, IdentityError> {
        let request = CertificateParams::default().serialize_request(&self.0);
        Ok(request.map_err(failed("ask for a certificate"))?.der().clone())
    }
}

/// SHA-256 of the public key that `request` asks to be signed, and proves to hold.
///
/// # Errors
/// [`IdentityError::Request`].
pub fn requested_key(request: &CertificateSigningRequestDer<'_>) -> Result<[u8; 32], IdentityError> {
    let request = CertificateSigningRequestParams::from_der(request).map_err(IdentityError::Request)?;
    Ok(Sha256::digest(request.public_key.subject_public_key_info()).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_names_the_key_that_signed_it() {
        let key = NodeKey::new().expect("made");
        let kept = NodeKey::from_pkcs8(&key.to_pkcs8()).expect("kept");
        let request = kept.request().expect("asked");
        assert_eq!(requested_key(&request).expect("a request"), key.sha256());
        let mut other = request.to_vec();
        let last = other.len() - 1;
        other[last] ^= 1;
        let refused = requested_key(&CertificateSigningRequestDer::from(other));
        assert!(matches!(refused, Err(IdentityError::Request(_))), "its signature does not hold");
    }
}
