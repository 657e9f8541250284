//! The cluster's certificate authority, and what it gives a node.

use std::{fmt, time::Duration};

use hubbub_protocol::ids::NodeId;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, PKCS_ED25519,
};
use rustls::pki_types::{CertificateDer, CertificateSigningRequestDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use sha2::{Digest, Sha256};
use time::OffsetDateTime;

use super::name::{ClusterId, node_name};

/// How long a root is believed: ten years; a cluster changes roots by trusting two for a while.
pub const ROOT_VALID: Duration = Duration::from_hours(10 * 365 * 24);
/// How long a node's certificate is believed: 7 days, renewed long before; a stolen one ends by itself.
pub const CERTIFICATE_VALID: Duration = Duration::from_hours(7 * 24);
/// How far back a certificate begins, for peers whose clocks are behind: clocks further apart are a fault to mend.
const CLOCK_SKEW_MAX: Duration = Duration::from_mins(5);

/// Why a certificate could not be made.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The library refused.
    #[error("cannot {step}")]
    Make {
        /// What was being done.
        step: &'static str,
        /// Why not.
        #[source]
        source: rcgen::Error,
    },
    /// The request does not hold together, or is not signed by its own key.
    #[error("the certificate request cannot be read, or is not signed by its own key")]
    Request(#[source] rcgen::Error),
}

pub(super) fn failed(step: &'static str) -> impl FnOnce(rcgen::Error) -> IdentityError {
    move |source| IdentityError::Make { step, source }
}

/// What a node shows to others: its chain and its key.
#[derive(Debug)]
pub struct Credentials {
    /// The node's certificate, DER.
    pub certificate: CertificateDer<'static>,
    /// Its key, PKCS #8. `Debug` of it prints no key.
    pub key: PrivateKeyDer<'static>,
}

/// Signs the certificates of one cluster.
pub struct Authority {
    cluster: ClusterId,
    root: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority").field("cluster", &self.cluster).finish_non_exhaustive()
    }
}

impl Authority {
    /// A new authority, with a new Ed25519 key.
    ///
    /// # Errors
    /// [`IdentityError::Make`].
    pub fn new(cluster: ClusterId, now: OffsetDateTime) -> Result<Self, IdentityError> {
        let key = KeyPair::generate_for(&PKCS_ED25519).map_err(failed("make the authority's key"))?;
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        params.distinguished_name.push(DnType::CommonName, format!("{cluster}.hubbub"));
        (params.not_before, params.not_after) = (now - CLOCK_SKEW_MAX, now + ROOT_VALID);
        let root = params.self_signed(&key).map_err(failed("sign the root"))?.der().clone();
        Ok(Self { cluster, root, issuer: Issuer::new(params, key) })
    }

    /// The authority whose root and PKCS #8 key were kept.
    ///
    /// # Errors
    /// [`IdentityError::Make`] when they cannot be read.
    pub fn from_parts(
        cluster: ClusterId,
        root: CertificateDer<'static>,
        key_pkcs8: &[u8],
    ) -> Result<Self, IdentityError> {
        let key = KeyPair::try_from(key_pkcs8).map_err(failed("read the authority's key"))?;
        let issuer = Issuer::from_ca_cert_der(&root, key).map_err(failed("read the root"))?;
        Ok(Self { cluster, root, issuer })
    }

    /// The root that others pin, DER.
    #[must_use]
    pub const fn root(&self) -> &CertificateDer<'static> {
        &self.root
    }

    /// The cluster it signs for.
    #[must_use]
    pub const fn cluster(&self) -> &ClusterId {
        &self.cluster
    }

    /// The authority's key, PKCS #8: to be sealed before it is kept anywhere.
    #[must_use]
    pub fn key_pkcs8(&self) -> Vec<u8> {
        self.issuer.key().serialize_der()
    }

    /// SHA-256 of the root's public key: the pin in a join token.
    #[must_use]
    pub fn pin(&self) -> [u8; 32] {
        use rcgen::PublicKeyData as _;
        Sha256::digest(self.issuer.key().subject_public_key_info()).into()
    }

    /// A new key for `node`, with its certificate, believed from now for [`CERTIFICATE_VALID`].
    ///
    /// # Errors
    /// [`IdentityError::Make`].
    pub fn issue(&self, node: NodeId, now: OffsetDateTime) -> Result<Credentials, IdentityError> {
        self.issue_until(node, now, now + CERTIFICATE_VALID)
    }

    /// As [`issue`](Self::issue), believed until `end`.
    ///
    /// # Errors
    /// [`IdentityError::Make`].
    pub fn issue_until(
        &self,
        node: NodeId,
        now: OffsetDateTime,
        end: OffsetDateTime,
    ) -> Result<Credentials, IdentityError> {
        let key = KeyPair::generate_for(&PKCS_ED25519).map_err(failed("make a node's key"))?;
        let params = self.leaf(node, now, end)?;
        let certificate = params.signed_by(&key, &self.issuer).map_err(failed("sign a node's certificate"))?;
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        Ok(Credentials { certificate: certificate.der().clone(), key })
    }

    /// A certificate for the key of `request`, whatever names the request asks for: its key never leaves its node.
    ///
    /// # Errors
    /// [`IdentityError::Request`] for a request that does not prove its key.
    pub fn sign_request(
        &self,
        node: NodeId,
        request: &CertificateSigningRequestDer<'_>,
        now: OffsetDateTime,
    ) -> Result<CertificateDer<'static>, IdentityError> {
        let mut request = CertificateSigningRequestParams::from_der(request).map_err(IdentityError::Request)?;
        request.params = self.leaf(node, now, now + CERTIFICATE_VALID)?;
        let certificate = request.signed_by(&self.issuer).map_err(failed("sign a node's certificate"))?;
        Ok(certificate.der().clone())
    }

    fn leaf(
        &self,
        node: NodeId,
        now: OffsetDateTime,
        end: OffsetDateTime,
    ) -> Result<CertificateParams, IdentityError> {
        let name = node_name(&self.cluster, node);
        let mut params = CertificateParams::new(vec![name.clone()]).map_err(failed("name a node"))?;
        params.distinguished_name.push(DnType::CommonName, name);
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        (params.not_before, params.not_after) = (now - CLOCK_SKEW_MAX, end);
        Ok(params)
    }
}
