//! Who may link to whom: real QUIC on loopback, with peers that are not what they should be.

#![allow(clippy::unwrap_used, reason = "a test stops at the first thing that is not as it must be")]

mod support;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use hubbub_cluster::{
    identity::{Credentials, Trust},
    transport::{QuicTransport, Transport},
};
use hubbub_protocol::{
    ids::NodeId,
    peer::{Class, Lane, PeerBus as _, PeerChange},
};
use support::{Heard, PATIENCE, Pair, Quic, number};
use time::OffsetDateTime;

const A: NodeId = NodeId(1);
const B: NodeId = NodeId(2);
const CONTROL: Lane = Lane { class: Class::Control, number: 0 };

/// A node, what it heard, and where it is.
struct Node(QuicTransport, Arc<Heard>, SocketAddr);

fn node(credentials: Credentials, trust: Arc<Trust>) -> Node {
    let heard = Arc::new(Heard::default());
    let transport = Quic::start_as(credentials, trust, heard.clone());
    let address = transport.local_addr().unwrap();
    Node(transport, heard, address)
}

fn of(world: &Quic, id: NodeId) -> Node {
    node(world.credentials(id), world.trust())
}

/// What `node` says of `peer`, once it says something.
async fn fault(node: &Node, peer: NodeId) -> String {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        let status = node.0.peers().into_iter().find(|status| status.node == peer).unwrap();
        if let Some(fault) = status.fault {
            return fault;
        }
        assert!(tokio::time::Instant::now() < deadline, "node {peer} was linked, or never refused: {status:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn assert_refused(dialler: &Node, dialled: &Node, named: NodeId, sentence: &str) {
    dialler.0.know(named, vec![dialled.2]);
    assert_eq!(fault(dialler, named).await, sentence);
    assert!(dialler.1.notes().is_empty() && dialled.1.notes().is_empty(), "no inbox heard of it");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_of_another_cluster_is_refused_whoever_dials() {
    let (ours, theirs) = (Quic::of("c1"), Quic::of("c1"));
    let (a, stranger) = (of(&ours, A), of(&theirs, B));
    assert_refused(&a, &stranger, B, "it shows a certificate of another cluster").await;
    // It believes us, and shows a certificate of its own authority.
    let spy = node(theirs.credentials(B), ours.trust());
    assert_refused(&spy, &a, A, "this node shows a certificate of another cluster").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_node_at_an_address_must_be_the_one_that_was_dialled() {
    let world = Quic::of("c1");
    let (a, b) = (of(&world, A), of(&world, B));
    let other = "it shows a certificate for another name: is the address that of another node?";
    assert_refused(&a, &b, NodeId(3), other).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_node_that_dials_back_is_told_so() {
    let world = Quic::of("c1");
    let (trust, removed) = (world.trust(), of(&world, B));
    trust.revoke(B);
    let a = node(world.credentials(A), trust);
    let sentence = "this node was removed from the cluster: join it anew, with an empty data directory";
    assert_refused(&removed, &a, A, sentence).await;
    assert_refused(&a, &removed, B, "it was removed from the cluster: join it anew, with an empty data directory")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_out_of_date_is_refused() {
    let world = Quic::of("c1");
    let then = OffsetDateTime::now_utc() - Duration::from_hours(24);
    let late = world.authority.issue_until(B, then, then + Duration::from_hours(1)).unwrap();
    let (a, late) = (of(&world, A), node(late, world.trust()));
    let out_of_date = "shows a certificate that is out of date: compare the clocks, then renew it";
    assert_refused(&a, &late, B, &format!("it {out_of_date}")).await;
    assert_refused(&late, &a, A, &format!("this node {out_of_date}")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewed_certificate_holds_from_the_next_handshake() {
    let world = Quic::of("c1");
    let (a, b) = (of(&world, A), of(&world, B));
    b.0.renew(world.credentials(B)).unwrap();
    a.0.know(B, vec![b.2]);
    assert!(a.0.linked(B, PATIENCE).await, "a certificate renewed while the node runs is shown");
    assert!(b.0.renew(world.credentials(A)).is_err(), "another node's certificate is no renewal");
}

#[tokio::test(flavor = "multi_thread")]
async fn any_of_the_roots_that_a_node_was_given_is_believed() {
    let (old, new) = (Quic::of("c1"), Quic::of("c1"));
    let both = [old.authority.root().clone(), new.authority.root().clone()];
    let trust = |roots| Trust::new("c1".parse().unwrap(), roots).unwrap();
    let a = node(old.credentials(A), trust(&both));
    let c = node(new.credentials(NodeId(3)), trust(&both));
    a.0.know(NodeId(3), vec![c.2]);
    assert!(a.0.linked(NodeId(3), PATIENCE).await, "one of another root");
    let e = node(new.credentials(NodeId(5)), trust(&both[1..]));
    let d = of(&old, NodeId(4));
    e.0.know(NodeId(4), vec![d.2]);
    assert_eq!(fault(&e, NodeId(4)).await, "it shows a certificate of another cluster");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_where_nothing_answers_is_named_as_such() {
    let world = Quic::of("c1");
    let a = of(&world, A);
    // Bound and never read: silence, rather than a port that is closed.
    let silent = std::net::UdpSocket::bind(("127.0.0.1", support::port())).unwrap();
    a.0.know(B, vec![silent.local_addr().unwrap()]);
    assert_eq!(fault(&a, B).await, "nothing answers at its address: is it running, and is UDP let through?");
    a.0.know(B, Vec::new());
    let b = of(&world, B);
    a.0.know(B, vec![silent.local_addr().unwrap(), b.2]);
    assert!(a.0.linked(B, PATIENCE).await, "the next address is tried");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_nodes_that_dial_each_other_at_once_keep_one_link() {
    for _ in 0..5 {
        let pair = Pair::<Quic>::linked().await;
        tokio::time::sleep(Duration::from_millis(400)).await;
        assert_eq!(pair.heard_a.changes(B), [PeerChange::Up], "the link does not flap");
        assert_eq!(pair.heard_b.changes(A), [PeerChange::Up]);
        assert_eq!(pair.a.cast(B, CONTROL, number(1)), Ok(()));
        pair.heard_b.until("it works", |heard| heard.casts_on(A, CONTROL) == [1]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_on_the_port_harms_nobody() {
    use rand::{Rng as _, SeedableRng as _};
    let pair = Pair::<Quic>::linked().await;
    let target = pair.b.local_addr().unwrap();
    let socket = std::net::UdpSocket::bind(("127.0.0.1", support::port())).unwrap();
    let mut chance = rand::rngs::SmallRng::seed_from_u64(7);
    for length in 0..1_200 {
        let mut bytes = vec![0; length];
        chance.fill_bytes(&mut bytes);
        if length % 2 == 0 && length > 0 {
            bytes[0] |= 0xc0; // a long header, as a first packet has
        }
        socket.send_to(&bytes, target).unwrap();
    }
    assert_eq!(pair.a.ask(B, CONTROL, number(6), PATIENCE).await.unwrap().body, number(6).body);
    assert_eq!(pair.heard_a.changes(B), [PeerChange::Up]);
}
