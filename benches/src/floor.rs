//! The floor: what a broadcast costs when it is nothing but a broadcast.
//!
//! One thread, no accounts, nothing stored, no history. A client joins rooms by number; a text is made into one frame
//! and that frame, shared, is written straight into the socket of each member, the sender's included. Whatever a chat
//! server costs above this, it costs for what it promises.
//!
//! # Invariants
//! - Members of a room are given its messages in the order of their `seq`, each exactly once.
//! - A delivered frame has the shape and, within some bytes, the size of Hubbub's `message.created` push
//!   (`floor/wire.rs`), so both servers do the same wire work for a delivery.
//!
//! # Failure
//! A member whose socket takes nothing for [`BACKLOG_FRAMES_MAX`] frames is dropped; no client is told why.

mod member;
pub(crate) mod wire;

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::rc::Rc;

use anyhow::{Context, Result};
use tokio::net::{TcpListener, TcpStream};
use tokio::task;

use self::member::Member;
use self::wire::Request;
use crate::report;
use crate::scratch;
use crate::ws::{self, Inbox, handshake};

/// Frames one member may be behind: 30 s of the fastest case (100 messages/s in one room) with a factor of 10.
const BACKLOG_FRAMES_MAX: usize = 30_000;

#[derive(Debug, Default)]
struct Room {
    head: u64,
    members: Vec<Rc<Member>>,
}

/// Rooms come into being when someone joins them and stay: a benchmark makes some thousands.
#[derive(Debug, Default)]
struct Rooms(RefCell<HashMap<u32, Room>>);

impl Rooms {
    fn join(&self, room: u32, member: &Rc<Member>) {
        let mut rooms = self.0.borrow_mut();
        let room = rooms.entry(room).or_default();
        room.members.push(Rc::clone(member));
        member.deliver(ws::server_text(wire::joined(room.head).as_bytes()));
    }

    fn send(&self, number: u32, key: &str, text: &str) {
        let mut rooms = self.0.borrow_mut();
        let Some(room) = rooms.get_mut(&number) else {
            return;
        };
        room.head += 1;
        let frame = ws::server_text(wire::message(number, room.head, key, text).as_bytes());
        for member in &room.members {
            member.deliver(frame.clone());
        }
    }

    fn leave_all(&self, member: &Rc<Member>) {
        for room in self.0.borrow_mut().values_mut() {
            room.members.retain(|other| !Rc::ptr_eq(other, member));
        }
    }
}

/// Serves on `listen` until the process is told to end. Must run inside a `LocalSet`.
pub(crate) async fn serve(listen: SocketAddr) -> Result<()> {
    let listener = TcpListener::bind(listen).await.with_context(|| format!("cannot listen on {listen}"))?;
    report::note(&format!("listening on http://{}", listener.local_addr()?));
    let rooms = Rc::new(Rooms::default());
    loop {
        let (stream, _) = listener.accept().await.context("accepting a connection")?;
        let rooms = Rc::clone(&rooms);
        task::spawn_local(async move {
            // A client that breaks off is none of the floor's business: its ledger notices.
            let _ = serve_client(stream, &rooms).await;
        });
    }
}

async fn serve_client(mut stream: TcpStream, rooms: &Rooms) -> Result<()> {
    stream.set_nodelay(true)?;
    let mut early = handshake::answer(&mut stream, None).await?;
    let member = Rc::new(Member::new(stream));
    let mut inbox = Inbox::default();
    let mut heard = inbox.drain(&mut early, |opcode, payload| {
        obey(opcode, payload, &member, rooms);
    });
    drop(early);
    while heard.is_ok() && !member.is_gone() {
        member.stream().readable().await?;
        heard = match scratch::read(member.stream(), |fresh| {
            inbox.drain(fresh, |opcode, payload| obey(opcode, payload, &member, rooms))
        }) {
            Ok(Some(outcome)) => outcome,
            Ok(None) => Ok(()),
            Err(_) => break,
        };
    }
    member.end();
    rooms.leave_all(&member);
    Ok(())
}

fn obey(opcode: u8, payload: &[u8], member: &Rc<Member>, rooms: &Rooms) {
    match (opcode, wire::request(payload)) {
        (ws::TEXT, Some(Request::Join { room })) => rooms.join(room, member),
        (ws::TEXT, Some(Request::Send { room, key, text })) => rooms.send(room, key, text),
        (ws::CLOSE, _) => member.end(),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;
    use tokio::task::LocalSet;

    use super::*;
    use crate::ws::client_frame;

    async fn hear(stream: &mut TcpStream, inbox: &mut Inbox) -> String {
        loop {
            if let Some((_, text)) = inbox.next().expect("well formed") {
                return String::from_utf8(text.to_vec()).expect("UTF-8");
            }
            stream.readable().await.expect("readable");
            scratch::read(stream, |fresh| inbox.absorb(fresh)).expect("still open");
        }
    }

    #[tokio::test]
    async fn a_text_reaches_every_member_of_its_room_and_nobody_else() {
        LocalSet::new()
            .run_until(async {
                let probe = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
                let address = probe.local_addr().expect("bound");
                drop(probe);
                task::spawn_local(serve(address));
                let mut clients = Vec::new();
                for room in [1, 1, 2] {
                    let mut stream = loop {
                        match TcpStream::connect(address).await {
                            Ok(stream) => break stream,
                            Err(_) => task::yield_now().await,
                        }
                    };
                    handshake::ask(&mut stream, address, "/", None).await.expect("upgraded");
                    let mut inbox = Inbox::default();
                    let join = client_frame(ws::TEXT, wire::join(room).as_bytes(), [7; 4]);
                    stream.write_all(&join).await.expect("written");
                    assert!(hear(&mut stream, &mut inbox).await.contains("\"re\":0"));
                    clients.push((stream, inbox));
                }
                for (client, text) in [(2, "for room 2"), (0, "one"), (0, "two")] {
                    let room = if client == 2 { 2 } else { 1 };
                    let send = wire::send(&wire::room_name(room), "k", text);
                    let frame = client_frame(ws::TEXT, send.as_bytes(), [5; 4]);
                    clients[client].0.write_all(&frame).await.expect("written");
                }
                for (client, texts) in [(0, vec!["one", "two"]), (1, vec!["one", "two"]), (2, vec!["for room 2"])] {
                    let (stream, inbox) = &mut clients[client];
                    for (index, text) in texts.iter().enumerate() {
                        let push = hear(stream, inbox).await;
                        assert!(push.contains(&format!("\"seq\":{},", index + 1)), "{push}");
                        assert!(push.contains(&format!("\"text\":\"{text}\"")), "{push}");
                    }
                }
            })
            .await;
    }
}
