//! A certificate authority of a test's own, and what it signs for a node on loopback.

use std::{fs, path::PathBuf, sync::Arc};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, SerialNumber};
use tempfile::TempDir;
use tokio_rustls::rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};

/// An authority, with its files in a folder that goes with it.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: TempDir,
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authority").field("folder", &self.folder.path()).finish_non_exhaustive()
    }
}

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}

impl Authority {
    /// A fresh one, with its certificate in `ca.pem`.
    ///
    /// # Panics
    /// When there is no folder to write to.
    #[must_use]
    pub fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("a root");
        let folder = TempDir::new().expect("a temporary folder");
        fs::write(folder.path().join("ca.pem"), issuer.pem()).expect("a writable folder");
        Self { issuer, folder }
    }

    /// One of its files: `ca.pem`, and, once something was signed, `cert.pem` and `key.pem`.
    #[must_use]
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a certificate of this number for loopback, and its key.
    ///
    /// # Panics
    /// When its folder cannot be written to.
    pub fn sign(&self, number: u64) {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).expect("an address");
        params.serial_number = Some(SerialNumber::from(number));
        let signed = params.signed_by(&key, &self.issuer).expect("a certificate");
        fs::write(self.file("cert.pem"), signed.pem()).expect("a writable folder");
        fs::write(self.file("key.pem"), key.serialize_pem()).expect("a writable folder");
    }

    /// The flags by which a node shows what was signed last.
    #[must_use]
    pub fn flags(&self) -> [String; 4] {
        let text = |name| self.file(name).display().to_string();
        ["--tls-cert".to_owned(), text("cert.pem"), "--tls-key".to_owned(), text("key.pem")]
    }

    /// How a client speaks that trusts nobody else.
    ///
    /// # Panics
    /// Never: its certificate is a root.
    #[must_use]
    pub fn client(&self) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone()).expect("a root");
        Arc::new(ClientConfig::builder().with_root_certificates(roots).with_no_client_auth())
    }

    /// How a server speaks that shows what was signed last.
    ///
    /// # Panics
    /// When nothing was signed.
    #[must_use]
    pub fn server(&self) -> Arc<ServerConfig> {
        let certificate = CertificateDer::from_pem_file(self.file("cert.pem")).expect("a certificate");
        let key = PrivateKeyDer::from_pem_file(self.file("key.pem")).expect("a key");
        let config = ServerConfig::builder().with_no_client_auth().with_single_cert(vec![certificate], key);
        Arc::new(config.expect("they belong together"))
    }
}
