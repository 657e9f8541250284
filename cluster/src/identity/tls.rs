//! TLS between nodes: 1.3 only, both ends show a certificate, and the certificate can be renewed while in use.

use std::sync::Arc;

use parking_lot::RwLock;
use rustls::{
    ClientConfig, Error, ServerConfig, SignatureScheme,
    client::{ResolvesClientCert, Resumption},
    crypto::CryptoProvider,
    server::{ClientHello, NoServerSessionStorage, ResolvesServerCert},
    sign::CertifiedKey,
    version::TLS13,
};

use super::{Credentials, Trust};

/// The protocol of a link between nodes.
pub const ALPN_NODE: &[u8] = b"hubbub-node/1";
/// The protocol of the second connection, for bulk.
pub const ALPN_BULK: &[u8] = b"hubbub-bulk/1";

/// What this node shows; a renewed certificate is shown from the next handshake on.
#[derive(Debug)]
pub struct Presented(RwLock<Arc<CertifiedKey>>);

impl Presented {
    /// Shows `credentials`.
    ///
    /// # Errors
    /// When the key does not fit the certificate, or cannot be used.
    pub fn new(credentials: Credentials) -> Result<Arc<Self>, Error> {
        Ok(Arc::new(Self(RwLock::new(certified(credentials)?))))
    }

    /// Shows `credentials` from the next handshake on.
    ///
    /// # Errors
    /// As [`new`](Self::new); then the old ones stay.
    pub fn renew(&self, credentials: Credentials) -> Result<(), Error> {
        *self.0.write() = certified(credentials)?;
        Ok(())
    }

    pub(crate) fn current(&self) -> Arc<CertifiedKey> {
        self.0.read().clone()
    }
}

fn certified(credentials: Credentials) -> Result<Arc<CertifiedKey>, Error> {
    let provider: CryptoProvider = rustls::crypto::ring::default_provider();
    CertifiedKey::from_der(vec![credentials.certificate], credentials.key, &provider).map(Arc::new)
}

impl ResolvesServerCert for Presented {
    fn resolve(&self, _client_hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current())
    }
}

impl ResolvesClientCert for Presented {
    fn resolve(&self, _root_hints: &[&[u8]], _schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(self.current())
    }

    fn has_certs(&self) -> bool {
        true
    }
}

/// TLS of the end that is dialled.
pub(crate) fn server(trust: &Arc<Trust>, presented: &Arc<Presented>) -> Result<ServerConfig, Error> {
    let mut config = ServerConfig::builder_with_provider(trust.provider().clone())
        .with_protocol_versions(&[&TLS13])?
        .with_client_cert_verifier(trust.clone())
        .with_cert_resolver(presented.clone());
    config.alpn_protocols = vec![ALPN_NODE.to_vec(), ALPN_BULK.to_vec()];
    // A resumed session is not asked for its certificate again: a revoked node would come back by its ticket.
    config.send_tls13_tickets = 0;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    Ok(config)
}

/// TLS of the end that dials, for the protocol `alpn`.
pub(crate) fn client(trust: &Arc<Trust>, presented: &Arc<Presented>, alpn: &[u8]) -> Result<ClientConfig, Error> {
    let mut config = ClientConfig::builder_with_provider(trust.provider().clone())
        .with_protocol_versions(&[&TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(trust.clone())
        .with_client_cert_resolver(presented.clone());
    config.alpn_protocols = vec![alpn.to_vec()];
    config.resumption = Resumption::disabled();
    Ok(config)
}
