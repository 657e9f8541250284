//! What the facts mean. Pure: the same facts give the same findings.

mod cache;
mod clocks;
mod cluster;
mod identity;
mod machine;
#[cfg(test)]
mod samples;
mod store;

use std::time::Duration;

use super::{Facts, Finding};

/// The findings, in the order of the checks.
#[must_use]
pub fn judge(facts: &Facts) -> Vec<Finding> {
    let mut findings = machine::judge(facts);
    findings.extend(store::judge(&facts.store));
    findings.extend(facts.cache.iter().map(cache::judge));
    findings.extend(facts.identity.iter().flat_map(|identity| identity::judge(identity, facts.now)));
    match &facts.cluster {
        Some(cluster) => findings.extend(cluster::judge(cluster)),
        None if facts.running => {
            findings.push(Finding::ok("cluster", "the node is on its own, and member of no cluster"));
        }
        None => {}
    }
    findings
}

/// A time in words, to its first figure or two.
fn about(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        172_800.. => format!("{} days", seconds / 86_400),
        7_200.. => format!("{} h", seconds / 3_600),
        120.. => format!("{} min", seconds / 60),
        2.. => format!("{seconds} s"),
        _ if time.as_millis() == 0 => "less than 1 ms".to_owned(),
        _ => format!("{} ms", time.as_millis()),
    }
}

/// A size in words.
fn sized(bytes: u64) -> String {
    match bytes {
        0x2_8000_0000.. => format!("{} GiB", bytes >> 30),
        0x10_0000.. => format!("{} MiB", bytes >> 20),
        _ => format!("{} KiB", bytes >> 10),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::{
        Report, State,
        judge::samples::{alone, member},
    };

    #[test]
    fn a_node_on_its_own_and_a_member_are_well_when_all_is() {
        for facts in [alone(), member()] {
            let report = Report::of(&facts);
            assert_eq!(report.state, State::Ok, "{report:#?}");
            assert_eq!(report.count(State::Ok), report.findings.len());
            assert!(report.findings.iter().all(|finding| finding.remedy.is_none()), "{report:#?}");
        }
    }

    #[test]
    fn the_worst_finding_is_that_of_the_report() {
        let mut facts = alone();
        facts.running = false;
        assert_eq!(Report::of(&facts).state, State::Warning);
        facts.data_fault = Some("it is in use".to_owned());
        let report = Report::of(&facts);
        assert_eq!((report.state, report.count(State::Fault), report.count(State::Warning)), (State::Fault, 1, 1));
    }

    #[test]
    fn times_and_sizes_are_told_in_words() {
        assert_eq!(about(Duration::from_micros(400)), "less than 1 ms");
        assert_eq!(about(Duration::from_millis(1_400)), "1400 ms");
        assert_eq!(about(Duration::from_secs(90)), "90 s");
        assert_eq!(about(Duration::from_hours(47)), "47 h");
        assert_eq!(about(Duration::from_hours(49)), "2 days");
        assert_eq!(sized(212_992), "208 KiB");
        assert_eq!(sized(8 << 20), "8 MiB");
        assert_eq!(sized(64 << 20), "64 MiB");
        assert_eq!(sized(512 << 30), "512 GiB");
    }
}
