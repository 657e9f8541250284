//! What an operator sees of single actors, and that each tells the truth about itself.

mod support;

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use hubbub_actors::{
    Connection,
    hot::{HotReport, Measure},
    observe::Observed,
    room::RoomStatus,
    session::SessionStatus,
    user::{UserMessage, UserStatus},
};
use hubbub_protocol::{
    error::CloseCode,
    frame::Frame,
    ids::{NodeId, RoomId, Seq},
    op::{Intents, Mode, Op},
    push::{Push, Status},
};
use support::World;

#[tokio::test]
async fn a_room_tells_its_head_and_its_relay_who_follows() {
    let world = World::new().await;
    let (ada, bob) = (world.user("ada").await, world.user("bob").await);
    let (_, room) = world.community(ada, &[bob]).await;
    let before = world.hub.observe_room(room).await;
    assert_eq!((before.room, before.relay), (Observed::NotHere, Observed::NotHere), "nobody has used it yet");

    let client = world.connect(bob).await;
    client.follow(2, room).await;
    let seq = world.say(ada, room, "hello").await;
    client.until("told", |frame| frame["ev"] == "room").await;
    let observed = world.hub.observe_room(room).await;
    assert_eq!(observed.room, Observed::Here(RoomStatus { head: seq, in_flight: 0, held: 0 }));
    let Observed::Here(relay) = observed.relay else { panic!("{observed:?}") };
    assert_eq!((relay.head, relay.live, relay.unread), (seq, 1, 0));
    let other = world.hub.observe_room(RoomId::from_raw(1)).await;
    assert_eq!((other.room, other.relay), (Observed::NotHere, Observed::NotHere));
}

#[tokio::test]
async fn a_room_tells_what_waits_for_the_disk() {
    let world = World::new().await;
    let ada = world.user("ada").await;
    let (_, room) = world.community(ada, &[]).await;
    let head = world.say(ada, room, "on disk").await;
    world.store.faults().hold_appends();
    tokio::join!(world.say(ada, room, "waits"), async {
        world.store.faults().until_held(1).await;
        let waiting = world.hub.observe_room(room).await.room;
        world.store.faults().release_appends();
        assert_eq!(waiting, Observed::Here(RoomStatus { head, in_flight: 1, held: 0 }));
    });
    let stored = world.hub.observe_room(room).await.room;
    assert_eq!(stored, Observed::Here(RoomStatus { head: Seq(head.0 + 1), in_flight: 0, held: 0 }));
}

#[tokio::test]
async fn a_user_and_each_session_tell_how_they_stand() {
    let world = World::new().await;
    let (ada, bob) = (world.user("ada").await, world.user("bob").await);
    let (_, room) = world.community(ada, &[bob]).await;
    let nobody = world.hub.observe_user(bob.user).await;
    assert_eq!((nobody.user, nobody.sessions), (Observed::NotHere, vec![]));

    let client = world.connect(bob).await;
    client.follow(2, room).await;
    client.settle(3).await;
    let observed = world.hub.observe_user(bob.user).await;
    let here = UserStatus { status: Status::Online, devices: 1, watchers: 0, away: false };
    assert_eq!(observed.user, Observed::Here(here));
    let connected = SessionStatus { device: bob.sid, connected: true, rooms: 1, watched: 0, connections: 1 };
    assert_eq!(observed.sessions, [Observed::Here(connected)]);

    client.disconnect();
    let observed = world.hub.observe_user(bob.user).await;
    assert_eq!(observed.sessions, [Observed::Here(SessionStatus { connected: false, ..connected })]);
    let observed = world.hub.observe_user(bob.user).await;
    assert_eq!(observed.user, Observed::Here(UserStatus { devices: 0, away: true, ..here }));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_supervisor_of_a_shard_tells_which_rooms_fail() {
    let world = World::new().await;
    let ada = world.user("ada").await;
    let (_, room) = world.community(ada, &[]).await;
    let well = world.hub.observe_supervisors().await;
    assert_eq!(well.shards.len(), 16);
    assert!(matches!(well.people, Observed::Here(people) if people.failed == 0), "{:?}", well.people);
    let failing = |supervisors: hubbub_actors::observe::SupervisorsObserved| {
        let of = |(shard, observed)| match observed {
            Observed::Here(hubbub_actors::shard::ShardStatus { failing }) => (shard, failing),
            other => panic!("{shard:?}: {other:?}"),
        };
        let all = supervisors.shards.into_iter().map(of);
        all.filter(|(_, failing)| !failing.is_empty()).collect::<Vec<_>>()
    };
    assert_eq!(failing(well), []);

    world.hub.rooms().archive(room, |_| panic!("an archive that cannot be built")).await.expect_err("it panicked");
    world.until("the failure is seen", || world.hub.observe().actors_failed == 1).await;
    let shard = world.hub.context().shard_of(room);
    assert_eq!(failing(world.hub.observe_supervisors().await), [(shard, vec![(room, 1)])]);
    world.advance(61_000);
    assert_eq!(failing(world.hub.observe_supervisors().await), [], "a minute later it is forgotten");
    world.say(ada, room, "and all goes on").await;
}

/// On one thread, so that both messages are queued before the actor sees the first.
#[tokio::test]
async fn a_device_that_comes_as_the_last_watcher_goes_is_served() {
    let world = World::new().await;
    let eve = world.user("eve").await;
    let (context, watcher, device) = (world.hub.context(), world.recorder(), world.recorder());
    let (answer, wait) = hubbub_actors::answer::Answer::awaited();
    context.users.send(context, eve.user, UserMessage::Watch { session: 1, connection: watcher, answer });
    wait.await.expect("answered").expect("a presence");

    context.users.send(context, eve.user, UserMessage::Unwatch { session: 1 });
    let attach = UserMessage::Attach { session: 2, connection: device.clone(), intents: Intents::ALL };
    context.users.send(context, eve.user, attach);
    let observed = world.hub.observe_user(eve.user).await.user;
    assert!(matches!(observed, Observed::Here(user) if user.devices == 1), "{observed:?}");
    world.hub.push(eve.user, &Push::Read { room: RoomId::from_raw(9), seq: Seq(1) });
    device.until("told", |frame| frame["ev"] == "read").await;
}

#[tokio::test]
async fn a_room_with_many_followers_is_told_as_a_hot_one() {
    let world = World::new().await;
    let (ada, bob) = (world.user("ada").await, world.user("bob").await);
    let (community, general) = world.community(ada, &[bob]).await;
    let quiet = world.public_room(ada, community, "quiet").await;
    let clients = [world.connect(ada).await, world.connect(bob).await, world.connect(bob).await];
    for client in &clients {
        client.follow(2, general).await;
    }
    for _ in 0..5 {
        world.say(ada, general, "hello").await;
        world.say(ada, quiet, "hello").await;
    }
    let told = async |by| {
        let told = world.hub.hot_rooms(by).await;
        let [(NodeId(1), Some(report))] = &told[..] else { panic!("{told:?}") };
        report.clone()
    };
    // What came within a second of the first is told when that is over.
    let deadline = Instant::now() + Duration::from_secs(10);
    let complete = |report: &HotReport| {
        let of = |room| report.rooms.iter().find(|counted| counted.room == room).map(|counted| counted.cost);
        of(general).zip(of(quiet)).is_some_and(|(general, quiet)| general.deliveries == 15 && quiet.events >= 5)
    };
    while !complete(&told(Measure::Cpu).await) {
        assert!(Instant::now() < deadline, "{:?}", told(Measure::Cpu).await);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    for by in Measure::ALL {
        let report = told(by).await;
        // Of so few messages the time is up to what else the machine does.
        assert!(by == Measure::Cpu || report.rooms[0].room == general, "{by:?}: {:?}", report.rooms);
        assert!(report.total.by(by) >= report.rooms[0].cost.by(by));
    }
    let cost = told(Measure::Deliveries).await.rooms[0].cost;
    assert!(cost.cpu_ns > 0 && cost.bytes > 15 * 100, "{cost:?}");
    let with_deliveries = told(Measure::Deliveries).await.rooms;
    assert!(with_deliveries.iter().all(|counted| counted.room != quiet), "nobody follows it");
}

/// A connection to whom each write takes its time.
#[derive(Debug, Default)]
struct Slow {
    answers: AtomicUsize,
    events: AtomicUsize,
}

/// How long it takes.
const WRITE: Duration = Duration::from_millis(4);

impl Connection for Slow {
    fn reply(&self, _: Frame) {
        self.answers.fetch_add(1, Ordering::Relaxed);
    }
    fn control(&self, _: Frame) {}
    fn event(&self, _: RoomId, _: Seq, _: &Arc<Frame>) {
        let begun = Instant::now();
        while begun.elapsed() < WRITE {
            std::hint::spin_loop();
        }
        self.events.fetch_add(1, Ordering::Relaxed);
    }
    fn ephemeral(&self, _: &Arc<Frame>) {}
    fn close(&self, _: CloseCode) {}
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_writing_to_followers_takes_is_measured_as_their_rooms() {
    let world = World::new().await;
    let (ada, bob) = (world.user("ada").await, world.user("bob").await);
    let (community, general) = world.community(ada, &[bob]).await;
    let quiet = world.public_room(ada, community, "quiet").await;
    let slow = Arc::<Slow>::default();
    let session = world.hub.sessions().identify(slow.clone(), 1, bob, "test".into(), Intents::ALL).await;
    session.expect("a session").request(2, Op::Subscribe { room: general, after: None, mode: Mode::Live });
    world.until("bob follows", || slow.answers.load(Ordering::Relaxed) == 2).await;
    for _ in 0..5 {
        world.say(ada, general, "hello").await;
        world.say(ada, quiet, "hello").await;
    }
    world.until("bob has all", || slow.events.load(Ordering::Relaxed) == 5).await;
    let wanted = u64::try_from((WRITE * 5).as_nanos()).expect("it fits");
    // What came within a second of the first is told when that is over.
    let measured = async {
        loop {
            let told = world.hub.hot_rooms(Measure::Cpu).await;
            let rooms = told.into_iter().filter_map(|(_, told)| told).flat_map(|told| told.rooms);
            if rooms.into_iter().any(|counted| counted.room == general && counted.cost.cpu_ns >= wanted) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), measured).await.expect("so much was measured");
}
