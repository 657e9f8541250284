//! A session that asks for nothing keeps its state and not its actor, and nobody notices.

mod support;

use std::time::Duration;

use hubbub_actors::{observe::Observed, session::SessionStatus};
use hubbub_protocol::{
    error::CloseCode,
    ids::{MessageKey, RoomId},
    op::Op,
    push::Status,
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
