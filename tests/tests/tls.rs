//! TLS on the public listener, as clients, renewals and strangers meet it.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use hubbub_client::{Update, Updates, trust};
use hubbub_protocol::op::Mode;
use hubbub_tests::{Node, authority::Authority, program};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::{
    TlsConnector,
    rustls::pki_types::{CertificateDer, ServerName, pem::PemObject},
};

fn node_of(authority: &Authority) -> Node {
    Node::fresh(&authority.flags().each_ref().map(String::as_str))
}

/// The certificate that a node shows now.
async fn shown(port: u16, connector: &TlsConnector) -> CertificateDer<'static> {
    let stream = TcpStream::connect(("127.0.0.1", port)).await.expect("it listens");
    let name = ServerName::try_from("127.0.0.1").expect("an address");
    let stream = connector.connect(name, stream).await.expect("it is signed by our authority");
    stream.get_ref().1.peer_certificates().expect("it shows one")[0].clone()
}

fn on_disk(file: &Path) -> CertificateDer<'static> {
    CertificateDer::from_pem_file(file).expect("a certificate")
}

/// The seqs that somebody is told of up to this one, on one connection.
async fn seqs_until(told: &mut Updates, last: u64) -> Vec<u64> {
    let mut seqs = Vec::new();
    let reading = async {
        while seqs.last() != Some(&last) {
            match told.next().await {
                Some(Update::Event(event, _)) => seqs.push(event.seq.0),
                Some(Update::Disconnected | Update::Ended(_)) | None => panic!("cut off after {seqs:?}"),
                Some(_) => {}
            }
        }
    };
    let read = tokio::time::timeout(Duration::from_secs(30), reading).await;
    assert!(read.is_ok(), "not all came");
    seqs
}

/// Everything that a community does goes over HTTPS and over WebSockets under TLS, and a renewal cuts nobody off.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn people_talk_under_tls_and_a_renewed_certificate_cuts_nobody_off() {
    let authority = Authority::new();
    authority.sign(1);
    trust::only(&authority.file("ca.pem")).expect("a root");
    let mut node = node_of(&authority);
    assert!(node.url().starts_with("https://"), "{:?}", node.said());
    let setup = node.said().iter().find(|line| line.contains("/setup#")).expect("a link for the owner");
    assert!(setup.contains("https://127.0.0.1:"), "{setup}");
    let (ada, bob) = (node.person("ada").await, node.person("bob").await);
    let lab = ada.rest.create_community("Lab", true).await.expect("a community");
    bob.rest.join(lab.id).await.expect("it is public");
    let general = ada.rest.rooms(lab.id).await.expect("its rooms")[0].id;
    let (ada_client, _) = ada.connects().await;
    let (bob_client, mut told) = bob.connects().await;
    bob_client.subscribe(general, None, Mode::Live).await.expect("a member");
    // Several records of TLS: three bytes a character.
    let long = "語".repeat(7_900);
    for number in 0..50 {
        ada_client.send(general, &format!("{number}: {long}"), None).await.expect("sent");
    }
    let connector = TlsConnector::from(authority.client());
    assert_eq!(shown(node.port(), &connector).await, on_disk(&authority.file("cert.pem")));
    authority.sign(2);
    let begun = Instant::now();
    while shown(node.port(), &connector).await != on_disk(&authority.file("cert.pem")) {
        assert!(begun.elapsed() < Duration::from_secs(20), "the new certificate is not shown");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    ada_client.send(general, "after the renewal", None).await.expect("the connection stands");
    assert_eq!(seqs_until(&mut told, 51).await, (1..=51).collect::<Vec<_>>(), "on one connection");
    let shell = std::process::Command::new(program())
        .args(["chat", "messages", "general", "--limit", "1", "--json", "--url", &node.url()])
        .env("HUBBUB_TOKEN", &bob.signed.access_token)
        .env("HUBBUB_CA", authority.file("ca.pem"))
        .output()
        .expect("the program starts");
    let said = String::from_utf8_lossy(&shell.stdout);
    assert!(shell.status.success() && said.contains("after the renewal"), "{shell:?}");
    assert_eq!(node.stop(), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_speaks_no_tls_or_takes_too_long_is_cut() {
    let authority = Authority::new();
    authority.sign(1);
    let node = node_of(&authority);
    let connect = || async { TcpStream::connect(("127.0.0.1", node.port())).await.expect("it listens") };
    let plain = async {
        let (begun, mut stream) = (Instant::now(), connect().await);
        stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").await.expect("open");
        let mut answer = Vec::new();
        // A reset ends it as well.
        let _ = stream.read_to_end(&mut answer).await;
        assert!(!answer.starts_with(b"HTTP"), "{answer:?}");
        begun.elapsed()
    };
    let silent = async {
        let (begun, mut stream) = (Instant::now(), connect().await);
        stream.write_all(&[0x16, 0x03]).await.expect("open");
        let _ = stream.read_to_end(&mut Vec::new()).await;
        begun.elapsed()
    };
    let (plain, silent) = tokio::join!(plain, silent);
    assert!(plain < Duration::from_secs(2), "{plain:?}");
    assert!((Duration::from_secs(9)..Duration::from_secs(15)).contains(&silent), "{silent:?}");
    let connector = TlsConnector::from(authority.client());
    assert_eq!(shown(node.port(), &connector).await, on_disk(&authority.file("cert.pem")), "others are served");
}
