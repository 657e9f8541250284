//! A stream under TLS against a client of another make, whose socket takes little at a time.

use std::{sync::Arc, time::Duration};

use rcgen::{CertificateParams, KeyPair};
use rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer, ServerName},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};
use tokio_rustls::{TlsAcceptor, TlsConnector, client};

use super::*;

async fn pair() -> (Stream, client::TlsStream<TcpStream>) {
    let (stream, client) = shaken().await;
    (Stream::from(stream), client)
}

async fn shaken() -> (TlsStream<TcpStream>, client::TlsStream<TcpStream>) {
    let key = KeyPair::generate().expect("a key");
    let params = CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
    let certificate = params.self_signed(&key).expect("a certificate").der().clone();
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone()).expect("a root");
    // Another crate of this test may have installed one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let private = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let server = ServerConfig::builder().with_no_client_auth().with_single_cert(vec![certificate], private);
    let acceptor = TlsAcceptor::from(Arc::new(server.expect("they fit")));
    let client = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound");
    let connected = async {
        let stream = TcpStream::connect(address).await.expect("it listens");
        let name = ServerName::try_from("localhost").expect("a name");
        TlsConnector::from(Arc::new(client)).connect(name, stream).await.expect("a handshake")
    };
    let accepted = async {
        let (stream, _) = listener.accept().await.expect("a client");
        acceptor.accept(stream).await.expect("a handshake")
    };
    tokio::join!(accepted, connected)
}

/// Bytes whose order can be seen.
fn bytes(count: usize) -> Vec<u8> {
    (0..count).map(|at| u8::try_from(at * 7 % 251).expect("below 251")).collect()
}

#[tokio::test]
async fn what_the_socket_does_not_take_waits_within_a_bound_and_nothing_is_lost() {
    let (stream, mut client) = pair().await;
    stream.options().set_send_buffer_size(8 * 1024).expect("a smaller buffer");
    let all = bytes(4_000_000);
    let writing = async {
        let mut left = &all[..];
        let mut waited = 0;
        while !left.is_empty() || stream.has_more() {
            let half = left.len().min(100_000) / 2;
            let pieces = [IoSlice::new(&left[..half]), IoSlice::new(&left[half..left.len().min(100_000)])];
            let written =
                if left.is_empty() { stream.flush().map(|()| 0) } else { stream.try_write_vectored(&pieces) };
            match written {
                Ok(written) => left = &left[written..],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => panic!("{error}"),
            }
            if stream.has_more() {
                waited += 1;
                stream.writable().await.expect("open");
            }
        }
        waited
    };
    let reading = async {
        let mut got = vec![0; all.len()];
        client.read_exact(&mut got).await.expect("all of it");
        got
    };
    let both = async { tokio::join!(writing, reading) };
    let (waited, got) = tokio::time::timeout(Duration::from_secs(60), both).await.expect("it does not hang");
    assert!(waited > 10, "the socket took all at once {waited}");
    assert!(got == all, "in order and whole");
}

#[tokio::test]
async fn what_comes_is_read_to_the_end_and_a_goodbye_is_one() {
    let (stream, mut client) = pair().await;
    let all = bytes(100_000);
    let writing = async {
        client.write_all(&all).await.expect("open");
        client.shutdown().await.expect("open");
        client
    };
    let reading = async {
        let (mut got, mut piece) = (Vec::new(), [0; 1_000]);
        loop {
            stream.readable().await.expect("open");
            // Readiness stays until the socket has nothing more, however much one record held.
            match stream.try_read(&mut piece) {
                Ok(0) => return got,
                Ok(read) => got.extend_from_slice(&piece[..read]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => panic!("{error}"),
            }
        }
    };
    let (mut client, got) = tokio::join!(writing, reading);
    assert!(got == all);
    stream.shutdown(Shutdown::Write);
    assert_eq!(client.read(&mut [0; 10]).await.expect("a clean end"), 0);
}

#[tokio::test]
async fn what_came_before_the_stream_was_taken_over_is_read_without_a_word_more() {
    let (mut shaken, mut client) = shaken().await;
    let all = bytes(10_000);
    client.write_all(&all).await.expect("open");
    // What follows it was decrypted with it, and waits.
    let mut got = vec![shaken.read_u8().await.expect("open")];
    let stream = Stream::from(shaken);
    let reading = async {
        let mut piece = [0; 1_000];
        while got.len() < all.len() {
            stream.readable().await.expect("open");
            match stream.try_read(&mut piece) {
                Ok(read) => got.extend_from_slice(&piece[..read]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => panic!("{error}"),
            }
        }
        assert_eq!(stream.try_read(&mut piece).expect_err("nothing more").kind(), io::ErrorKind::WouldBlock);
    };
    tokio::time::timeout(Duration::from_secs(10), reading).await.expect("it does not hang");
    assert!(got == all);
}
