//! A session that asks for nothing, and a user to whom nothing happens, keep their state and not their actor, and
//! nobody notices.

mod support;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use hubbub_actors::{
    HubConfig,
    observe::Observed,
    session::SessionStatus,
    user::{UserMessage, UserStatus},
};
use hubbub_protocol::{
    error::CloseCode,
    ids::{MessageKey, RoomId, Seq, UserId},
    op::{Op, Watched},
    push::{Push, Status},
};
use support::{Client, World};

/// Lets so many rounds pass that every session without a message rests.
async fn until_all_rest(world: &World) {
    let context = world.hub.context();
    for _ in 0..6 {
        context.sessions.rest_quiet(context);
    }
    world.until("all sessions rest", || context.sessions.awake() == 0).await;
}

async fn ada_and_bob(world: &World) -> (Client, Client, RoomId, hubbub_actors::caller::Caller) {
    let (ada, bob) = (world.user("ada").await, world.user("bob").await);
    let (_, room) = world.community(ada, &[bob]).await;
    let (of_ada, of_bob) = (world.connect(ada).await, world.connect(bob).await);
    of_ada.follow(2, room).await;
    of_bob.follow(2, room).await;
    (of_ada, of_bob, room, bob)
}

fn send(room: RoomId, text: &str) -> Op {
    let key = MessageKey(uuid::Uuid::now_v7());
    Op::Send { room, key, text: text.into(), reply_to: None, files: vec![], retry: false }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_resting_session_is_sent_events_and_wakes_for_a_request() {
    let world = World::new().await;
    let (of_ada, of_bob, room, bob) = ada_and_bob(&world).await;
    until_all_rest(&world).await;
    let connected = SessionStatus { device: bob.sid, connected: true, rooms: 1, watched: 0, connections: 1 };
    assert_eq!(world.hub.observe_user(bob.user).await.sessions, [Observed::Here(connected)]);
    assert_eq!(world.hub.observe().sessions, 2, "they are still here");

    of_ada.ask(3, send(room, "is anybody there?")).await;
    of_bob.until("told", |frame| frame["data"]["text"] == "is anybody there?").await;
    assert_eq!(world.hub.context().sessions.awake(), 1, "bob was told without an actor");
    of_bob.ask(3, send(room, "yes")).await;
    of_ada.until("answered", |frame| frame["data"]["text"] == "yes").await;
    assert_eq!(world.hub.context().sessions.awake(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_resting_session_is_kicked_signed_out_and_resumed_like_any_other() {
    let world = World::new().await;
    let (of_ada, of_bob, room, bob) = ada_and_bob(&world).await;
    until_all_rest(&world).await;
    of_bob.disconnect();
    of_ada.ask(3, send(room, "missed")).await;
    let (token, _) = of_bob.session();
    let back = world.recorder();
    let cursors = vec![(room, hubbub_protocol::ids::Seq(0))];
    let resumed = world.hub.sessions().resume(back.clone(), 1, bob, &token, cursors).await;
    resumed.expect("its state is in memory");
    back.until("what was missed", |frame| frame["data"]["text"] == "missed").await;

    until_all_rest(&world).await;
    world.hub.sessions().sign_out(bob.sid);
    world.until("its connection is closed", || back.closed() == Some(CloseCode::SignedOut)).await;
    world.until("it is over", || world.hub.observe().sessions == 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_put_to_rest_all_the_time_answers_each_request_in_order() {
    let world = World::new().await;
    let (of_ada, of_bob, room, _) = ada_and_bob(&world).await;
    let context = world.hub.context().clone();
    let restless = tokio::spawn(async move {
        loop {
            for _ in 0..6 {
                context.sessions.rest_quiet(&context);
            }
            tokio::time::sleep(Duration::from_micros(200)).await;
        }
    });
    let count = 300_u32;
    for id in 10..10 + count {
        of_ada.request(id, send(room, &format!("message {id}")));
        let busy = Op::Presence { status: Status::Dnd, text: None, emoji: None };
        of_bob.request(id, busy);
        if id % 7 == 0 {
            tokio::time::sleep(Duration::from_micros(300)).await;
        }
    }
    let last = format!("message {}", 10 + count - 1);
    of_bob.until("the last message", |frame| frame["data"]["text"] == last.as_str()).await;
    of_bob.until("the last answer", |frame| frame["re"] == 10 + count - 1).await;
    restless.abort();
    let sent: Vec<String> = (10..10 + count).map(|id| format!("message {id}")).collect();
    let seen: Vec<_> = of_bob.events_of(room).into_iter().filter(|text| text.starts_with("message ")).collect();
    assert_eq!(seen, sent);
    for client in [&of_ada, &of_bob] {
        let answers: Vec<u64> = client.frames().iter().filter_map(|frame| frame["re"].as_u64()).collect();
        let answers: Vec<u64> = answers.into_iter().filter(|re| *re >= 10).collect();
        assert_eq!(answers, (10..u64::from(10 + count)).collect::<Vec<_>>());
    }
    assert_eq!(world.hub.observe().actors_failed, 0);
}

/// Lets so many rounds pass that every user to whom nothing is sent rests.
async fn until_users_rest(world: &World) {
    let users = &world.hub.context().users;
    (0..6).for_each(|_| users.rest_quiet());
    world.until("all users rest", || users.awake() == 0).await;
}

fn read(room: RoomId, seq: u64) -> Push {
    Push::Read { room, seq: Seq(seq) }
}

/// The seqs up to which somebody was told to have read, in order.
fn reads(frames: &[serde_json::Value]) -> Vec<u64> {
    frames.iter().filter(|frame| frame["ev"] == "read").filter_map(|frame| frame["seq"].as_u64()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_resting_user_is_pushed_to_and_seen_and_wakes_for_news() {
    let config = HubConfig { offline_after: Duration::from_millis(50), ..HubConfig::default() };
    let world = World::with(config).await;
    let (of_ada, of_bob, room, bob) = ada_and_bob(&world).await;
    of_ada.ask(3, Op::Watch(Watched::Users(vec![bob.user]))).await;
    until_users_rest(&world).await;
    let status = UserStatus { status: Status::Online, devices: 1, watchers: 1, away: false };
    assert_eq!(world.hub.observe_user(bob.user).await.user, Observed::Here(status));

    world.hub.push(bob.user, &read(room, 7));
    of_bob.until("told", |frame| frame["seq"] == 7).await;
    assert_eq!(world.hub.context().users.awake(), 0, "bob was told without an actor");

    of_bob.request(3, Op::Presence { status: Status::Dnd, text: Some("at work".into()), emoji: None });
    of_ada.until("told", |frame| frame["users"][0]["text"] == "at work").await;
    let users = &world.hub.context().users;
    // Changes of presence are told together, so that somebody who has just changed waits for that.
    let quiet = async {
        while users.awake() > 0 {
            users.rest_quiet();
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), quiet).await.expect("they rest again");
    of_bob.disconnect();
    of_ada.until("told", |frame| frame["users"][0]["status"] == "offline").await;
}

async fn until_devices(world: &World, user: UserId, devices: usize) {
    let here = async {
        while !matches!(world.hub.observe_user(user).await.user, Observed::Here(user) if user.devices == devices) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), here).await.expect("so many devices are here");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_put_to_rest_all_the_time_misses_no_push_on_any_device() {
    let world = World::new().await;
    let (of_ada, of_bob, room, bob) = ada_and_bob(&world).await;
    let second = world.connect(bob).await;
    let context = world.hub.context().clone();
    let asleep = Arc::new(AtomicU32::new(0));
    let counted = asleep.clone();
    let restless = tokio::spawn(async move {
        loop {
            (0..6).for_each(|_| context.users.rest_quiet());
            counted.fetch_add(u32::from(context.users.awake() == 0), Ordering::Relaxed);
            tokio::time::sleep(Duration::from_micros(100)).await;
        }
    });
    let count = 3_000;
    for seq in 1..=count {
        match seq % 60 {
            // What wakes bob: somebody who looks at him, and looks away.
            0 => of_ada.request(10, Op::Watch(Watched::Users(vec![bob.user]))),
            30 => of_ada.request(10, Op::Watch(Watched::Users(Vec::new()))),
            // A third device that comes and goes is told all that is pushed meanwhile.
            20 => {
                let third = world.connect(bob).await;
                until_devices(&world, bob.user, 3).await;
                world.hub.push(bob.user, &read(room, seq));
                third.until("told", |frame| frame["seq"] == seq).await;
                third.disconnect();
                continue;
            }
            at if at % 7 == 0 => tokio::time::sleep(Duration::from_micros(300)).await,
            _ => {}
        }
        world.hub.push(bob.user, &read(room, seq));
    }
    for device in [&of_bob, &second] {
        device.until("the last", |frame| frame["seq"] == count).await;
        assert_eq!(reads(&device.frames()), (1..=count).collect::<Vec<_>>());
    }
    restless.abort();
    assert!(asleep.load(Ordering::Relaxed) > 50, "they hardly rested");
    assert_eq!(world.hub.observe().actors_failed, 0);
}

/// What it rested with was kept for ever: its last watcher went while it was about to be told to rest.
/// On one thread, so that both messages are queued before the actor sees the first.
#[tokio::test]
async fn a_user_whom_nobody_needs_does_not_rest_but_leaves_memory() {
    let world = World::new().await;
    let eve = world.user("eve").await;
    let (context, watcher) = (world.hub.context(), world.recorder());
    let (answer, wait) = hubbub_actors::answer::Answer::awaited();
    context.users.send(context, eve.user, UserMessage::Watch { session: 1, connection: watcher, answer });
    wait.await.expect("answered").expect("a presence");
    context.users.send_if_here(eve.user, UserMessage::Unwatch { session: 1 });
    (0..6).for_each(|_| context.users.rest_quiet());
    world.until("nobody knows eve", || context.users.count() == 0).await;
}
