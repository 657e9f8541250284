//! Certificates: the node's own, which renews itself, and the roots, which do not.

use std::time::Duration;

use hubbub_protocol::time::Timestamp;

use super::{
    super::facts::{IdentityFacts, ValidityFacts},
    Finding, about,
};

/// A root that ends sooner should be planned for.
const ROOT_SHORT: Duration = Duration::from_hours(180 * 24);
/// A root that ends sooner ends the cluster: its certificates end with it.
const ROOT_BAD: Duration = Duration::from_hours(30 * 24);
/// A certificate that ends sooner takes the node out of its cluster within a day.
const CERTIFICATE_BAD: Duration = Duration::from_hours(24);
/// A certificate is renewed when a third of its life is left; a quarter of it means that renewals have failed for
/// half a day.
const LATE_PART: u32 = 4;

/// What becomes of a node whose certificate has ended.
const ENDED: &str = "check this machine's clock; if it is right, start the node: one that may vote signs its own \
                     certificate again, and another is let in after `hubbub join` with a new token over the same \
                     --data-dir";

pub(super) fn judge(identity: &IdentityFacts, now: Timestamp) -> Vec<Finding> {
    vec![certificate(identity.certificate, now), roots(&identity.roots, now)]
}

/// The time from `from` until `until`; none when that is over.
fn between(from: Timestamp, until: Timestamp) -> Duration {
    Duration::from_millis(until.ms_since(from))
}

fn certificate(found: Option<ValidityFacts>, now: Timestamp) -> Finding {
    let anew =
        "`hubbub node remove` it on another member, then `hubbub join` with a new token and an empty --data-dir";
    let Some(ValidityFacts { begin, end }) = found else {
        return Finding::fault("certificate", "this node's certificate cannot be read", anew);
    };
    if now < begin {
        let found = format!(
            "this node's certificate begins in {}: this machine's clock is behind",
            about(between(now, begin))
        );
        return Finding::fault("certificate", found, "set the clock, and let a time service keep it");
    }
    if now >= end {
        let found = format!("this node's certificate ended {} ago", about(between(end, now)));
        return Finding::fault("certificate", found, ENDED);
    }
    let left = between(now, end);
    let found = format!("this node's certificate is good for another {}", about(left));
    let remedy = "see that this node runs and reaches a leader that is a voter with its `sealing.key`; the log says why \
                  renewals fail";
    match left {
        left if left < CERTIFICATE_BAD => Finding::fault("certificate", found, remedy),
        left if left < between(begin, end) / LATE_PART => {
            Finding::warning("certificate", format!("{found}, and should have been renewed before"), remedy)
        }
        _ => Finding::ok("certificate", found),
    }
}

/// The root that lasts longest counts: a cluster that changes roots trusts two.
fn roots(roots: &[ValidityFacts], now: Timestamp) -> Finding {
    let Some(end) = roots.iter().map(|root| root.end).max() else {
        let remedy = "restore `cluster/roots.pem` from a backup or from another member, then restart the node";
        return Finding::fault("roots", "the cluster's roots cannot be read", remedy);
    };
    let found = format!("the cluster's root is good for another {}", about(between(now, end)));
    let remedy = "plan an hour in which all nodes stop, and found the cluster anew over the same database before that: \
                  `hubbub init --instead-of CLUSTER` and `hubbub join` with empty data directories";
    match between(now, end) {
        left if left < ROOT_BAD => Finding::fault("roots", found, remedy),
        left if left < ROOT_SHORT => Finding::warning("roots", found, remedy),
        _ => Finding::ok("roots", found),
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::samples::{NOW, only, valid},
        *,
    };
    use crate::doctor::State;

    fn with(certificate: Option<ValidityFacts>) -> Vec<Finding> {
        judge(&IdentityFacts { certificate, roots: vec![valid(0, 87_600)] }, NOW)
    }

    #[test]
    fn a_certificate_is_told_by_how_long_it_is_still_good() {
        // Seven days in all; renewed after 112 hours.
        only(&with(Some(valid(-112, 56))), "certificate", State::Ok);
        only(&with(Some(valid(-126, 42))), "certificate", State::Ok);
        let said = only(&with(Some(valid(-127, 41))), "certificate", State::Warning);
        assert!(said.contains("41 h") && said.contains("renewed before"), "{said}");
        only(&with(Some(valid(-144, 24))), "certificate", State::Warning);
        only(&with(Some(valid(-145, 23))), "certificate", State::Fault);
    }

    #[test]
    fn a_certificate_that_ended_has_not_begun_or_cannot_be_read_is_a_fault() {
        let said = only(&with(Some(valid(-200, -3))), "certificate", State::Fault);
        assert!(said.contains("ended 3 h ago") && said.contains("hubbub join"), "{said}");
        assert!(only(&with(Some(valid(5, 168))), "certificate", State::Fault).contains("set the clock"));
        assert!(only(&with(None), "certificate", State::Fault).contains("cannot be read"));
    }

    #[test]
    fn the_root_that_lasts_longest_is_told_by_how_long_it_is_still_good() {
        let with = |ends: &[i64]| {
            let roots = ends.iter().map(|days| valid(-1, days * 24)).collect();
            judge(&IdentityFacts { certificate: Some(valid(-1, 160)), roots }, NOW)
        };
        only(&with(&[180]), "roots", State::Ok);
        only(&with(&[179]), "roots", State::Warning);
        only(&with(&[29]), "roots", State::Fault);
        only(&with(&[-1]), "roots", State::Fault);
        only(&with(&[]), "roots", State::Fault);
        only(&with(&[29, 3_650]), "roots", State::Ok);
    }
}
