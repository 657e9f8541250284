//! Clocks: the database's and the other members', beside this machine's.

use super::{
    super::facts::{ClockFacts, ClusterFacts, MemberFacts},
    Finding,
    cluster::{name, named},
};

/// Clocks that are kept in step are a few milliseconds apart.
const ODD_MS: u64 = 250;
/// From here on times of messages mislead, and tokens and certificates begin or end when they should not.
const BAD_MS: u64 = 2_000;
const REMEDY: &str = "let both machines keep their time by one source, such as chrony or systemd-timesyncd";

impl ClockFacts {
    /// By how much the clocks are apart for sure.
    const fn apart_ms(self) -> u64 {
        self.ahead_ms.unsigned_abs().saturating_sub(self.unsure_ms)
    }

    fn told(self) -> String {
        let which = if self.ahead_ms < 0 { "behind" } else { "ahead of" };
        let Self { unsure_ms, .. } = self;
        format!("{} ms {which} this machine's, give or take {unsure_ms} ms", self.ahead_ms.unsigned_abs())
    }
}

fn judged(check: &str, apart_ms: u64, found: String) -> Finding {
    match apart_ms {
        apart if apart > BAD_MS => Finding::fault(check, found, REMEDY),
        apart if apart > ODD_MS => Finding::warning(check, found, REMEDY),
        _ => Finding::ok(check, found),
    }
}

/// The database's.
pub(super) fn of_store(clock: ClockFacts) -> Finding {
    judged("clock", clock.apart_ms(), format!("the database's clock is {}", clock.told()))
}

/// Those of the members that answered.
pub(super) fn of_members(cluster: &ClusterFacts) -> Finding {
    let apart = |member: &MemberFacts| member.clock.map_or(0, ClockFacts::apart_ms);
    let mut others: Vec<&MemberFacts> =
        cluster.members.iter().filter(|member| member.node != cluster.me && member.clock.is_some()).collect();
    others.sort_by_key(|member| std::cmp::Reverse(apart(member)));
    let Some(worst) = others.first().map(|member| apart(member)) else {
        return Finding::ok("clocks", "no other member told its time");
    };
    if worst <= ODD_MS {
        let found =
            format!("the clocks of {} other members are within {ODD_MS} ms of this machine's", others.len());
        return Finding::ok("clocks", found);
    }
    let odd = others.into_iter().filter(|member| apart(member) > ODD_MS);
    let told = |member: &MemberFacts| member.clock.map_or_else(String::new, ClockFacts::told);
    let found = named(odd, |member| format!("the clock of {} is {}", name(member), told(member)));
    judged("clocks", worst, found)
}

#[cfg(test)]
mod tests {
    use super::{
        super::samples::{cluster, only},
        *,
    };
    use crate::doctor::State;

    fn with(clocks: [Option<(i64, u64)>; 3]) -> Vec<Finding> {
        let mut facts = cluster();
        for (member, clock) in facts.members.iter_mut().skip(1).zip(clocks) {
            member.clock = clock.map(|(ahead_ms, unsure_ms)| ClockFacts { ahead_ms, unsure_ms });
        }
        vec![of_members(&facts)]
    }

    #[test]
    fn members_whose_clocks_are_surely_apart_are_named_the_worst_first() {
        assert!(
            only(&with([Some((250, 0)), Some((-300, 50)), None]), "clocks", State::Ok).contains("2 other members")
        );
        let said = only(&with([Some((300, 10)), Some((-1_900, 10)), Some((0, 0))]), "clocks", State::Warning);
        let first =
            "the clock of node 3 `chat-3` is 1900 ms behind this machine's, give or take 10 ms, the clock of";
        assert!(said.starts_with(first) && said.contains("chrony") && !said.contains("chat-4"), "{said}");
        only(&with([Some((2_100, 99)), None, None]), "clocks", State::Fault);
        only(&with([Some((2_100, 100)), None, None]), "clocks", State::Warning);
        assert!(only(&with([None; 3]), "clocks", State::Ok).contains("no other member told"));
    }
}
