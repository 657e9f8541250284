//! Keeps a member's certificate fresh: at two thirds of its life the leader signs the same key again.
//!
//! The new certificate is kept on disk first and shown from the next handshake on; links that stand stay.
//!
//! # Failure
//!
//! A renewal that fails is tried again; a third of a life, more than two days, is left for that. Each failure that is
//! news is logged, `doctor` shows the age, and a node whose certificate has ended joins again, or signs its
//! own when it may vote ([`Desk::sign_here`]).

use std::{fmt, io, sync::Arc, time::Duration};

use rustls::pki_types::CertificateDer;
use time::OffsetDateTime;

use super::{answer::JoinRefusal, desk::Desk};
use crate::{
    identity::{Credentials, NodeKey, validity},
    transport::QuicTransport,
};

/// How often a certificate's age is looked at, and how soon a renewal that failed is tried again: a thousandth of
/// the time there is.
pub const LOOK_EVERY: Duration = Duration::from_mins(3);

/// Keeps a certificate where the next start of the node finds it.
type Keep = Box<dyn Fn(&CertificateDer<'static>) -> io::Result<()> + Send + Sync>;

/// What keeps a member's certificate fresh.
pub struct Renewal {
    /// Where it is shown.
    pub transport: Arc<QuicTransport>,
    /// Who asks the leader.
    pub desk: Arc<Desk>,
    /// The key that is signed again.
    pub key: NodeKey,
    /// Keeps a new certificate. Blocks.
    pub keep: Keep,
    /// See [`LOOK_EVERY`].
    pub look_every: Duration,
}

impl fmt::Debug for Renewal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Renewal({:?})", self.desk)
    }
}

/// Why a certificate was not renewed.
#[derive(Debug, thiserror::Error)]
enum RenewalFault {
    #[error(transparent)]
    Refused(#[from] JoinRefusal),
    #[error("the new certificate cannot be shown: {0}")]
    Shown(String),
    #[error("the new certificate cannot be kept: {0}")]
    Kept(#[from] io::Error),
}

/// Whether two thirds of its life are over. What cannot be read is renewed.
#[must_use]
pub fn is_due(certificate: &CertificateDer<'_>, now: OffsetDateTime) -> bool {
    validity(certificate).is_none_or(|(begin, end)| now >= begin + (end - begin) * 2 / 3)
}

impl Renewal {
    /// Renews `certificate`, and each that follows it, for as long as the task runs.
    pub async fn keep_fresh(self, mut certificate: CertificateDer<'static>) {
        let mut last = String::new();
        loop {
            if is_due(&certificate, self.desk.time()) {
                match self.renew().await {
                    Ok(renewed) => {
                        tracing::info!("renewed this node's certificate");
                        (certificate, last) = (renewed, String::new());
                    }
                    Err(fault) => {
                        let sentence = fault.to_string();
                        if sentence != last {
                            tracing::warn!("this node's certificate is not renewed yet: {sentence}");
                        }
                        last = sentence;
                    }
                }
            }
            tokio::time::sleep(self.look_every).await;
        }
    }

    async fn renew(&self) -> Result<CertificateDer<'static>, RenewalFault> {
        let shown = |error: &dyn fmt::Display| RenewalFault::Shown(error.to_string());
        let request = self.key.request().map_err(|error| shown(&error))?;
        let certificate = CertificateDer::from(self.desk.renew(&request).await?);
        (self.keep)(&certificate)?;
        let credentials = Credentials { certificate: certificate.clone(), key: self.key.for_tls() };
        self.transport.renew(credentials).map_err(|error| shown(&error))?;
        Ok(certificate)
    }
}
