//! How a socket ends: what is still written, and what is not.

use std::net::Shutdown;

use hubbub_protocol::error::CloseCode;

use super::{Outbox, Socket};

impl Socket {
    /// Takes nothing more; what waits may still be flushed. A client that is too slow for its events
    /// would not get them now either, so they are forgotten for the goodbye's sake.
    pub fn begin_goodbye(&self, code: CloseCode) {
        let mut writing = self.writing.lock();
        writing.closing = Some(code);
        self.drained.notify_waiters();
        if code == CloseCode::TooSlow {
            writing.outbox.forget();
        }
    }

    /// Tries to say goodbye; whatever the socket does not take at once is not sent. In the middle of
    /// another frame it would be read as a part of that, so nothing is said then.
    pub fn say_goodbye(&self, code: CloseCode) {
        let mut writing = self.writing.lock();
        writing.outbox.forget();
        if !writing.outbox.has_more() && !writing.broken {
            let mut wire = vec![0x88, 0];
            wire.extend(code.code().to_be_bytes());
            wire.extend(code.reason().as_bytes());
            wire[1] = u8::try_from(wire.len() - 2).unwrap_or(0);
            // Tried, not promised.
            let _ = self.stream.try_write(&wire);
        }
        writing.broken = true;
        self.drained.notify_waiters();
        // The client sees the end now, whoever still holds this socket.
        self.stream.shutdown(Shutdown::Write);
    }

    /// Takes and keeps nothing more: the client has gone.
    pub fn cut(&self) {
        let mut writing = self.writing.lock();
        writing.broken = true;
        writing.outbox = Outbox::new(self.format);
        self.drained.notify_waiters();
        self.stream.shutdown(Shutdown::Both);
    }
}
