//! A membership whose certificate ended while its node was off, and how it goes on.

use std::{fs, io};

use hubbub_cluster::identity::validity;
use rustls::pki_types::CertificateDer;
use time::OffsetDateTime;

use super::{Membership, PEM_CERTIFICATE, RAFT, ROOTS, files};
use crate::cli::failure::Failure;

impl Membership {
    /// When its certificate ended, if it has by `now`.
    #[must_use]
    pub fn ended(&self, now: OffsetDateTime) -> Option<OffsetDateTime> {
        validity(&self.certificate).map(|(_, end)| end).filter(|end| *end <= now)
    }

    /// Keeps what a joiner that is known already was given: a certificate, and the roots of now. All else stays.
    ///
    /// # Errors
    /// What could not be written.
    pub fn renewed(&self, certificate: &[u8], roots: &[Vec<u8>]) -> Result<(), Failure> {
        let path = self.directory.join(ROOTS);
        files::write_private(&path, files::to_pem(PEM_CERTIFICATE, roots).as_bytes())
            .and_then(|()| self.keeper()(&CertificateDer::from(certificate.to_vec())))
            .map_err(|error| files::unwritten(&path, &error))
    }

    /// Forgets what the cluster agreed on under the number it had: that of a member that was removed.
    ///
    /// # Errors
    /// When it stays.
    pub fn forget_log(&self) -> Result<(), Failure> {
        let path = self.directory.join(RAFT);
        match fs::remove_dir_all(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(files::unwritten(&path, &error)),
            Ok(()) | Err(_) => Ok(()),
        }
    }
}
