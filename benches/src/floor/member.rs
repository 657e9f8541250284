//! One connection of the floor: its socket and what the socket would not take at once.
//!
//! # Invariants
//! - Frames leave in the order they were delivered: while a backlog exists, nothing passes it.
//! - At most one flushing task runs for a member: it is started when the backlog stops being empty.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::rc::Rc;

use bytes::{Buf, Bytes};
use tokio::net::TcpStream;
use tokio::task;

use super::BACKLOG_FRAMES_MAX;

#[derive(Debug)]
pub(crate) struct Member {
    stream: TcpStream,
    backlog: RefCell<VecDeque<Bytes>>,
    gone: Cell<bool>,
}

impl Member {
    pub(crate) fn new(stream: TcpStream) -> Self {
        Self { stream, backlog: RefCell::new(VecDeque::new()), gone: Cell::new(false) }
    }

    pub(crate) fn stream(&self) -> &TcpStream {
        &self.stream
    }

    pub(crate) fn is_gone(&self) -> bool {
        self.gone.get()
    }

    /// Gives the member nothing more; its reader and flusher end by themselves.
    pub(crate) fn end(&self) {
        self.gone.set(true);
        self.backlog.borrow_mut().clear();
    }

    /// Writes `frame` now, or as soon as the socket takes it.
    pub(crate) fn deliver(self: &Rc<Self>, mut frame: Bytes) {
        if self.is_gone() {
            return;
        }
        let mut backlog = self.backlog.borrow_mut();
        if backlog.is_empty() {
            match write_some(&self.stream, &mut frame) {
                Ok(()) if frame.is_empty() => return,
                Ok(()) => {
                    task::spawn_local(flush(Rc::clone(self)));
                }
                Err(_) => return self.gone.set(true),
            }
        }
        backlog.push_back(frame);
        if backlog.len() > BACKLOG_FRAMES_MAX {
            drop(backlog);
            self.end();
        }
    }
}

async fn flush(member: Rc<Member>) {
    while !member.is_gone() {
        if member.stream.writable().await.is_err() {
            return member.end();
        }
        let mut backlog = member.backlog.borrow_mut();
        while let Some(frame) = backlog.front_mut() {
            if write_some(&member.stream, frame).is_err() {
                drop(backlog);
                return member.end();
            }
            if !frame.is_empty() {
                break;
            }
            backlog.pop_front();
        }
        if backlog.is_empty() {
            *backlog = VecDeque::new();
            return;
        }
    }
}

/// Writes what the socket takes and leaves the rest in `frame`.
fn write_some(stream: &TcpStream, frame: &mut Bytes) -> io::Result<()> {
    match stream.try_write(frame) {
        Ok(written) => frame.advance(written),
        Err(error) if error.kind() == ErrorKind::WouldBlock => {}
        Err(error) => return Err(error),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;
    use tokio::net::TcpListener;
    use tokio::task::LocalSet;

    use super::*;

    #[tokio::test]
    async fn what_a_full_socket_would_not_take_follows_in_order() {
        LocalSet::new()
            .run_until(async {
                let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
                let address = listener.local_addr().expect("bound");
                let mut reader = TcpStream::connect(address).await.expect("listening");
                let member = Rc::new(Member::new(listener.accept().await.expect("a client").0));
                let frames = 400_u32;
                for number in 0..frames {
                    member.deliver(Bytes::from(number.to_be_bytes().repeat(16_384)));
                }
                assert!(!member.backlog.borrow().is_empty(), "26 MB fitted into the socket");
                let mut part = vec![0; 4 * 16_384];
                for number in 0..frames {
                    reader.read_exact(&mut part).await.expect("whole");
                    assert_eq!(part, number.to_be_bytes().repeat(16_384));
                }
                assert!(member.backlog.borrow().is_empty());
            })
            .await;
    }

    #[tokio::test]
    async fn a_member_who_reads_nothing_is_dropped_at_the_bound() {
        LocalSet::new()
            .run_until(async {
                let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
                let address = listener.local_addr().expect("bound");
                let _silent = TcpStream::connect(address).await.expect("listening");
                let member = Rc::new(Member::new(listener.accept().await.expect("a client").0));
                let frame = Bytes::from(vec![0; 64 * 1024]);
                while !member.is_gone() {
                    member.deliver(frame.clone());
                    assert!(member.backlog.borrow().len() <= BACKLOG_FRAMES_MAX);
                }
                assert!(member.backlog.borrow().is_empty());
            })
            .await;
    }
}
