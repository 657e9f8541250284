//! How many clients may be connected at once, and what the next one is told.
//!
//! A connection takes a seat when it is accepted and holds it until it ends, also when it becomes a
//! WebSocket. Without this bound a node runs into the limit on open files, and then its store cannot
//! open a file either.
//!
//! # Failure
//!
//! Who finds no seat is answered 503 with `busy` and disconnected. At most [`REFUSALS_MAX`] are being
//! answered at once; beyond that they are disconnected without a word.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use hubbub_protocol::error::{ErrorCode, Refusal};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::{OwnedSemaphorePermit, Semaphore},
};

/// Open files that a node keeps for its own: 15 of the store, 64 of operators' connections, 64 of
/// refusals, and the rest for an import or export beside.
const FILES_OF_OUR_OWN: u64 = 256;
/// Most connections that can be asked for: at 20 KiB each, 200 GB of memory.
const CONNECTIONS_MAX: u64 = 10_000_000;
/// Clients that are being told at once that there is no seat.
const REFUSALS_MAX: usize = 64;
/// How long a client that is refused may take to send its request and read the answer.
const REFUSED_WITHIN: Duration = Duration::from_secs(2);
/// When it may try again, in milliseconds: people leave in minutes, not in seconds.
const RETRY_AFTER_MS: u64 = 5_000;

/// How many connections an operator allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd)]
pub enum Connections {
    /// What the open files leave.
    Auto,
    /// This many.
    AtMost(u64),
}

impl Connections {
    /// Whether it is a number that a node can have.
    #[must_use]
    pub fn is_sensible(&self) -> bool {
        match self {
            Self::Auto => true,
            Self::AtMost(connections) => (1..=CONNECTIONS_MAX).contains(connections),
        }
    }

    /// How many they are for a process that may open `files`, or any number of files.
    #[must_use]
    pub fn of(self, files: Option<u64>) -> u64 {
        // A process that may open very little gives half of it to clients.
        let left =
            files.map_or(CONNECTIONS_MAX, |files| files.saturating_sub(FILES_OF_OUR_OWN).max(files / 2).max(1));
        match self {
            Self::Auto => left.min(CONNECTIONS_MAX),
            Self::AtMost(connections) => connections.min(left),
        }
    }
}

/// The seats of one listener.
#[derive(Debug)]
pub struct Seats {
    max: u64,
    free: Arc<Semaphore>,
    refusals: Arc<Semaphore>,
    refused: AtomicU64,
}

/// A place among the connections; given back when dropped.
#[derive(Debug, Clone)]
pub struct Seat {
    _place: Arc<OwnedSemaphorePermit>,
}

impl Seats {
    /// Room for `max` connections.
    #[must_use]
    pub fn new(max: u64) -> Arc<Self> {
        let places = usize::try_from(max).unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS);
        Arc::new(Self {
            max,
            free: Arc::new(Semaphore::new(places)),
            refusals: Arc::new(Semaphore::new(REFUSALS_MAX)),
            refused: AtomicU64::new(0),
        })
    }

    /// How many there are.
    #[must_use]
    pub const fn max(&self) -> u64 {
        self.max
    }

    /// How many are taken.
    #[must_use]
    pub fn taken(&self) -> u64 {
        self.max.saturating_sub(self.free.available_permits() as u64)
    }

    /// Connections that found none since the start.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// Takes one, if one is free.
    #[must_use]
    pub fn take(&self) -> Option<Seat> {
        let place = self.free.clone().try_acquire_owned().ok()?;
        Some(Seat { _place: Arc::new(place) })
    }

    /// Tells a client that there is none, without waiting for it.
    pub fn refuse(&self, stream: TcpStream) {
        self.refused.fetch_add(1, Ordering::Relaxed);
        if let Ok(turn) = self.refusals.clone().try_acquire_owned() {
            let message = format!("this node has {} connections and takes no more: try again later", self.max);
            tokio::spawn(async move {
                // It may have gone already, or take too long: its own concern.
                let _ = tokio::time::timeout(REFUSED_WITHIN, tell(stream, &message)).await;
                drop(turn);
            });
        }
    }
}

/// Answers whatever comes, and reads on until the client ends: closed earlier, the answer could be
/// lost with what was not read.
async fn tell(mut stream: TcpStream, message: &str) -> std::io::Result<()> {
    let refusal = Refusal::new(ErrorCode::Busy, message).after_ms(RETRY_AFTER_MS);
    let body = json!({ "error": refusal }).to_string();
    let head = format!(
        "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
         Retry-After: {}\r\nConnection: close\r\n\r\n",
        body.len(),
        RETRY_AFTER_MS / 1_000,
    );
    let mut unread = [0; 1_024];
    if stream.read(&mut unread).await? == 0 {
        return Ok(());
    }
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body.as_bytes()).await?;
    stream.shutdown().await?;
    while stream.read(&mut unread).await? > 0 {}
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_open_files_bound_the_connections() {
        assert_eq!(Connections::Auto.of(Some(1_024)), 768);
        assert_eq!(Connections::Auto.of(Some(300)), 150, "half, where a reserve would leave next to nothing");
        assert_eq!(Connections::Auto.of(Some(1)), 1);
        assert_eq!(Connections::Auto.of(None), CONNECTIONS_MAX);
        assert_eq!(Connections::AtMost(100).of(Some(1_024)), 100);
        assert_eq!(Connections::AtMost(5_000).of(Some(1_024)), 768, "no more than there are files for");
        assert!(!Connections::AtMost(0).is_sensible());
    }

    #[test]
    fn a_seat_is_free_again_when_its_last_holder_has_gone() {
        let seats = Seats::new(2);
        let one = seats.take().expect("two are free");
        let _two = seats.take().expect("one is free");
        assert_eq!((seats.take().is_none(), seats.taken()), (true, 2));
        let upgraded = one.clone();
        drop(one);
        assert_eq!(seats.taken(), 2, "the WebSocket still holds it");
        drop(upgraded);
        assert_eq!(seats.taken(), 1);
    }
}
