//! The bytes of one client's connection: a socket, or TLS over one.
//!
//! # Invariants
//! - What was decrypted and not yet shown makes [`Wire::readable`] return at once, since the socket may stay silent.
//! - Only what the socket would not take waits here, and nothing more is encrypted until it is out.

use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

#[derive(Debug)]
pub(crate) struct Wire {
    tcp: TcpStream,
    tls: Option<Box<Mutex<ClientConnection>>>,
    /// Whether decrypted bytes may wait to be read.
    unread: AtomicBool,
}

/// The socket as rustls reads and writes it.
struct Bare<'a>(&'a TcpStream);

impl Read for Bare<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.0.try_read(bytes)
    }
}

impl Write for Bare<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Shakes hands as a client that trusts what `config` does.
pub(crate) async fn secure(
    tcp: TcpStream,
    address: SocketAddr,
    config: Arc<ClientConfig>,
) -> Result<TlsStream<TcpStream>> {
    let name = ServerName::IpAddress(address.ip().into());
    TlsConnector::from(config).connect(name, tcp).await.context("the TLS handshake")
}

impl From<TcpStream> for Wire {
    fn from(tcp: TcpStream) -> Self {
        Self { tcp, tls: None, unread: AtomicBool::new(false) }
    }
}

impl From<TlsStream<TcpStream>> for Wire {
    fn from(stream: TlsStream<TcpStream>) -> Self {
        let (tcp, tls) = stream.into_inner();
        Self { tcp, tls: Some(Box::new(Mutex::new(tls))), unread: AtomicBool::new(true) }
    }
}

fn lock(tls: &Mutex<ClientConnection>) -> MutexGuard<'_, ClientConnection> {
    tls.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Wire {
    pub(crate) async fn readable(&self) -> io::Result<()> {
        if self.unread.load(Ordering::Relaxed) {
            return Ok(());
        }
        self.tcp.readable().await
    }

    /// Reads what is there; 0 at the stream's end.
    ///
    /// # Errors
    /// `WouldBlock` when nothing is; the socket's; `InvalidData` for what is no TLS.
    pub(crate) fn try_read(&self, bytes: &mut [u8]) -> io::Result<usize> {
        let Some(tls) = &self.tls else { return self.tcp.try_read(bytes) };
        let mut tls = lock(tls);
        loop {
            match tls.reader().read(bytes) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                read => {
                    self.unread.store(true, Ordering::Relaxed);
                    return read;
                }
            }
            self.unread.store(false, Ordering::Relaxed);
            if tls.read_tls(&mut Bare(&self.tcp))? == 0 {
                return Ok(0);
            }
            tls.process_new_packets().map_err(|error| io::Error::new(ErrorKind::InvalidData, error))?;
        }
    }

    /// Writes all of `bytes`. Two that write at the same time need a lock of their own.
    pub(crate) async fn write_all(&self, mut bytes: &[u8]) -> io::Result<()> {
        loop {
            let written = match &self.tls {
                None if bytes.is_empty() => return Ok(()),
                None => self.tcp.try_write(bytes).map(|written| bytes = &bytes[written..]),
                Some(tls) => {
                    let mut tls = lock(tls);
                    if tls.wants_write() {
                        tls.write_tls(&mut Bare(&self.tcp)).map(drop)
                    } else if bytes.is_empty() {
                        return Ok(());
                    } else {
                        tls.writer().write(bytes).map(|taken| bytes = &bytes[taken..])
                    }
                }
            };
            match written {
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.tcp.writable().await?,
                written => written?,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use hubbub_tests::authority::Authority;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use tokio_rustls::TlsAcceptor;

    use super::*;

    /// More than a socket takes at once, and than rustls keeps.
    const BYTES: usize = 4 * 1024 * 1024;

    #[tokio::test]
    async fn what_goes_through_tls_comes_back_whole_and_its_end_is_seen() {
        let authority = Authority::new();
        authority.sign(1);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let acceptor = TlsAcceptor::from(authority.server());
        let server = tokio::spawn(async move {
            let (stream, _) = listener.accept().await.expect("a client");
            let mut stream = acceptor.accept(stream).await.expect("it trusts our authority");
            let mut all = vec![0; BYTES];
            stream.read_exact(&mut all).await.expect("all of it");
            stream.write_all(&all).await.expect("it reads");
            stream.shutdown().await.expect("it is there");
        });
        let tcp = TcpStream::connect(address).await.expect("it listens");
        let wire = Wire::from(secure(tcp, address, authority.client()).await.expect("a handshake"));
        let sent: Vec<u8> = (0..BYTES).map(|at| (at % 251) as u8).collect();
        wire.write_all(&sent).await.expect("all is taken");
        let (mut got, mut buffer) = (Vec::with_capacity(BYTES), vec![0; 10_000]);
        loop {
            wire.readable().await.expect("open");
            match wire.try_read(&mut buffer) {
                Ok(0) => break,
                Ok(read) => got.extend_from_slice(&buffer[..read]),
                Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
            }
        }
        assert!(got == sent, "{} bytes of {BYTES}, or others", got.len());
        server.await.expect("no panic");
    }

    #[tokio::test]
    async fn a_server_of_another_authority_is_not_spoken_to() {
        let (ours, others) = (Authority::new(), Authority::new());
        others.sign(1);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let acceptor = TlsAcceptor::from(others.server());
        tokio::spawn(async move {
            let (stream, _) = listener.accept().await.expect("a client");
            acceptor.accept(stream).await.map(drop)
        });
        let tcp = TcpStream::connect(address).await.expect("it listens");
        let refused = secure(tcp, address, ours.client()).await.expect_err("nobody we know");
        assert!(format!("{refused:#}").contains("invalid peer certificate"), "{refused:#}");
    }
}
