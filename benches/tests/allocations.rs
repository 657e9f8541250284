//! Holds the budget of memory allocations on the way from an accepted message to its members' sockets.
//!
//! Rooms of two sizes are sent the same messages, by real actors over a store in memory, into real sockets of the
//! node's edge. What both sizes cost alike is the price of a message; what the larger one costs beyond is the price of
//! a delivery. A process of its own, because it counts what everything in it allocates.

#[path = "../../actors/tests/support/mod.rs"]
mod support;

use std::{
    io::Read,
    net::TcpStream as Client,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use futures_util::future::join_all;
use hubbub::{edge::socket::Socket, metrics::EdgeMeters};
use hubbub_actors::{Caller, Connection};
use hubbub_protocol::{
    error::CloseCode,
    frame::{Format, Frame},
    ids::{RoomId, Seq},
    op::{Intents, Mode, Op},
};
use socket2::SockRef;
use support::World;
use tokio::net::TcpListener;

#[global_allocator]
static ALLOCATOR: dhat::Alloc = dhat::Alloc;

/// Members of the two rooms.
const FEW: usize = 20;
const MANY: usize = 120;
/// Messages of a measurement: over 100 members apart, they are 9,600 deliveries.
const MESSAGES: usize = 96;
/// Messages that are sent at the same time where that is what is measured: they share a commit, and so a write.
const TOGETHER: usize = 8;
/// Messages before anything is measured: the relay keeps the last 256 of a room, so its ring grows no more then.
const WARM_UP: usize = 264;

/// Messages while everyone is behind: with what is in their way, as many as places stay with a connection that has
/// caught up.
const BEHIND: usize = 48;
/// Rounds of them.
const ROUNDS: usize = 3;
/// What is in everyone's way then, in bytes: more than both ends' buffers together, and what a client had already said
/// that it would take.
const IN_THE_WAY: usize = 512 * 1024;
/// The buffers of a socket then, doubled by the kernel.
const BUFFER: usize = 16 * 1024;

/// Allocations for a delivery: none. What the timers of a whole node allocate meanwhile is noise of less than one in
/// a hundred deliveries.
const PER_DELIVERY_MAX: f64 = 0.01;
/// Allocations for a message, whoever receives it, with a store in memory: 50 were measured where everyone speaks JSON,
/// and 82 where somebody speaks MessagePack too. The rest is for what is built later.
const PER_MESSAGE_MAX: f64 = 110.0;

const TEXT: &str = "so it goes, one line after the other, as people talk when they have time: \
     about this and that, and sometimes about rooms";

/// A member's socket, and how many answers and events all members were handed.
#[derive(Debug)]
struct Counting {
    socket: Arc<Socket>,
    answered: Arc<AtomicU64>,
    handed: Arc<AtomicU64>,
}

impl Connection for Counting {
    fn reply(&self, frame: Frame) {
        self.socket.answer(&frame);
        self.answered.fetch_add(1, Ordering::Relaxed);
    }
    fn control(&self, frame: Frame) {
        self.socket.control(frame);
    }
    fn event(&self, room: RoomId, seq: Seq, frame: &Arc<Frame>) {
        self.socket.event(room, seq, frame);
        self.handed.fetch_add(1, Ordering::Relaxed);
    }
    fn events(&self, room: RoomId, events: &[(Seq, Arc<Frame>)]) {
        self.socket.events(room, events);
        self.handed.fetch_add(events.len() as u64, Ordering::Relaxed);
    }
    fn ephemeral(&self, frame: &Arc<Frame>) {
        self.socket.ephemeral(frame);
    }
    fn close(&self, code: CloseCode) {
        self.socket.close(code);
    }
}

/// Clients that read what they are sent and throw it away, on a thread that allocates nothing.
struct Readers {
    stop: Arc<AtomicBool>,
    pause: Arc<AtomicBool>,
    thread: Option<thread::JoinHandle<u64>>,
}

impl Readers {
    #[expect(clippy::disallowed_methods, reason = "it has a thread of its own")]
    fn start(mut clients: Vec<Client>) -> Self {
        let (stop, pause) = (Arc::<AtomicBool>::default(), Arc::<AtomicBool>::default());
        let (ended, paused) = (Arc::clone(&stop), Arc::clone(&pause));
        let read_all = move || {
            let (mut bytes, mut buffer) = (0, [0; 64 * 1024]);
            while !ended.load(Ordering::Relaxed) {
                let reading: &mut [Client] = if paused.load(Ordering::Relaxed) { &mut [] } else { &mut clients };
                for client in reading {
                    bytes += client.read(&mut buffer).unwrap_or(0) as u64;
                }
                thread::sleep(Duration::from_millis(1));
            }
            bytes
        };
        Self { stop, pause, thread: Some(thread::spawn(read_all)) }
    }

    /// Bytes that all of them read.
    fn end(mut self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().and_then(|thread| thread.join().ok()).expect("the readers did not panic")
    }
}

/// Writes what a socket did not take at once, as the task of its connection does.
async fn write_on(socket: Arc<Socket>) {
    loop {
        socket.woken().await;
        while socket.backlog().has_more {
            socket.stream().writable().await.expect("open");
            socket.flush().expect("open");
        }
    }
}

/// A room that many follow.
struct Audience {
    room: RoomId,
    sockets: Vec<Arc<Socket>>,
    handed: Arc<AtomicU64>,
    /// The clients' ends once more, for their options.
    ends: Vec<Client>,
    readers: Readers,
}

impl Audience {
    async fn gather(world: &World, room: RoomId, members: &[Caller]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let (answered, handed) = (Arc::<AtomicU64>::default(), Arc::<AtomicU64>::default());
        let (mut sockets, mut clients, mut ends) = (Vec::new(), Vec::new(), Vec::new());
        for (number, member) in members.iter().enumerate() {
            let client = Client::connect(address).expect("listening");
            client.set_nonblocking(true).expect("a socket");
            ends.push(client.try_clone().expect("a socket"));
            clients.push(client);
            let (stream, _) = listener.accept().await.expect("a client");
            let format = if number % 2 == 0 { Format::Json } else { Format::MessagePack };
            let socket = Socket::new(stream.into(), format, EdgeMeters::new(world.hub.meters().clone()));
            tokio::spawn(write_on(Arc::clone(&socket)));
            let connection: Arc<dyn Connection> = Arc::new(Counting {
                socket: Arc::clone(&socket),
                answered: Arc::clone(&answered),
                handed: Arc::clone(&handed),
            });
            let begun = world.hub.sessions().identify(connection, 1, *member, "test".into(), Intents::ALL).await;
            begun.expect("a session").request(2, Op::Subscribe { room, after: None, mode: Mode::Live });
            sockets.push(socket);
        }
        let answers = 2 * members.len() as u64;
        world.until("everyone follows", || answered.load(Ordering::Relaxed) == answers).await;
        Self { room, sockets, handed, ends, readers: Readers::start(clients) }
    }

    /// Sends `messages`, `together` at a time, and waits until everyone has them.
    async fn send(&self, world: &World, by: Caller, messages: usize, together: usize) {
        let before = self.handed.load(Ordering::Relaxed);
        for _ in 0..messages / together {
            join_all((0..together).map(|_| world.say(by, self.room, TEXT))).await;
        }
        let all = before + (messages / together * together * self.sockets.len()) as u64;
        world.until("everyone has all", || self.handed.load(Ordering::Relaxed) >= all).await;
    }

    /// Lets sockets hold so little that everyone can be behind.
    fn narrow(&self) {
        for (socket, end) in self.sockets.iter().zip(&self.ends) {
            socket.stream().options().set_send_buffer_size(BUFFER).expect("a socket");
            SockRef::from(end).set_recv_buffer_size(BUFFER).expect("a socket");
        }
    }

    /// Sends messages while nobody reads, so that all of them wait, and lets everyone catch up; gives the blocks
    /// allocated for each message.
    async fn allocated_behind(&self, world: &World, by: Caller, in_the_way: &Frame) -> f64 {
        let mut blocks = 0;
        for _ in 0..ROUNDS {
            self.readers.pause.store(true, Ordering::Relaxed);
            self.sockets.iter().for_each(|socket| socket.answer(in_the_way));
            let before = dhat::HeapStats::get().total_blocks;
            self.send(world, by, BEHIND, TOGETHER).await;
            assert!(self.sockets.iter().all(|socket| socket.backlog().has_more), "somebody is not behind");
            self.readers.pause.store(false, Ordering::Relaxed);
            let behind = || self.sockets.iter().any(|socket| socket.backlog().has_more);
            world.until("everyone has caught up", || !behind()).await;
            blocks += dhat::HeapStats::get().total_blocks - before;
        }
        blocks as f64 / (ROUNDS * BEHIND) as f64
    }

    /// Blocks allocated for each message.
    async fn allocated(&self, world: &World, by: Caller, together: usize) -> f64 {
        let before = dhat::HeapStats::get().total_blocks;
        self.send(world, by, MESSAGES, together).await;
        (dhat::HeapStats::get().total_blocks - before) as f64 / MESSAGES as f64
    }
}

/// Holds what was allocated for a message to few and to many against the budget.
#[expect(clippy::print_stdout, reason = "the figures are shown by --no-capture")]
fn judge(what: &str, of_few: f64, of_many: f64) {
    let per_delivery = (of_many - of_few) / (MANY - FEW) as f64;
    println!("{what}: {of_few:.1} and {of_many:.1} a message, {per_delivery:.3} a delivery");
    assert!(per_delivery <= PER_DELIVERY_MAX, "{what}: {per_delivery:.3} allocations for each delivery");
    assert!(of_few <= PER_MESSAGE_MAX, "{what}: {of_few:.1} allocations for each message to {FEW}");
}

#[tokio::test]
async fn delivering_a_message_allocates_nothing_for_a_recipient() {
    let _profiler = dhat::Profiler::builder().testing().build();
    let world = World::new().await;
    let owner = world.user("owner").await;
    let mut members = Vec::new();
    for number in 0..MANY {
        members.push(world.user(&format!("member{number}")).await);
    }
    let (community, small) = world.community(owner, &members).await;
    let large = world.public_room(owner, community, "large").await;
    let few = Audience::gather(&world, small, &members[..FEW]).await;
    let many = Audience::gather(&world, large, &members).await;
    // Sessions and users that come to rest later would be counted with the messages.
    let context = world.hub.context();
    while context.sessions.awake() + context.users.awake() > 0 {
        context.sessions.rest_quiet(context);
        context.users.rest_quiet();
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    for audience in [&few, &many] {
        audience.send(&world, owner, WARM_UP, TOGETHER).await;
    }
    for together in [1, TOGETHER] {
        let (of_few, of_many) =
            (few.allocated(&world, owner, together).await, many.allocated(&world, owner, together).await);
        judge(&format!("{together} at a time"), of_few, of_many);
    }
    let in_the_way = Frame::new(format!("\"{}\"", "x".repeat(IN_THE_WAY)).as_bytes());
    for audience in [&few, &many] {
        audience.narrow();
        // The places for what waits are made now.
        audience.allocated_behind(&world, owner, &in_the_way).await;
    }
    let of_few = few.allocated_behind(&world, owner, &in_the_way).await;
    let of_many = many.allocated_behind(&world, owner, &in_the_way).await;
    judge("to people who are behind", of_few, of_many);
    for audience in [few, many] {
        assert!(audience.sockets.iter().all(|socket| !socket.backlog().has_more), "a socket was full");
        let handed = audience.handed.load(Ordering::Relaxed);
        assert!(
            audience.readers.end() > handed * TEXT.len() as u64 * 9 / 10,
            "the clients read what they were sent"
        );
    }
}
