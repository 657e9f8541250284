//! The cluster: this node's membership, the leader, voters, links, members' stores, versions, shards.

use hubbub_cluster::control::MemberState;

use super::{
    super::facts::{ClusterFacts, MemberFacts},
    Finding, clocks,
};

/// Most members that one finding names.
const NAMED_MAX: usize = 5;

pub(super) fn judge(cluster: &ClusterFacts) -> Vec<Finding> {
    vec![
        membership(cluster),
        leader(cluster),
        voters(cluster),
        members(cluster),
        links(cluster),
        stores(cluster),
        clocks::of_members(cluster),
        versions(cluster),
        shards(cluster),
        moves(cluster),
    ]
}

impl ClusterFacts {
    fn others(&self) -> impl Iterator<Item = &MemberFacts> {
        self.members.iter().filter(|member| member.node != self.me)
    }

    /// Whether this node is the member, or has a link to it.
    fn reaches(&self, member: &MemberFacts) -> bool {
        member.node == self.me || (member.state != MemberState::Down && member.linked)
    }
}

/// Names members, each by `tell`.
pub(super) fn named<'a>(
    members: impl IntoIterator<Item = &'a MemberFacts>,
    tell: impl Fn(&MemberFacts) -> String,
) -> String {
    let mut told: Vec<String> = members.into_iter().map(tell).collect();
    let more = told.len().saturating_sub(NAMED_MAX);
    told.truncate(NAMED_MAX);
    if more > 0 {
        told.push(format!("{more} more"));
    }
    told.join(", ")
}

pub(super) fn name(member: &MemberFacts) -> String {
    format!("node {} `{}`", member.node, member.name)
}

fn membership(cluster: &ClusterFacts) -> Finding {
    let me = cluster.me;
    if cluster.superseded {
        let found = format!("this node was removed, or another process runs under its number, {me}");
        let remedy =
            "stop one of the two; a node that was removed joins again with a new token and an empty --data-dir";
        return Finding::fault("membership", found, remedy);
    }
    let Some(member) = cluster.members.iter().find(|member| member.node == me) else {
        let found = format!("the cluster does not name this node, {me}, among its members");
        let remedy = "wait until it has heard of the cluster; if it stays so, join anew with an empty --data-dir";
        return Finding::fault("membership", found, remedy);
    };
    let found =
        |standing: &str| format!("this node is number {me} of {} members, and {standing}", cluster.members.len());
    match member.state {
        MemberState::Up => Finding::ok("membership", found("up")),
        MemberState::Joining => Finding::warning(
            "membership",
            found("still joining"),
            "wait a few seconds; if it stays so, see whether it reaches its store and the other nodes",
        ),
        MemberState::Draining => Finding::warning(
            "membership",
            found("draining: it is given nothing more"),
            format!("`hubbub node undrain {me}` takes that back, if it was not meant"),
        ),
        MemberState::Down => Finding::fault(
            "membership",
            found("down, as the others see it"),
            "mend the network between it and the others, then wait a few seconds",
        ),
    }
}

fn leader(cluster: &ClusterFacts) -> Finding {
    if cluster.coasting {
        return Finding::fault(
            "leader",
            "no leader has confirmed this node lately: it goes on with what it has, and the others may have given it up",
            "bring a majority of the voters back, or mend the network between them and this node",
        );
    }
    match cluster.leader {
        Some(leader) => Finding::ok("leader", format!("node {leader} leads")),
        None => Finding::warning(
            "leader",
            "nobody leads that this node knows of",
            "an election takes about a second: look again; if it stays so, bring a majority of the voters back",
        ),
    }
}

fn voters(cluster: &ClusterFacts) -> Finding {
    let voters: Vec<&MemberFacts> = cluster.members.iter().filter(|member| member.votes).collect();
    let (all, majority) = (voters.len(), voters.len() / 2 + 1);
    if all == 0 {
        let remedy = "wait until it has heard of them; if it stays so, see `leader`";
        return Finding::warning("voters", "this node does not know yet who votes", remedy);
    }
    let missing: Vec<&MemberFacts> = voters.iter().copied().filter(|voter| !cluster.reaches(voter)).collect();
    let there = all - missing.len();
    let found = format!("{there} of {all} voters are reached, and {majority} are needed");
    if there < majority {
        return Finding::fault(
            "voters",
            format!("{found}: members and places of rooms cannot change; missing: {}", named(missing, name)),
            "start those nodes, or mend the network to them; docs/operating.md tells of a majority that is lost for good",
        );
    }
    let may_fail = there - majority;
    let found = match may_fail {
        0 => format!("{found}: none may fail now"),
        more => format!("{found}: {more} may fail now"),
    };
    if !missing.is_empty() {
        let found = format!("{found}; missing: {}", named(missing, name));
        return Finding::warning("voters", found, "start those nodes, or mend the network to them");
    }
    if cluster.voters_changing {
        let remedy = "look again in a few seconds: it is over when the new voters have caught up";
        return Finding::warning("voters", format!("{found}; they are being replaced"), remedy);
    }
    if all < 3 || all.is_multiple_of(2) {
        let remedy =
            "join nodes that may vote (`hubbub token create --role voter`) until there are 3, 5 or 7 voters";
        return Finding::warning("voters", found, remedy);
    }
    Finding::ok("voters", found)
}

fn members(cluster: &ClusterFacts) -> Finding {
    let away = |member: &&MemberFacts| matches!(member.state, MemberState::Down | MemberState::Joining);
    let away: Vec<&MemberFacts> = cluster.others().filter(away).collect();
    if away.is_empty() {
        return Finding::ok("members", "no other member is down");
    }
    let tell = |member: &MemberFacts| {
        let standing = if member.state == MemberState::Down { "down" } else { "joining" };
        format!("{} is {standing}", name(member))
    };
    let remedy = "start them, or `hubbub node remove N` those that do not come back";
    Finding::warning("members", named(away, tell), remedy)
}

fn links(cluster: &ClusterFacts) -> Finding {
    let there: Vec<&MemberFacts> = cluster.others().filter(|member| member.state != MemberState::Down).collect();
    let without: Vec<&MemberFacts> = there.iter().copied().filter(|member| !member.linked).collect();
    if there.is_empty() {
        return Finding::ok("links", "there is no other member to be linked to");
    }
    if without.is_empty() {
        return Finding::ok("links", format!("all other members are linked, {} of them", there.len()));
    }
    let alone = without.len() == there.len();
    let tell = |member: &MemberFacts| {
        let fault = member.fault.as_deref().unwrap_or("not dialled yet");
        format!("{}: {fault}", name(member))
    };
    let found = format!("no link to {} of {} members: {}", without.len(), there.len(), named(without, tell));
    let remedy =
        "let UDP through to `cluster.listen` of both, and see that they advertise addresses that lead to them";
    if alone { Finding::fault("links", found, remedy) } else { Finding::warning("links", found, remedy) }
}

fn stores(cluster: &ClusterFacts) -> Finding {
    let unwell: Vec<&MemberFacts> =
        cluster.members.iter().filter(|member| member.storage_ok == Some(false)).collect();
    if !unwell.is_empty() {
        let found = format!("the store takes no writes of {}", named(unwell, name));
        return Finding::fault(
            "member_stores",
            found,
            "run `hubbub doctor` there: `store` and `store_writes` say why",
        );
    }
    let told = cluster.members.iter().filter(|member| member.storage_ok.is_some()).count();
    Finding::ok(
        "member_stores",
        match told {
            0 => "only the leader hears how the stores of the members are".to_owned(),
            told => format!("the store takes writes, by the word of {told} of {} members", cluster.members.len()),
        },
    )
}

fn versions(cluster: &ClusterFacts) -> Finding {
    let active = cluster.active_version;
    let deaf: Vec<&MemberFacts> = cluster.members.iter().filter(|member| !member.versions.holds(active)).collect();
    if !deaf.is_empty() {
        let found = format!("format {active} is used, and not spoken by {}", named(deaf, name));
        return Finding::fault("versions", found, "run the release there that the others run");
    }
    let newest = cluster.members.iter().map(|member| member.versions.max);
    let (oldest, newest) = (newest.clone().min().unwrap_or(active), newest.max().unwrap_or(active));
    if oldest < newest {
        let behind = cluster.members.iter().filter(|member| member.versions.max < newest);
        let found =
            format!("members run different releases: format {newest} is not spoken by {}", named(behind, name));
        return Finding::warning("versions", found, "upgrade those too, then `hubbub upgrade finalize`");
    }
    if active < oldest {
        let found = format!("format {active} is used, and all members speak {oldest}");
        let remedy = "`hubbub upgrade finalize`, when the release before is not needed any more";
        return Finding::warning("versions", found, remedy);
    }
    Finding::ok("versions", format!("all members speak format {active}, which is used"))
}

fn shards(cluster: &ClusterFacts) -> Finding {
    let ClusterFacts { shards, orphans, unreached, .. } = cluster;
    if *orphans == 0 && *unreached > 0 {
        return Finding::warning(
            "shards",
            format!("{unreached} of {shards} shards are ordered by members that this node has no link to"),
            "see `links`; a member that is gone loses its shards to others within seconds, when there is a leader",
        );
    }
    if *orphans == 0 {
        return Finding::ok("shards", format!("each of {shards} shards has an owner that serves"));
    }
    Finding::fault(
        "shards",
        format!("{orphans} of {shards} shards have no owner that serves: sends into their rooms wait"),
        "look again in a few seconds: the leader gives them to other nodes; if it stays so, see `leader` and `voters`",
    )
}

fn moves(cluster: &ClusterFacts) -> Finding {
    match cluster.hanging {
        0 => Finding::ok("moves", "no move of a shard hangs"),
        hanging => Finding::fault(
            "moves",
            format!("{hanging} shards are on their way for longer than a move may take"),
            "the leader ends such moves by itself; if it stays so, see `leader`, `voters` and `links`, there too",
        ),
    }
}

#[cfg(test)]
mod tests {
    use hubbub_cluster::control::VersionRange;

    use super::{
        super::samples::{cluster, only},
        *,
    };
    use crate::doctor::State;

    /// A cluster that `spoil` has been at.
    fn with(spoil: impl FnOnce(&mut ClusterFacts)) -> Vec<Finding> {
        let mut facts = cluster();
        spoil(&mut facts);
        judge(&facts)
    }

    #[test]
    fn a_node_is_told_how_it_stands_among_the_members() {
        only(&with(|_| {}), "membership", State::Ok);
        assert!(only(&with(|facts| facts.superseded = true), "membership", State::Fault).contains("removed"));
        only(&with(|facts| facts.members.retain(|member| member.node != facts.me)), "membership", State::Fault);
        let in_state = |state| with(|facts| facts.members[0].state = state);
        only(&in_state(MemberState::Joining), "membership", State::Warning);
        let said = only(&in_state(MemberState::Draining), "membership", State::Warning);
        assert!(said.contains("undrain 1"), "{said}");
        only(&in_state(MemberState::Down), "membership", State::Fault);
    }

    #[test]
    fn a_node_without_word_from_a_leader_is_told() {
        only(&with(|facts| facts.leader = None), "leader", State::Warning);
        only(&with(|facts| facts.coasting = true), "leader", State::Fault);
    }

    #[test]
    fn it_is_told_how_many_voters_may_fail() {
        assert!(only(&with(|_| {}), "voters", State::Ok).contains("1 may fail"));
        let said = only(&with(|facts| facts.members[1].linked = false), "voters", State::Warning);
        assert!(said.contains("none may fail") && said.contains("node 2 `chat-2`"), "{said}");
        let lost = with(|facts| {
            facts.members[1].linked = false;
            facts.members[2].state = MemberState::Down;
        });
        let said = only(&lost, "voters", State::Fault);
        assert!(said.contains("1 of 3 voters") && said.contains("2 are needed"), "{said}");
    }

    #[test]
    fn too_few_an_even_number_changing_and_unknown_voters_are_warnings() {
        let voters = |count: usize| {
            with(|facts| {
                for (at, member) in facts.members.iter_mut().enumerate() {
                    member.votes = at < count;
                }
            })
        };
        assert!(only(&voters(1), "voters", State::Warning).contains("none may fail"));
        only(&voters(2), "voters", State::Warning);
        assert!(only(&voters(4), "voters", State::Warning).contains("1 may fail"));
        only(&voters(0), "voters", State::Warning);
        only(&with(|facts| facts.voters_changing = true), "voters", State::Warning);
    }

    #[test]
    fn members_that_are_away_are_named_up_to_a_bound() {
        let said = only(&with(|facts| facts.members[3].state = MemberState::Down), "members", State::Warning);
        assert!(said.contains("node 4 `chat-4` is down") && said.contains("node remove"), "{said}");
        only(&with(|facts| facts.members[3].state = MemberState::Joining), "members", State::Warning);
        let many = with(|facts| {
            let down = MemberFacts { state: MemberState::Down, ..facts.members[3].clone() };
            facts.members.extend(std::iter::repeat_n(down, 100));
        });
        assert!(only(&many, "members", State::Warning).contains("95 more"));
    }

    #[test]
    fn a_missing_link_is_told_with_its_fault_and_none_at_all_is_a_fault() {
        let one = with(|facts| {
            facts.members[3].linked = false;
            facts.members[3].fault = Some("nothing answers at 192.0.2.4:7400".to_owned());
        });
        let said = only(&one, "links", State::Warning);
        assert!(said.contains("1 of 3") && said.contains("nothing answers at 192.0.2.4:7400"), "{said}");
        let none = with(|facts| facts.members.iter_mut().for_each(|member| member.linked = false));
        only(&none, "links", State::Fault);
        let down = with(|facts| {
            facts.members[3].linked = false;
            facts.members[3].state = MemberState::Down;
        });
        only(&down, "links", State::Ok);
    }

    #[test]
    fn a_member_whose_store_takes_no_writes_is_a_fault() {
        only(&with(|facts| facts.members[2].storage_ok = Some(true)), "member_stores", State::Ok);
        let said = only(&with(|facts| facts.members[2].storage_ok = Some(false)), "member_stores", State::Fault);
        assert!(said.contains("node 3"), "{said}");
    }

    #[test]
    fn releases_that_differ_are_told_and_an_upgrade_that_is_not_finished() {
        let range = |min, max| VersionRange { min, max };
        let some = with(|facts| facts.members[0].versions = range(1, 2));
        assert!(only(&some, "versions", State::Warning).contains("upgrade those"));
        let all = with(|facts| facts.members.iter_mut().for_each(|member| member.versions = range(1, 2)));
        assert!(only(&all, "versions", State::Warning).contains("upgrade finalize"));
        let deaf = with(|facts| facts.members[1].versions = range(2, 2));
        assert!(only(&deaf, "versions", State::Fault).contains("node 2"));
    }

    #[test]
    fn shards_without_an_owner_that_serves_and_moves_that_hang_are_faults() {
        assert!(only(&with(|facts| facts.orphans = 21), "shards", State::Fault).contains("21 of 64"));
        assert!(only(&with(|facts| facts.unreached = 3), "shards", State::Warning).contains("3 of 64"));
        assert!(only(&with(|facts| facts.hanging = 2), "moves", State::Fault).contains("2 shards"));
    }
}
