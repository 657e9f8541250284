//! What a run says: that it held, that it broke a promise, or nothing.

use std::fmt;

use crate::history::Finding;

/// Acknowledged sends in a minute without which a run says nothing: a tenth of what an idle machine does with one room
/// in trouble all the time.
const ACKS_PER_MINUTE_MIN: u64 = 200;

/// What happened in a run.
#[derive(Debug, Clone, Default)]
pub struct Counts {
    /// Seconds that people talked.
    pub seconds: u64,
    /// Faults that were planned.
    pub planned: u64,
    /// Faults that struck.
    pub faults: u64,
    /// Sends that were acknowledged.
    pub acks: u64,
    /// Sends that were not, over all their tries.
    pub failed: u64,
    /// Events that were handed to people.
    pub events: u64,
    /// Connections that were made after the first.
    pub resumes: u64,
    /// Reads of history.
    pub reads: u64,
    /// Tries of sends that were made again.
    pub again: u64,
    /// Kicks that were answered.
    pub kicks: u64,
}

/// What a run says.
#[derive(Debug)]
pub enum Verdict {
    /// Enough happened, and every promise was kept.
    Passed,
    /// Promises that were broken.
    Broken(Vec<String>),
    /// Too little happened.
    Invalid(String),
}

/// Weighs a run; what is broken is broken however little happened.
#[must_use]
pub fn weigh(counts: &Counts, findings: &[Finding], troubles: Vec<String>) -> Verdict {
    let broken: Vec<String> = troubles.into_iter().chain(findings.iter().map(Finding::to_string)).collect();
    if !broken.is_empty() {
        return Verdict::Broken(broken);
    }
    let least = (ACKS_PER_MINUTE_MIN * counts.seconds / 60).max(1);
    if counts.acks < least {
        return Verdict::Invalid(format!("{} sends were acknowledged, and {least} are the least", counts.acks));
    }
    if counts.faults == 0 || counts.faults < counts.planned {
        return Verdict::Invalid(format!("{} of {} faults struck", counts.faults, counts.planned));
    }
    if counts.reads == 0 || counts.events == 0 {
        return Verdict::Invalid("nobody read or followed anything".to_owned());
    }
    Verdict::Passed
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seconds, planned: _, faults, acks, failed, events, resumes, reads, again, kicks } = self;
        write!(
            f,
            "{seconds} s, {faults} faults: {acks} sends acknowledged, {failed} not, after {again} tries again; {events} \
             events handed on, {resumes} connections made again, {reads} reads of history, {kicks} kicks"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn busy() -> Counts {
        Counts { seconds: 60, planned: 4, faults: 4, acks: 900, events: 9_000, reads: 40, ..Counts::default() }
    }

    #[test]
    fn a_run_passes_when_enough_happened_and_nothing_broke() {
        assert!(matches!(weigh(&busy(), &[], Vec::new()), Verdict::Passed));
    }

    #[test]
    fn a_run_in_which_too_little_happened_says_nothing() {
        let quiet = [
            Counts { acks: 10, ..busy() },
            Counts { faults: 3, ..busy() },
            Counts { faults: 0, planned: 0, ..busy() },
            Counts { reads: 0, ..busy() },
            Counts { events: 0, ..busy() },
        ];
        for counts in quiet {
            assert!(matches!(weigh(&counts, &[], Vec::new()), Verdict::Invalid(_)), "{counts:?}");
        }
    }

    #[test]
    fn what_is_broken_is_broken_however_little_happened() {
        let finding = Finding { invariant: 3, story: "gone".to_owned() };
        assert!(matches!(weigh(&Counts::default(), &[finding], Vec::new()), Verdict::Broken(_)));
        assert!(matches!(weigh(&busy(), &[], vec!["n2 did not come back".to_owned()]), Verdict::Broken(_)));
    }
}
