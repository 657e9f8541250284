//! Hot rooms, and how nodes are, asked of all nodes at once.

use std::time::Duration;

use bytes::Bytes;
use hubbub_actors::hot::{HotReport, Measure};
use hubbub_protocol::ids::{NodeId, RoomId};

use crate::{cluster::Nodes, support::World, talk};

fn deliveries(report: &HotReport) -> u64 {
    report.rooms.first().map_or(0, |counted| counted.cost.deliveries)
}

/// Events of a room that were committed, on whichever node.
async fn committed(world: &World, room: RoomId) -> u64 {
    let told = world.hub.hot_rooms(Measure::Cpu).await;
    let reports = told.iter().filter_map(|(_, told)| told.as_ref());
    let of_room = reports.flat_map(|report| &report.rooms).filter(|counted| counted.room == room);
    of_room.map(|counted| counted.cost.events).sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_node_tells_what_a_room_costs_each_of_them() {
    let nodes = Nodes::new(3).await;
    let (one, two, three) = (nodes.node(1), nodes.node(2), nodes.node(3));
    let (ada, bob) = (one.user("ada").await, one.user("bob").await);
    let (_, general) = one.community(ada, &[bob]).await;
    let phones = [two.connect(bob).await, two.connect(bob).await, three.connect(bob).await];
    for phone in &phones {
        assert!(phone.follow(2, general).await["ok"].is_object());
    }
    talk(one, ada, general, 10, Duration::ZERO).await;
    // What came within a second of the first is told when that is over.
    let mut told = Vec::new();
    for _ in 0..500 {
        let asked = three.hub.hot_rooms(Measure::Deliveries).await;
        told = asked.iter().map(|(node, told)| (node.0, told.as_ref().map(deliveries))).collect();
        if told == [(1, Some(0)), (2, Some(20)), (3, Some(10))] && committed(three, general).await == 10 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{told:?}, and {} committed", committed(three, general).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_does_not_answer_is_told_as_silent() {
    let nodes = Nodes::new(3).await;
    for number in 1..=3 {
        let says = Bytes::from(format!("node {number}"));
        nodes.node(number).hub.says_of_itself(Box::new(move || says.clone()));
    }
    nodes.cut(1, 3, true);
    let told = nodes.node(1).hub.standings().await;
    let said = |number: u64| Some(Bytes::from(format!("node {number}")));
    assert_eq!(told, [(NodeId(1), said(1)), (NodeId(2), said(2)), (NodeId(3), None)]);
    let hot = nodes.node(1).hub.hot_rooms(Measure::Bytes).await;
    assert_eq!(hot.iter().map(|(_, told)| told.is_some()).collect::<Vec<_>>(), [true, true, false]);
    nodes.kill(3);
    assert_eq!(nodes.node(1).hub.standings().await.len(), 2, "a member that is down is not asked");
}
