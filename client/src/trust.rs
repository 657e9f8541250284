//! Whom a client trusts to be the node it means: the roots that the system and the program know, or those of a file.
//!
//! The file is for nodes whose certificates are signed by an authority of one's own. It is named once for the whole
//! program ([`only`]), before the first connection, and its certificates are then the only ones.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
};

use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};

use crate::rest::install_provider;

/// Why a file of roots cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// It cannot be read, or is no PEM.
    #[error("{} cannot be read as certificates in PEM", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: rustls::pki_types::pem::Error,
    },
    /// None of its certificates can be a root.
    #[error("there is no certificate in {} that can be trusted", .path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
}

static ROOTS: OnceLock<Arc<RootCertStore>> = OnceLock::new();

/// Trusts the certificates in `file` from now on, and no others. The first call counts.
///
/// # Errors
/// [`TrustError`].
pub fn only(file: &Path) -> Result<(), TrustError> {
    let unread = |source| TrustError::Read { path: file.to_owned(), source };
    let found: Vec<CertificateDer<'static>> =
        CertificateDer::pem_file_iter(file).map_err(unread)?.collect::<Result<_, _>>().map_err(unread)?;
    let mut roots = RootCertStore::empty();
    if roots.add_parsable_certificates(found).0 == 0 {
        return Err(TrustError::Empty { path: file.to_owned() });
    }
    let _ = ROOTS.set(Arc::new(roots));
    Ok(())
}

/// How TLS is spoken when the roots of a file were named; else it is as usual.
pub(crate) fn configured() -> Option<ClientConfig> {
    install_provider();
    let roots = ROOTS.get()?.clone();
    Some(ClientConfig::builder().with_root_certificates(roots).with_no_client_auth())
}

/// An HTTP client that trusts whom this program trusts.
pub fn http() -> reqwest::ClientBuilder {
    install_provider();
    match configured() {
        Some(config) => reqwest::Client::builder().tls_backend_preconfigured(config),
        None => reqwest::Client::builder(),
    }
}
