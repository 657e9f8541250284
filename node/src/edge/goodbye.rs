//! The end of a connection: what waits, then the close frame, then the last of the client's bytes.
//!
//! # Failure
//!
//! A client that does not read, or does not stop writing, is waited for at most twice
//! [`GOODBYE_WITHIN`].

use std::{io, time::Duration};

use hubbub_protocol::error::CloseCode;

use super::socket::Socket;

/// How long the last frames may take to leave, and then the client to hang up.
const GOODBYE_WITHIN: Duration = Duration::from_millis(500);

/// Ends a connection: with `code`, or, without one, because the client has gone.
pub async fn goodbye(socket: &Socket, code: Option<CloseCode>) {
    let Some(code) = code else {
        socket.cut();
        return;
    };
    socket.begin_goodbye(code);
    // A client that does not read is not waited for.
    let _ = tokio::time::timeout(GOODBYE_WITHIN, flush(socket)).await;
    socket.say_goodbye(code);
    // What the client still sends is read away for a moment: a system that finds bytes unread when the
    // socket is dropped takes our last frames back.
    let _ = tokio::time::timeout(GOODBYE_WITHIN, read_away(socket)).await;
}

async fn flush(socket: &Socket) {
    while socket.backlog().has_more {
        if socket.stream().writable().await.and_then(|()| socket.flush()).is_err() {
            return;
        }
    }
}

async fn read_away(socket: &Socket) {
    while socket.stream().readable().await.is_ok() && !has_gone(socket) {}
}

fn has_gone(socket: &Socket) -> bool {
    let mut bytes = [0; 4_096];
    match socket.stream().try_read(&mut bytes) {
        Ok(read) => read == 0,
        Err(error) => error.kind() != io::ErrorKind::WouldBlock,
    }
}
