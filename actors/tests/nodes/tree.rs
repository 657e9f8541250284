//! Rooms that very many nodes follow: up to 64 the home sends to each, beyond them nodes send on to each other.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use hubbub_actors::{
    Caller,
    peers::{
        tree::FAN_OUT,
        wire::{Deliver, Spread},
    },
};
use hubbub_protocol::{ids::RoomId, peer::PeerMessage as _};

use crate::{cluster::Nodes, numbered, support::Client, talk, texts};

const SENDS: [u16; 2] = [Deliver::KIND, Spread::KIND];

/// Nodes, one follower on each, and a room that the first one orders.
struct Crowd {
    nodes: Nodes,
    phones: Vec<Client>,
    by: Caller,
    room: RoomId,
}

impl Crowd {
    async fn of(count: u16) -> Self {
        let nodes = Nodes::new(count).await;
        let one = nodes.node(1);
        let (ada, bob) = (one.user("ada").await, one.user("bob").await);
        let (_, room) = one.community(ada, &[bob]).await;
        let mut phones = Vec::new();
        for number in 1..=usize::from(count) {
            let phone = nodes.node(number).connect(bob).await;
            assert!(phone.follow(2, room).await["ok"].is_object());
            phones.push(phone);
        }
        Self { nodes, phones, by: ada, room }
    }

    /// Waits until everyone but the followers of these nodes was told of the last of `count` messages, and of each once.
    async fn all_told(&self, count: usize, but: &[u64]) {
        let last = format!("#{}", count - 1);
        for (number, phone) in (1..).zip(&self.phones).filter(|(number, _)| !but.contains(number)) {
            phone.until("told of the last", |frame| frame["data"]["text"] == *last).await;
            assert_eq!(texts(phone, self.room), numbered(count), "on node {number}");
        }
    }

    /// What each node sent since the last call.
    fn sends(&self) -> BTreeMap<u64, Vec<u64>> {
        let mut sends = BTreeMap::<u64, Vec<u64>>::new();
        for (from, to) in self.nodes.sent(&SENDS) {
            sends.entry(from).or_default().push(to);
        }
        sends
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn up_to_64_nodes_the_home_sends_to_each_and_beyond_no_node_sends_more_than_16_times() {
    for (count, by_home) in [(8, 7), (64, 63), (200, FAN_OUT)] {
        let crowd = Crowd::of(count).await;
        let _ = crowd.sends();
        talk(crowd.nodes.node(1), crowd.by, crowd.room, 1, Duration::ZERO).await;
        crowd.all_told(1, &[]).await;
        let sends = crowd.sends();
        assert_eq!(sends[&1].len(), by_home, "of {count}");
        assert!(sends.iter().all(|(from, to)| *from == 1 || to.len() <= FAN_OUT), "{sends:?}");
        let reached: Vec<u64> = sends.into_values().flatten().collect();
        assert_eq!(reached.len(), usize::from(count) - 1, "each once");
        assert_eq!(reached.into_iter().collect::<BTreeSet<_>>().len(), usize::from(count) - 1);
    }
}

/// The dead node had others behind it, and was dead for a while before anybody noticed: what was said then was lost on
/// its way to them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_sends_on_dies_and_those_behind_it_miss_nothing_and_hear_nothing_twice() {
    let crowd = Crowd::of(80).await;
    let home = crowd.nodes.node(1);
    let _ = crowd.sends();
    let first = talk(home, crowd.by, crowd.room, 1, Duration::ZERO).await;
    assert_eq!(first.len(), 1);
    crowd.all_told(1, &[]).await;
    let sends = crowd.sends();
    let (inner, behind) = sends.iter().find(|(from, _)| **from != 1).expect("somebody sends on");
    assert!(behind.len() >= 3, "{sends:?}");
    // Silent at first, with its links standing.
    crowd.nodes.swallow(*inner);
    talk_on(&crowd, 1..6).await;
    crowd.nodes.kill(*inner);
    // Nothing more is said: what was missed is found all the same.
    crowd.all_told(6, &[*inner]).await;
    let _ = crowd.sends();
    talk_on(&crowd, 6..9).await;
    crowd.all_told(9, &[*inner]).await;
    assert!(!crowd.sends().contains_key(inner));
}

/// The link between two nodes of which one sends on to the other: neither the home nor the other hears of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_cannot_be_sent_on_to_is_told_by_the_home() {
    let crowd = Crowd::of(80).await;
    let _ = crowd.sends();
    talk_on(&crowd, 0..1).await;
    crowd.all_told(1, &[]).await;
    let sends = crowd.sends();
    let (inner, behind) = sends.iter().find(|(from, _)| **from != 1).expect("somebody sends on");
    crowd.nodes.cut(*inner, behind[0], true);
    talk_on(&crowd, 1..4).await;
    crowd.all_told(4, &[]).await;
    crowd.nodes.cut(*inner, behind[0], false);
    talk_on(&crowd, 4..6).await;
    crowd.all_told(6, &[]).await;
}

/// Says `#n` for each of `numbers`.
async fn talk_on(crowd: &Crowd, numbers: std::ops::Range<usize>) {
    for number in numbers {
        crowd.nodes.node(1).say(crowd.by, crowd.room, &format!("#{number}")).await;
    }
}
