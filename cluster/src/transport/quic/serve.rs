//! A link's life on its connection: a writer for each track, a reader for each stream that the peer opens.
//!
//! All of them are parts of one task, so that ending the link ends them together, before `Down` is told.

use std::{collections::BTreeSet, sync::Arc};

use bytes::{Bytes, BytesMut};
use futures_util::{
    StreamExt as _,
    future::{join_all, try_join3},
    stream::FuturesUnordered,
};
use parking_lot::Mutex;
use quinn::{Connection, ReadExactError, RecvStream};

use super::super::{
    Carried, frame,
    incoming::{Incoming, Violation},
    limits::FRAME_BYTES_MAX,
    link::{Link, Wire},
    links::{Links, Place},
    queue::Outgoing,
    track::{Purpose, Track},
};
use super::fault::{CLOSE_OVER, CLOSE_VIOLATION};

/// What one read takes from a stream.
const READ_BYTES: usize = 64 * 1024;

impl Wire for Connection {
    fn whisper(&self, datagram: Bytes) {
        // Too large for the path, or no room: a whisper may be lost.
        drop(self.send_datagram(datagram));
    }

    fn carried(&self) -> Carried {
        let stats = self.stats();
        Carried {
            rtt: Some(stats.path.rtt),
            sent_bytes: stats.udp_tx.bytes,
            received_bytes: stats.udp_rx.bytes,
            lost_packets: stats.path.lost_packets,
        }
    }
}

/// Serves `link` on `connection` until either is over.
pub(super) async fn serve(links: &Links, connection: &Connection, link: &Arc<Link>, place: Place) {
    let incoming = Incoming::new(link.clone(), links.inbox.clone());
    let work = async {
        let writes = link.take_outgoing().into_iter().map(|(track, outgoing)| write(connection, track, outgoing));
        let writes = async {
            join_all(writes).await;
            Ok(())
        };
        let reads = read_all(connection, link.purpose, &incoming);
        let ended = tokio::select! {
            ended = try_join3(writes, reads, hear(connection, &incoming)) => ended.map(drop),
            // Writers that have nothing to write do not see it.
            _ = connection.closed() => Ok(()),
        };
        if let Err(violation) = ended {
            tracing::warn!(node.id = %link.peer, "closed the link to node {}: {violation}", link.peer);
            connection.close(CLOSE_VIOLATION.into(), violation.to_string().as_bytes());
        }
    };
    place.hold(work).await;
    connection.close(CLOSE_OVER.into(), b"the link is over");
}

/// Writes what `track` puts out. Ends with the connection.
async fn write(connection: &Connection, track: Track, mut outgoing: Outgoing) {
    let Ok(mut stream) = connection.open_uni().await else { return };
    // Fails on a stream that is finished, and this one is new.
    drop(stream.set_priority(track.priority()));
    if stream.write_all(&track.preamble()).await.is_err() {
        return;
    }
    while let Some(batch) = outgoing.batch().await {
        if stream.write_chunk(batch.freeze()).await.is_err() {
            return;
        }
    }
}

/// Reads every stream that the peer opens, each once.
async fn read_all(connection: &Connection, purpose: Purpose, incoming: &Incoming) -> Result<(), Violation> {
    let opened = Mutex::default();
    let mut reading = FuturesUnordered::new();
    loop {
        tokio::select! {
            stream = connection.accept_uni() => match stream {
                Ok(stream) => reading.push(read(stream, purpose, &opened, incoming)),
                Err(_) => return Ok(()),
            },
            Some(ended) = reading.next() => ended?,
        }
    }
}

/// Reads one track, frame by frame. Ends with the connection.
async fn read(
    mut stream: RecvStream,
    purpose: Purpose,
    opened: &Mutex<BTreeSet<Track>>,
    incoming: &Incoming,
) -> Result<(), Violation> {
    let mut preamble = [0; 2];
    match stream.read_exact(&mut preamble).await {
        Ok(()) => {}
        Err(ReadExactError::FinishedEarly(_)) => return Err(Violation::Stream),
        Err(ReadExactError::ReadError(_)) => return Ok(()),
    }
    let track = Track::of(purpose, preamble).filter(|track| opened.lock().insert(*track));
    let track = track.ok_or(Violation::Stream)?;
    let mut bytes = BytesMut::new();
    while let Ok(Some(chunk)) = stream.read_chunk(READ_BYTES, true).await {
        bytes.extend_from_slice(&chunk.bytes);
        debug_assert!(bytes.len() <= FRAME_BYTES_MAX + 4 + READ_BYTES, "whole frames are taken as they come");
        while let Some(frame) = frame::take(&mut bytes)? {
            incoming.take(track, frame).await?;
        }
    }
    Ok(())
}

/// Hears the peer's datagrams. Ends with the connection.
async fn hear(connection: &Connection, incoming: &Incoming) -> Result<(), Violation> {
    while let Ok(datagram) = connection.read_datagram().await {
        incoming.whisper(&datagram)?;
    }
    Ok(())
}
