//! What two looks say together: a rate is the difference of two counts by the time between them, as the node that
//! counts tells both.

use std::collections::BTreeMap;

use hubbub_protocol::ids::NodeId;
use serde::Serialize;

use super::look::Look;
use crate::{
    http::{admin_hot::HotRooms, admin_nodes::MemberView},
    standing::Standing,
};

/// The cluster as it is shown. Rates are absent after the first look, and of a node that began anew meanwhile.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Picture {
    /// The cluster's name; null for a node that is alone.
    pub(super) cluster: Option<String>,
    /// The node that was asked.
    pub(super) asked: Option<NodeId>,
    /// Who leads, if that is known.
    pub(super) leader: Option<NodeId>,
    /// How many shards there are.
    pub(super) shards: u64,
    /// How many of them are being handed over.
    pub(super) moving: u64,
    /// What all nodes do together.
    pub(super) rates: Option<Rates>,
    /// The nodes by number.
    pub(super) nodes: Vec<NodeSeen>,
    /// The rooms that cost most.
    pub(super) hot: HotRooms,
}

/// A node.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct NodeSeen {
    /// Its number.
    pub(super) node: NodeId,
    /// Its name; null for a node that is alone.
    pub(super) name: Option<String>,
    /// `up`, `draining` and the like.
    pub(super) state: String,
    /// Whether it leads.
    pub(super) leads: bool,
    /// Whether it votes.
    pub(super) votes: bool,
    /// Whether it stands by.
    pub(super) stands_by: bool,
    /// Shards it orders, by the map.
    pub(super) shards: u64,
    /// What is wrong with it.
    pub(super) trouble: Option<String>,
    /// What it says of itself; null when it does not answer.
    pub(super) standing: Option<Standing>,
    /// What it does.
    pub(super) rates: Option<Rates>,
}

/// What is done in a second.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub(super) struct Rates {
    /// Events committed.
    pub(super) events_per_s: f64,
    /// Events handed to connections.
    pub(super) deliveries_per_s: f64,
    /// Milliseconds at work, of one core.
    pub(super) cpu_ms_per_s: f64,
}

impl Rates {
    /// What a node did between two looks; nothing when it began anew, or did not come to say something new.
    #[expect(clippy::cast_precision_loss, reason = "a figure for people: 53 bits are enough")]
    fn between(before: &Standing, now: &Standing) -> Option<Self> {
        let ms = u64::try_from(now.at.0.checked_sub(before.at.0)?).ok().filter(|ms| *ms > 0)?;
        let per_s = |before: u64, now: u64| Some(now.checked_sub(before)? as f64 * 1e3 / ms as f64);
        Some(Self {
            events_per_s: per_s(before.appended, now.appended)?,
            deliveries_per_s: per_s(before.delivered, now.delivered)?,
            cpu_ms_per_s: per_s(before.cpu_ms, now.cpu_ms)?,
        })
    }

    fn and(self, more: Self) -> Self {
        Self {
            events_per_s: self.events_per_s + more.events_per_s,
            deliveries_per_s: self.deliveries_per_s + more.deliveries_per_s,
            cpu_ms_per_s: self.cpu_ms_per_s + more.cpu_ms_per_s,
        }
    }
}

fn trouble(member: Option<&MemberView>, silent: bool) -> Option<String> {
    let link = member.and_then(|member| member.fault.clone());
    let store = member.and_then(|member| member.storage_ok).is_some_and(|takes_writes| !takes_writes);
    link.or_else(|| store.then(|| "its store takes no writes".to_owned()))
        .or_else(|| silent.then(|| "does not answer".to_owned()))
}

impl Picture {
    /// What is seen now, with rates since `before`.
    pub(super) fn of(before: Option<&Look>, now: &Look) -> Self {
        let told = |look: &Look| -> BTreeMap<NodeId, Standing> {
            look.nodes.items.iter().map(|node| (node.node, node.standing.clone())).collect()
        };
        let (earlier, standings) = (before.map(told).unwrap_or_default(), told(now));
        let cluster = now.cluster.as_ref();
        let members: BTreeMap<NodeId, &MemberView> =
            cluster.iter().flat_map(|view| &view.members).map(|member| (member.node, member)).collect();
        let leader = cluster.and_then(|view| view.leader);
        let mut numbers: Vec<NodeId> =
            members.keys().chain(standings.keys()).chain(&now.nodes.silent).copied().collect();
        numbers.sort_unstable();
        numbers.dedup();
        let seen = |node: NodeId| {
            let (member, standing) = (members.get(&node).copied(), standings.get(&node));
            let rates = standing.zip(earlier.get(&node)).and_then(|(now, before)| Rates::between(before, now));
            let owned = standing.map_or(0, |standing| u64::from(standing.shards));
            NodeSeen {
                node,
                name: member.map(|member| member.name.clone()),
                state: member.map_or_else(|| "up".to_owned(), |member| member.state.clone()),
                leads: leader == Some(node),
                votes: member.is_some_and(|member| member.votes),
                stands_by: member.is_some_and(|member| member.stands_by),
                shards: member.map_or(owned, |member| member.shards),
                trouble: trouble(member, now.nodes.silent.contains(&node)),
                standing: standing.cloned(),
                rates,
            }
        };
        let nodes: Vec<NodeSeen> = numbers.into_iter().map(seen).collect();
        Self {
            cluster: cluster.map(|view| view.cluster.clone()),
            asked: now.nodes.items.iter().find(|node| node.this).map(|node| node.node),
            leader,
            shards: cluster.map_or_else(|| nodes.iter().map(|node| node.shards).sum(), |view| view.shards),
            moving: cluster.map_or(0, |view| view.moving),
            rates: nodes.iter().filter_map(|node| node.rates).reduce(Rates::and),
            nodes,
            hot: now.hot.clone(),
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use hubbub_protocol::{
        ids::{CommunityId, RoomId},
        time::Timestamp,
    };

    use super::*;
    use crate::http::{
        admin::{Node, Nodes},
        admin_cluster::TokenRole,
        admin_hot::{HotBy, HotRates, HotRoom},
        admin_nodes::ClusterView,
    };

    fn node(number: u64, at_ms: i64, appended: u64, delivered: u64) -> Node {
        let standing = Standing {
            at: Timestamp(at_ms),
            shards: 128,
            connections: 1_200,
            sessions: 1_500,
            appended,
            delivered,
            appends_waiting: 3,
            memory_bytes: 151_000_000,
            cpu_ms: delivered / 100,
            ..Standing::default()
        };
        Node { node: NodeId(number), this: number == 1, standing }
    }

    fn member(number: u64, state: &str, fault: Option<&str>) -> MemberView {
        MemberView {
            node: NodeId(number),
            name: format!("node-{number}"),
            role: TokenRole::Voter,
            votes: true,
            stands_by: false,
            state: state.to_owned(),
            zone: String::new(),
            addresses: Vec::new(),
            shards: 85,
            version_min: 1,
            version_max: 1,
            silence_ms: None,
            storage_ok: None,
            fault: fault.map(str::to_owned),
        }
    }

    fn room(number: u64, name: Option<&str>, cpu_ms_per_s: f64) -> HotRoom {
        let rates = HotRates {
            cpu_ms_per_s,
            deliveries_per_s: cpu_ms_per_s * 160.0,
            bytes_per_s: cpu_ms_per_s * 30_000.0,
            events_per_s: 2.5,
        };
        HotRoom {
            room: RoomId::from_raw(number),
            name: name.map(str::to_owned),
            community: Some(CommunityId::from_raw(1)),
            owner: NodeId(1),
            nodes: vec![NodeId(1)],
            rates,
            unsure_per_s: if number == 2 { 90.0 } else { 0.0 },
        }
    }

    /// A cluster of three: one is silent, one is down.
    pub(in super::super) fn look(at_ms: i64, appended: u64, delivered: u64) -> Look {
        let members = vec![member(1, "up", None), member(2, "up", None), member(3, "down", Some("cut off"))];
        let hot = HotRooms {
            by: HotBy::Cpu,
            period_ms: 42_000,
            total: HotRates { cpu_ms_per_s: 1_000.0, ..HotRates::default() },
            rooms: vec![room(1, Some("general"), 500.0), room(2, Some("so what"), 120.0), room(3, None, 0.04)],
            silent: vec![NodeId(2)],
        };
        Look {
            nodes: Nodes { items: vec![node(1, at_ms, appended, delivered)], next: None, silent: vec![NodeId(2)] },
            cluster: Some(ClusterView {
                cluster: "lab".to_owned(),
                node: NodeId(1),
                leader: Some(NodeId(1)),
                voters: vec![NodeId(1), NodeId(2), NodeId(3)],
                coasting: false,
                superseded: false,
                map_version: 9,
                shards: 256,
                moving: 4,
                version: 1,
                version_possible: 1,
                members,
            }),
            hot,
        }
    }

    #[test]
    fn a_rate_is_the_difference_of_two_counts_by_the_nodes_own_clock() {
        let picture = Picture::of(Some(&look(1_000, 100, 5_000)), &look(3_000, 600, 165_000));
        let wanted = Rates { events_per_s: 250.0, deliveries_per_s: 80_000.0, cpu_ms_per_s: 800.0 };
        assert_eq!((picture.nodes[0].rates, picture.rates), (Some(wanted), Some(wanted)));
        assert_eq!(picture.nodes.iter().map(|node| node.node.0).collect::<Vec<_>>(), [1, 2, 3]);
        let said: Vec<_> = picture.nodes.iter().map(|node| node.trouble.as_deref()).collect();
        assert_eq!(said, [None, Some("does not answer"), Some("cut off")]);
        assert_eq!((picture.shards, picture.moving, picture.leader), (256, 4, Some(NodeId(1))));
    }

    #[test]
    fn there_are_no_rates_of_one_look_nor_of_a_node_that_began_anew() {
        assert_eq!(Picture::of(None, &look(1_000, 100, 5_000)).rates, None);
        assert_eq!(Picture::of(Some(&look(1_000, 100, 5_000)), &look(3_000, 7, 9)).rates, None);
        let same = look(1_000, 100, 5_000);
        assert_eq!(Picture::of(Some(&same), &same).rates, None, "no time has passed");
    }

    #[test]
    fn a_node_that_is_alone_is_a_picture_too() {
        let alone = |at, appended| Look { cluster: None, ..look(at, appended, 0) };
        let picture = Picture::of(Some(&alone(0, 0)), &alone(1_000, 10));
        assert_eq!((picture.cluster, picture.shards, picture.moving), (None, 128, 0));
        assert_eq!((picture.nodes[0].state.as_str(), picture.nodes[0].shards), ("up", 128));
        assert_eq!(picture.rates.map(|rates| rates.events_per_s), Some(10.0));
    }
}
