//! A client's connection, in the clear or under TLS: bytes in, bytes out, and nobody waits while they go.
//!
//! It has the calls of a [`TcpStream`] that the edge uses. Under TLS, a call encrypts or decrypts what it is given in
//! the caller's thread, so a delivery needs no task then either.
//!
//! # Invariants
//!
//! * What [`Stream::try_write`] takes is encrypted; what of that the socket does not take waits here, at most
//!   [`SEALED_BYTES_MAX`] and the record being made, and [`Stream::has_more`] says so until [`Stream::flush`] has sent
//!   it. While it waits nothing more is taken.
//! * Reading and writing take turns at the keys; neither waits for the socket while it has them.

use std::{
    io::{self, IoSlice, Read, Write},
    net::Shutdown,
    sync::atomic::{AtomicBool, Ordering},
};

use parking_lot::Mutex;
use rustls::ServerConnection;
use socket2::SockRef;
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

/// Encrypted bytes that wait for the socket before no more are made: a few records of 16 KiB.
const SEALED_BYTES_MAX: usize = 64 * 1024;

/// See the module.
#[derive(Debug)]
pub struct Stream {
    tcp: TcpStream,
    keys: Option<Box<Mutex<ServerConnection>>>,
    /// Bytes may lie here decrypted that came before this stream was made: the socket does not say so.
    unread: AtomicBool,
}

impl From<TcpStream> for Stream {
    fn from(tcp: TcpStream) -> Self {
        Self { tcp, keys: None, unread: AtomicBool::new(false) }
    }
}

impl From<TlsStream<TcpStream>> for Stream {
    fn from(stream: TlsStream<TcpStream>) -> Self {
        let (tcp, mut keys) = stream.into_inner();
        keys.set_buffer_limit(Some(SEALED_BYTES_MAX));
        Self { tcp, keys: Some(Box::new(Mutex::new(keys))), unread: AtomicBool::new(true) }
    }
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
    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.try_write_vectored(slices)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Sends what was encrypted, as far as the socket takes it.
fn send(keys: &mut ServerConnection, tcp: &TcpStream) -> io::Result<()> {
    while keys.wants_write() {
        match keys.write_tls(&mut Bare(tcp)) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Encrypts what `take` writes, and sends it as far as the socket takes it.
fn seal(
    keys: &mut ServerConnection,
    tcp: &TcpStream,
    take: impl FnOnce(&mut rustls::Writer<'_>) -> io::Result<usize>,
) -> io::Result<usize> {
    send(keys, tcp)?;
    if keys.wants_write() {
        return Err(io::ErrorKind::WouldBlock.into());
    }
    let taken = take(&mut keys.writer())?;
    send(keys, tcp)?;
    Ok(taken)
}

impl Stream {
    /// Waits until something may be read.
    ///
    /// # Errors
    /// The socket's.
    pub async fn readable(&self) -> io::Result<()> {
        if self.unread.load(Ordering::Relaxed) {
            return Ok(());
        }
        self.tcp.readable().await
    }

    /// Waits until something may be written.
    ///
    /// # Errors
    /// The socket's.
    pub async fn writable(&self) -> io::Result<()> {
        self.tcp.writable().await
    }

    /// Sends small pieces at once, without waiting for the answer to the one before.
    ///
    /// # Errors
    /// The socket's.
    pub fn set_nodelay(&self) -> io::Result<()> {
        self.tcp.set_nodelay(true)
    }

    /// The socket, for its options.
    #[must_use]
    pub fn options(&self) -> SockRef<'_> {
        SockRef::from(&self.tcp)
    }

    /// Reads what is there; 0 when the client has ended.
    ///
    /// # Errors
    /// `WouldBlock` when nothing is; the socket's; `InvalidData` for what is no TLS.
    pub fn try_read(&self, bytes: &mut [u8]) -> io::Result<usize> {
        let Some(keys) = &self.keys else { return self.tcp.try_read(bytes) };
        let mut keys = keys.lock();
        loop {
            match keys.reader().read(bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                read => return read,
            }
            self.unread.store(false, Ordering::Relaxed);
            if keys.read_tls(&mut Bare(&self.tcp))? == 0 {
                return Ok(0);
            }
            let opened = keys.process_new_packets();
            // An alert, or what TLS has to answer by itself. What does not go now goes with the next write.
            send(&mut keys, &self.tcp)?;
            opened.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        }
    }

    /// Writes at once what the socket takes.
    ///
    /// # Errors
    /// `WouldBlock` when that is nothing; the socket's.
    pub fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        match &self.keys {
            None => self.tcp.try_write(bytes),
            Some(keys) => seal(&mut keys.lock(), &self.tcp, |writer| writer.write(bytes)),
        }
    }

    /// The same for several pieces.
    ///
    /// # Errors
    /// As [`Stream::try_write`].
    pub fn try_write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match &self.keys {
            None => self.tcp.try_write_vectored(slices),
            Some(keys) => seal(&mut keys.lock(), &self.tcp, |writer| writer.write_vectored(slices)),
        }
    }

    /// Whether something that was written waits here for the socket.
    #[must_use]
    pub fn has_more(&self) -> bool {
        self.keys.as_ref().is_some_and(|keys| keys.lock().wants_write())
    }

    /// Sends what waits here, as far as the socket takes it.
    ///
    /// # Errors
    /// The socket's.
    pub fn flush(&self) -> io::Result<()> {
        match &self.keys {
            None => Ok(()),
            Some(keys) => send(&mut keys.lock(), &self.tcp),
        }
    }

    /// Ends the stream for the other side.
    pub fn shutdown(&self, how: Shutdown) {
        if let Some(keys) = &self.keys {
            let mut keys = keys.lock();
            keys.send_close_notify();
            // Tried, not promised.
            let _ = send(&mut keys, &self.tcp);
        }
        // It may be gone already.
        let _ = self.options().shutdown(how);
    }
}

#[cfg(test)]
mod tests;
