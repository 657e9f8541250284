//! A certificate that ended while its node was off: no member lets the node in to ask for another one.
//!
//! A node that may vote signs its own key again by what it keeps, as it would if it led: so a cluster that was off as
//! a whole for longer than certificates live comes back. Another node is told to join again, which gives it the same
//! number.

use hubbub_cluster::{
    identity::Credentials,
    join::{Desk, JoinRefusal},
    transport::QuicTransport,
};
use hubbub_protocol::ports::Clock;
use rustls::pki_types::CertificateDer;
use time::OffsetDateTime;

use crate::{cli::failure::Failure, membership::Membership};

/// The certificate that the node of `membership` shows from now on.
///
/// # Errors
/// [`Failure::Refused`] when it has ended and cannot be renewed here.
pub(super) fn good(
    membership: &Membership,
    clock: &dyn Clock,
    desk: &Desk,
    transport: &QuicTransport,
) -> Result<CertificateDer<'static>, Failure> {
    let now = OffsetDateTime::from_unix_timestamp(clock.now().0 / 1_000).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let Some(ended) = membership.ended(now) else { return Ok(membership.certificate.clone()) };
    let failed = |error: &dyn std::fmt::Display| Failure::Failed(error.to_string());
    let request = membership.key()?.request().map_err(|error| failed(&error))?;
    let signed = desk.sign_here(&request).map_err(|why| refused(membership, ended, &why))?;
    let certificate = CertificateDer::from(signed);
    membership.keeper()(&certificate)
        .map_err(|error| failed(&format!("this node's new certificate cannot be kept: {error}")))?;
    let credentials = Credentials { certificate: certificate.clone(), key: membership.key()?.for_tls() };
    transport.renew(credentials).map_err(|error| failed(&error))?;
    tracing::info!(
        "this node's certificate ended on {}; as one that may vote it has signed a new one",
        ended.date()
    );
    Ok(certificate)
}

fn refused(membership: &Membership, ended: OffsetDateTime, why: &JoinRefusal) -> Failure {
    if membership.sealing.is_some() {
        tracing::warn!("this node may vote and cannot sign its own certificate: {why}");
    }
    Failure::Refused(format!(
        "this node's certificate ended on {}, and no member lets it in: if this machine's clock is right, make a token \
         with `hubbub token create` on a member, and run `hubbub join` with it over this --data-dir; node {} keeps its \
         number",
        ended.date(),
        membership.node
    ))
}
