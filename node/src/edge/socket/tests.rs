//! Runs of events over a real socket: whole, and in parts.

use hubbub_protocol::push::Push;
use tokio::{
    io::AsyncReadExt,
    net::{TcpListener, TcpStream},
};

use super::*;

const ROOM: RoomId = RoomId::from_raw(7);

async fn pair() -> (Arc<Socket>, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound");
    let reader = TcpStream::connect(address).await.expect("listening");
    let stream = listener.accept().await.expect("a client").0;
    let meters = EdgeMeters::new(Arc::new(hubbub_actors::meter::Meters::new(true)));
    (Socket::new(stream.into(), Format::Json, meters), reader)
}

fn run(seqs: std::ops::Range<u64>) -> Vec<(Seq, Arc<Frame>)> {
    let frame = |seq| {
        // Long enough that the socket takes a run in parts, short enough for the outbox.
        let users = vec![hubbub_protocol::ids::UserId::from_raw(seq); 200];
        Arc::new(Frame::of(&Push::Typing { room: ROOM, users, more: seq }))
    };
    seqs.map(|seq| (Seq(seq), frame(seq))).collect()
}

fn wire(events: &[(Seq, Arc<Frame>)]) -> Vec<u8> {
    events.iter().flat_map(|(_, frame)| frame.wire(Format::Json).to_vec()).collect()
}

#[tokio::test]
async fn a_run_of_events_longer_than_one_write_arrives_whole_and_in_order() {
    let (socket, mut reader) = pair().await;
    let events = run(0..150);
    socket.events(ROOM, &events);
    assert!(!socket.backlog().has_more, "the socket takes it all");
    let mut read = vec![0; wire(&events).len()];
    reader.read_exact(&mut read).await.expect("whole");
    assert!(read == wire(&events), "another order or other bytes");
}

#[tokio::test]
async fn what_a_full_socket_left_of_a_run_follows_once_it_has_room() {
    let (socket, mut reader) = pair().await;
    socket.stream().options().set_send_buffer_size(8 * 1024).expect("a smaller buffer");
    let mut sent = Vec::new();
    let mut next = 0;
    while !socket.backlog().has_more {
        let events = run(next..next + 20);
        socket.events(ROOM, &events);
        sent.extend(wire(&events));
        next += 20;
        assert!(sent.len() < 64 * 1024 * 1024, "the socket takes everything");
    }
    let events = run(next..next + 3);
    socket.events(ROOM, &events);
    sent.extend(wire(&events));
    let mut read = vec![0; sent.len()];
    let flushing = async {
        while socket.backlog().has_more {
            socket.stream().writable().await.expect("open");
            socket.flush().expect("open");
        }
    };
    let (whole, ()) = tokio::join!(reader.read_exact(&mut read), flushing);
    whole.expect("whole");
    assert!(read == sent, "another order or other bytes");
}
