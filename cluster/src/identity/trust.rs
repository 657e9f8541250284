//! What a node believes of others: the roots, and who is revoked, which changes while connections are open.

use std::{collections::BTreeSet, sync::Arc};

use hubbub_protocol::ids::NodeId;
use parking_lot::RwLock;
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::CryptoProvider,
    pki_types::{CertificateDer, ServerName, UnixTime},
    server::{
        VerifierBuilderError, WebPkiClientVerifier,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
};

use super::name::{ClusterId, node_of};

#[derive(Debug)]
struct Verifiers {
    server: Arc<WebPkiServerVerifier>,
    client: Arc<dyn ClientCertVerifier>,
}

/// Decides whose certificate is believed, for both ends of a connection. Shared: who is revoked is refused from the
/// next handshake on.
#[derive(Debug)]
pub struct Trust {
    cluster: ClusterId,
    provider: Arc<CryptoProvider>,
    verifiers: Verifiers,
    revoked: RwLock<BTreeSet<NodeId>>,
}

impl Trust {
    /// Believes certificates for `cluster` under any of `roots`.
    ///
    /// # Errors
    /// When a root cannot be read, or there is none.
    pub fn new(cluster: ClusterId, roots: &[CertificateDer<'static>]) -> Result<Arc<Self>, VerifierBuilderError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifiers = verifiers(&provider, roots)?;
        Ok(Arc::new(Self { cluster, provider, verifiers, revoked: RwLock::default() }))
    }

    /// The cluster whose nodes are believed.
    #[must_use]
    pub const fn cluster(&self) -> &ClusterId {
        &self.cluster
    }

    /// Refuses `node` from its next handshake on. NodeIds are never given twice, so this is for ever.
    pub fn revoke(&self, node: NodeId) {
        self.revoked.write().insert(node);
    }

    /// Whether `node` is refused.
    #[must_use]
    pub fn is_revoked(&self, node: NodeId) -> bool {
        self.revoked.read().contains(&node)
    }

    pub(super) const fn provider(&self) -> &Arc<CryptoProvider> {
        &self.provider
    }

    /// The node that `certificate` names. Says nothing of whether the certificate is believed.
    pub(crate) fn node_in(&self, certificate: &CertificateDer<'_>) -> Option<NodeId> {
        let certificate = webpki::EndEntityCert::try_from(certificate).ok()?;
        let mut names = certificate.valid_dns_names();
        let node = node_of(&self.cluster, names.next()?)?;
        names.next().is_none().then_some(node)
    }

    fn admit(&self, certificate: &CertificateDer<'_>) -> Result<(), Error> {
        let node = self.node_in(certificate).ok_or(CertificateError::NotValidForName)?;
        if self.is_revoked(node) { Err(CertificateError::Revoked.into()) } else { Ok(()) }
    }
}

/// A signature that does not hold is that of another authority of the same name: a cluster that was set up twice.
fn other_authority(error: Error) -> Error {
    match error {
        Error::InvalidCertificate(CertificateError::BadSignature) => CertificateError::UnknownIssuer.into(),
        other => other,
    }
}

fn verifiers(
    provider: &Arc<CryptoProvider>,
    roots: &[CertificateDer<'static>],
) -> Result<Verifiers, VerifierBuilderError> {
    let mut store = RootCertStore::empty();
    let (_, unreadable) = store.add_parsable_certificates(roots.iter().cloned());
    if unreadable > 0 {
        return Err(VerifierBuilderError::NoRootAnchors);
    }
    let store = Arc::new(store);
    Ok(Verifiers {
        server: WebPkiServerVerifier::builder_with_provider(store.clone(), provider.clone()).build()?,
        client: WebPkiClientVerifier::builder_with_provider(store, provider.clone()).build()?,
    })
}

impl ServerCertVerifier for Trust {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verified = self
            .verifiers
            .server
            .verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
            .map_err(other_authority)?;
        self.admit(end_entity).map(|()| verified)
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("TLS 1.3 only".into()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifiers.server.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

impl ClientCertVerifier for Trust {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let verified =
            self.verifiers.client.verify_client_cert(end_entity, intermediates, now).map_err(other_authority)?;
        self.admit(end_entity).map(|()| verified)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        ServerCertVerifier::verify_tls12_signature(self, message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        ServerCertVerifier::verify_tls13_signature(self, message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        ServerCertVerifier::supported_verify_schemes(self)
    }
}
