//! A peer with a sound certificate that does not keep to the rules: each time the link is closed with a sentence, and
//! the node goes on.

#![allow(clippy::unwrap_used, reason = "a test stops at the first thing that is not as it must be")]

mod support;

use std::sync::Arc;

use hubbub_cluster::{
    identity::{ALPN_NODE, Presented, node_name},
    transport::{Transport as _, limits::FRAME_BYTES_MAX},
};
use hubbub_protocol::{
    codec,
    ids::NodeId,
    peer::{Class, Lane, PeerBus as _, PeerChange},
};
use quinn::{Connection, ConnectionError, Endpoint, SendStream, crypto::rustls::QuicClientConfig};
use support::{Heard, PATIENCE, Quic, World as _, number};

const A: NodeId = NodeId(1);
const ROGUE: NodeId = NodeId(5);
const CONTROL: Lane = Lane { class: Class::Control, number: 0 };
/// Class 1 is control; then the number of its lane.
const CONTROL_PREAMBLE: [u8; 2] = [1, 0];

/// A node under test, and a connection to it whose certificate says that it is node 5.
struct Scene {
    world: Quic,
    node: hubbub_cluster::transport::QuicTransport,
    heard: Arc<Heard>,
    rogue: Connection,
    _endpoint: Endpoint,
}

impl Scene {
    async fn new() -> Self {
        let world = Quic::of("c1");
        let heard = Arc::new(Heard::default());
        let node = world.start(A, heard.clone());
        let mut tls =
            rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
                .with_protocol_versions(&[&rustls::version::TLS13])
                .unwrap()
                .dangerous()
                .with_custom_certificate_verifier(world.trust())
                .with_client_cert_resolver(Presented::new(world.credentials(ROGUE)).unwrap());
        tls.alpn_protocols = vec![ALPN_NODE.to_vec()];
        let config = quinn::ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls).unwrap()));
        let endpoint = Endpoint::client(([127, 0, 0, 1], support::port()).into()).unwrap();
        let name = node_name(world.authority.cluster(), A);
        let rogue = endpoint.connect_with(config, node.local_addr().unwrap(), &name).unwrap().await.unwrap();
        Self { world, node, heard, rogue, _endpoint: endpoint }
    }

    /// Says `bytes` as its greeting; what the node says to it.
    async fn greet(&self, bytes: &[u8]) -> Vec<u8> {
        let (mut says, mut hears) = self.rogue.open_bi().await.unwrap();
        says.write_all(bytes).await.unwrap();
        says.finish().unwrap();
        hears.read_to_end(4_096).await.unwrap_or_default()
    }

    async fn welcomed() -> Self {
        let scene = Self::new().await;
        let answer = scene.greet(&hello("c1", ROGUE, (1, 1))).await;
        assert_eq!(answer.get(..5), Some(&[1, 0, 0, 0, 0][..]), "a welcome: {answer:?}");
        scene.heard.until("it is up", |heard| heard.changes(ROGUE) == [PeerChange::Up]).await;
        scene
    }

    async fn lane(&self, preamble: [u8; 2]) -> SendStream {
        let mut stream = self.rogue.open_uni().await.unwrap();
        stream.write_all(&preamble).await.unwrap();
        stream
    }

    /// The node closed the connection with `sentence`, and serves others as before.
    async fn assert_closed_with(&self, sentence: &str) {
        let closed = tokio::time::timeout(PATIENCE, self.rogue.closed()).await.expect("it is closed");
        let ConnectionError::ApplicationClosed(close) = closed else { panic!("{closed}") };
        assert_eq!(String::from_utf8_lossy(&close.reason), sentence);
        let heard = Arc::new(Heard::default());
        let sound = self.world.start(NodeId(2), heard);
        self.world.introduce(&self.node, &sound);
        assert!(sound.linked(A, PATIENCE).await);
        assert_eq!(sound.ask(A, CONTROL, number(1), PATIENCE).await.unwrap().body, number(1).body);
    }
}

/// A greeting: cluster, node, incarnation, versions.
fn hello(cluster: &str, node: NodeId, versions: (u8, u8)) -> Vec<u8> {
    codec::encode::<512>(1, &(cluster, node, 99_u64, versions)).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_claims_another_number_than_its_certificate_is_declined() {
    let scene = Scene::new().await;
    scene.greet(&hello("c1", NodeId(2), (1, 1))).await;
    scene.assert_closed_with("the greeting claims to be node 2, and the certificate names node 5").await;
    assert_eq!(scene.heard.changes(ROGUE), [], "it was never up");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_of_a_version_that_is_not_read_is_declined() {
    let scene = Scene::new().await;
    scene.greet(&hello("c1", ROGUE, (2, 3))).await;
    scene.assert_closed_with("versions 2 to 3 meet 1 to 1: finish the upgrade of the older node").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_greeting_of_garbage_is_declined() {
    let scene = Scene::new().await;
    scene.greet(b"\x09GET / HTTP/1.1").await;
    scene
        .assert_closed_with("the greeting cannot be read: format version 9 cannot be read, this release reads 1")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frame_beyond_the_bound_closes_the_link_before_it_is_read() {
    let scene = Scene::welcomed().await;
    let mut lane = scene.lane(CONTROL_PREAMBLE).await;
    lane.write_all(&u32::MAX.to_le_bytes()).await.unwrap();
    let sentence = format!("the peer sent a frame of {} bytes, where at most {FRAME_BYTES_MAX} go", u32::MAX);
    scene.assert_closed_with(&sentence).await;
    scene.heard.until("it is down", |heard| heard.changes(ROGUE) == [PeerChange::Up, PeerChange::Down]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frame_of_garbage_closes_the_link() {
    let scene = Scene::welcomed().await;
    let mut lane = scene.lane(CONTROL_PREAMBLE).await;
    lane.write_all(&[5, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff]).await.unwrap();
    scene.assert_closed_with("the peer sent a frame that cannot be read: malformed bytes").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_on_a_lane_closes_the_link() {
    let scene = Scene::welcomed().await;
    let mut lane = scene.lane(CONTROL_PREAMBLE).await;
    let answer = codec::encode::<64>(1, &(2_u32, 3_u64, 7_u16, 9_u64)).unwrap();
    lane.write_all(&u32::try_from(answer.len()).unwrap().to_le_bytes()).await.unwrap();
    lane.write_all(&answer).await.unwrap();
    scene.assert_closed_with("the peer sent a frame where its kind does not belong").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lane_opened_twice_closes_the_link() {
    let scene = Scene::welcomed().await;
    let _first = scene.lane(CONTROL_PREAMBLE).await;
    let _second = scene.lane(CONTROL_PREAMBLE).await;
    scene.assert_closed_with("the peer opened a stream that is no lane of this link, or one twice").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lane_that_does_not_exist_closes_the_link() {
    let scene = Scene::welcomed().await;
    let _lane = scene.lane([9, 9]).await;
    scene.assert_closed_with("the peer opened a stream that is no lane of this link, or one twice").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_datagram_of_garbage_closes_the_link() {
    let scene = Scene::welcomed().await;
    scene.rogue.send_datagram(bytes::Bytes::from_static(b"\x01\xff\xff\xff\xff")).unwrap();
    scene.assert_closed_with("the peer sent a frame that cannot be read: malformed bytes").await;
}
