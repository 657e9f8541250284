//! What strangers may send to the join port: garbage, replayed proofs, half a handshake, too much.

#![allow(clippy::unwrap_used, reason = "a test stops at the first thing that is not as it must be")]

mod council;
mod support;

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use council::{CLUSTER, World};
use hubbub_cluster::{
    control::{NewMember, Role, VersionRange},
    identity::NodeKey,
    join::{Applicant, Application, JoinToken, cluster_id, join},
};
use hubbub_protocol::codec;
use quinn::{ClientConfig, Connection, ConnectionId, Endpoint, crypto::rustls::QuicClientConfig};
use ring::hmac;
use rustls::{
    DigitallySignedStruct, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    pki_types::{CertificateDer, ServerName, UnixTime},
};
use sha2::{Digest as _, Sha256};

const HOUR: Duration = Duration::from_hours(1);
const BYTES: usize = 1 << 20;

/// Believes anybody: a stranger does not care.
#[derive(Debug)]
struct Anybody;

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }
}

/// Connects to `seed` as a joiner does, or without the mark, speaking `alpn`.
async fn dial(seed: SocketAddr, alpn: &[u8], marked: bool) -> Result<(Endpoint, Connection), String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anybody))
        .with_no_client_auth();
    tls.alpn_protocols = vec![alpn.to_vec()];
    let mut config = ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls).unwrap()));
    if marked {
        let next = Mutex::new(0_u64);
        config.initial_dst_cid_provider(Arc::new(move || {
            *next.lock().unwrap() += 1;
            ConnectionId::new(&[b"hubjoin1".as_slice(), &rand::random::<[u8; 8]>()].concat())
        }));
    }
    let endpoint = Endpoint::client(([127, 0, 0, 1], 0).into()).unwrap();
    let connection = endpoint.connect_with(config, seed, "join.hubbub").unwrap().await;
    connection.map(|connection| (endpoint, connection)).map_err(|error| error.to_string())
}

/// Sends `bytes` on a fresh stream; the answer, to its end.
async fn say(connection: &Connection, bytes: &[u8]) -> Result<Vec<u8>, String> {
    let (mut says, mut hears) = connection.open_bi().await.map_err(|error| error.to_string())?;
    // A peer that stops reading says why in its answer.
    drop(says.write_all(bytes).await);
    drop(says.finish());
    hears.read_to_end(BYTES).await.map_err(|error| error.to_string())
}

fn channel(connection: &Connection) -> [u8; 32] {
    let mut bytes = [0; 32];
    connection.export_keying_material(&mut bytes, b"EXPORTER-hubbub-join/1", b"").unwrap();
    bytes
}

fn about(name: &str, key: &NodeKey) -> NewMember {
    NewMember {
        name: name.to_owned(),
        addresses: vec!["127.0.0.1:9".to_owned()],
        zone: String::new(),
        region: String::new(),
        capacity: 1,
        role: Role::Worker,
        versions: VersionRange { min: 1, max: 1 },
        key_sha256: key.sha256(),
        data_dir: 77,
    }
}

fn bob() -> Applicant {
    let key = NodeKey::new().unwrap();
    Applicant { about: about("bob", &key), key, cluster: cluster_id(CLUSTER) }
}

/// The bytes of a knock with a proof for `channel`.
fn knock(token: &JoinToken, name: &str, channel: &[u8; 32]) -> Vec<u8> {
    let key = NodeKey::new().unwrap();
    let request = key.request().unwrap().to_vec();
    let application = Application { token: token.id(), request, about: about(name, &key) };
    let application = codec::encode::<BYTES>(1, &application).unwrap();
    let said = [b"hubbub join proof 1".as_slice(), channel, &Sha256::digest(&application)].concat();
    let proof = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &token.secret_sha256()), &said);
    codec::encode::<BYTES>(1, &(application, proof.as_ref().to_vec())).unwrap()
}

/// What the first bytes of an answer say: version, then whether it is a welcome (0) or a refusal (1) and which.
fn verdict(answer: &[u8]) -> (u32, u32) {
    let number = |at: usize| u32::from_le_bytes(answer[at..at + 4].try_into().unwrap());
    (number(1), number(5))
}

const WELCOME: u32 = 0;
const REFUSED: u32 = 1;
const TOKEN: u32 = 0;

#[tokio::test(flavor = "multi_thread")]
async fn a_proof_is_good_on_its_own_connection_and_on_no_other() {
    let world = World::new().await;
    let token = world.leader.desk.create_token(Role::Voter, 9, HOUR).await.unwrap();
    let (_first, seen) = dial(world.leader.address, b"hubbub-join/1", true).await.unwrap();
    let (_second, other) = dial(world.leader.address, b"hubbub-join/1", true).await.unwrap();
    assert_ne!(channel(&seen), channel(&other));
    let proven = knock(&token, "bob", &channel(&seen));
    let replayed = say(&other, &proven).await.unwrap();
    assert_eq!(verdict(&replayed), (REFUSED, TOKEN), "the same bytes on another connection");
    assert_eq!(world.members(), 2);
    let answer = say(&seen, &proven).await.unwrap();
    assert_eq!(verdict(&answer).0, WELCOME, "and on their own");
    assert_eq!(world.members(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_on_the_join_port_harms_nobody() {
    let world = World::new().await;
    let seed = world.leader.address;
    let token = world.leader.desk.create_token(Role::Worker, 1, HOUR).await.unwrap();
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    for length in [0, 1, 20, 1_200, 9_000] {
        let bytes: Vec<u8> = (0..length).map(|_| rand::random()).collect();
        socket.send_to(&bytes, seed).unwrap();
    }
    for bytes in [Vec::new(), vec![1], vec![9; 100], vec![255; 4_000], vec![0; 64 << 10]] {
        let (_endpoint, connection) = dial(seed, b"hubbub-join/1", true).await.unwrap();
        let answer = say(&connection, &bytes).await.unwrap();
        assert_eq!(verdict(&answer).0, REFUSED, "{} bytes", bytes.len());
    }
    let applicant = bob();
    join(&token, &[seed.to_string()], &applicant).await.expect("a node that means well joins all the same");
    assert_eq!(world.worker.heard.changes(hubbub_protocol::ids::NodeId(1)).len(), 1, "links did not notice");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_mark_of_a_joiner_opens_no_way_to_the_nodes_protocols() {
    let world = World::new().await;
    let seed = world.leader.address;
    for (alpn, marked) in [
        (b"hubbub-node/1".as_slice(), true),
        (b"hubbub-bulk/1", true),
        (b"hubbub-join/1", false),
        (b"hubbub-join/2", true),
        (b"h3", true),
    ] {
        let refused = dial(seed, alpn, marked).await.expect_err("another protocol");
        assert!(refused.contains("120"), "no common protocol: {refused}");
    }
    // Without a certificate the nodes' protocol ends as soon as it is looked for.
    if let Ok((_endpoint, connection)) = dial(seed, b"hubbub-node/1", false).await {
        say(&connection, b"hello").await.expect_err("a node must show a certificate");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_who_say_nothing_do_not_keep_joiners_out_for_long() {
    let world = World::new().await;
    let seed = world.leader.address;
    let token = world.leader.desk.create_token(Role::Worker, 1, HOUR).await.unwrap();
    let mut silent = Vec::new();
    let mut turned_away = 0;
    for _ in 0..6 {
        match dial(seed, b"hubbub-join/1", true).await {
            Ok(held) => silent.push(held),
            Err(_) => turned_away += 1,
        }
    }
    assert_eq!((silent.len(), turned_away), (4, 2), "one address has four places at the door");
    for (_, connection) in &silent {
        connection.close(0_u32.into(), b"");
    }
    let applicant = bob();
    join(&token, &[seed.to_string()], &applicant).await.expect("the places are free again");
}
