//! What a client asks over its session, and what a session does when its client goes and comes back.

mod support;

use std::{sync::Arc, time::Duration};

use hubbub_actors::{Connection, observe::Observed};
use hubbub_protocol::error::ErrorCode;
use hubbub_protocol::{
    emoji::Emoji,
    error::CloseCode,
    ids::{MessageKey, RoomId, Seq},
    limits::REPLAY_EVENTS_MAX,
    op::{Mode, Op, Page, Watched},
    push::Status,
};
use serde_json::json;
use support::{Recorder, World};

fn send(room: RoomId, text: &str) -> Op {
    let key = MessageKey(uuid::Uuid::now_v7());
    Op::Send { room, key, text: text.to_owned(), reply_to: None, files: vec![], retry: false }
}

async fn until_closed(connection: &Recorder) -> CloseCode {
    let closed = async {
        loop {
            if let Some(code) = connection.closed() {
                return code;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), closed).await.expect("the connection is closed")
}

#[tokio::test]
async fn a_client_sends_changes_and_reads_messages_over_its_session() {
    let world = World::new().await;
    let (ada, bob) = (world.user("ada").await, world.user("bob").await);
    let (_, room) = world.community(ada, &[bob]).await;
    let client = world.connect(ada).await;
    client.follow(2, room).await;
    let sent = client.ask(3, send(room, "helo")).await;
    let seq = Seq(sent["ok"]["seq"].as_u64().expect("a seq"));
    let emoji = Emoji::parse("👍").expect("an emoji");
    let changes = [
        Op::Edit { room, seq, text: "hello".into() },
        Op::React { room, seq, emoji: emoji.clone() },
        Op::Unreact { room, seq, emoji },
        Op::Pin { room, seq },
        Op::Unpin { room, seq },
        Op::Thread { room, seq, title: Some("about hello".into()) },
    ];
    for (id, op) in (4..).zip(changes) {
        let answer = client.ask(id, op.clone()).await;
        assert!(answer["ok"].is_object(), "{op:?}: {answer}");
    }
    let page = client.ask(20, Op::History { room, page: Page::Newest, limit: 10 }).await;
    let message = &page["ok"]["messages"][0];
    assert_eq!((&message["text"], &message["thread"]["title"]), (&json!("hello"), &json!("about hello")));
    assert_eq!((&message["reactions"], &message["pinned"]), (&json!([]), &json!(false)));
    assert_eq!(client.ask(21, Op::Read { room, seq }).await["ok"], json!({}));
    let deleted = client.ask(22, Op::Delete { room, seq, reason: None }).await;
    assert!(deleted["ok"]["event_seq"].is_u64(), "{deleted}");
    let told: Vec<String> = client.events_of(room);
    let wanted = [
        "helo",
        "hello",
        "reaction.added",
        "reaction.removed",
        "message.pinned",
        "message.unpinned",
        "thread.created",
        "message.deleted",
    ];
    assert_eq!(told, wanted);

    assert_eq!(client.ask(23, Op::Unsubscribe { room }).await["ok"], json!({}));
    world.say(bob, room, "unheard").await;
    let again = client.ask(24, Op::Heartbeat).await;
    assert_eq!(
        again["error"]["field"], "op",
        "the edge answers heartbeats, and a session never begins twice: {again}"
    );
    let elsewhere = client.ask(25, send(RoomId::from_raw(1), "x")).await;
    assert_eq!(elsewhere["error"]["code"], "not_found");
    assert_eq!(client.events_of(room).len(), wanted.len());
}

#[tokio::test]
async fn who_comes_back_is_answered_first_then_sent_what_was_missed_then_told_so() {
    let world = World::new().await;
    let (ada, bob) = (world.user("ada").await, world.user("bob").await);
    let (community, general) = world.community(ada, &[bob]).await;
    let busy = world.public_room(ada, community, "busy").await;
    let lost = world.public_room(ada, community, "lost").await;
    let client = world.connect(bob).await;
    for (id, room) in (2..).zip([general, busy, lost]) {
        client.follow(id, room).await;
    }
    let head = world.say(ada, general, "seen").await;
    let busy_head = world.say(ada, busy, "seen").await;
    client.disconnect();
    assert!(matches!(world.hub.observe_user(bob.user).await.sessions[..], [Observed::Here(s)] if !s.connected));
    for text in ["one", "two", "three"] {
        world.say(ada, general, text).await;
    }
    for _ in 0..=REPLAY_EVENTS_MAX {
        world.say(ada, busy, "chatter").await;
    }
    world.hub.communities().delete_room(ada, lost).await.expect("ada owns it");

    let back = world.recorder();
    let connection: Arc<dyn Connection> = back.clone();
    let cursors = vec![(general, head), (busy, busy_head)];
    world.hub.sessions().resume(connection, 7, bob, &client.session().0, cursors).await.expect("it waits");
    back.until("resumed", |frame| frame["ev"] == "resumed").await;
    let frames = back.frames();
    let rooms = &frames[0]["ok"]["rooms"];
    assert_eq!(frames[0]["re"], 7, "the answer comes first: {:?}", frames[0]);
    let of = |room: RoomId| &rooms[room.to_string()];
    assert_eq!((&of(general)["replay"], &of(general)["gap"]), (&json!(3), &json!(null)), "no gap");
    assert_eq!((&of(busy)["replay"], &of(busy)["gap"]), (&json!(null), &json!(true)));
    assert_eq!(of(lost), &json!(null), "a room that is gone is followed no more");
    let texts: Vec<&str> = frames[1..].iter().filter_map(|frame| frame["data"]["text"].as_str()).collect();
    assert_eq!(texts, ["one", "two", "three"]);
    assert_eq!(frames.last().expect("frames")["ev"], "resumed");

    world.say(ada, busy, "live again").await;
    back.until("told", |frame| frame["data"]["text"] == "live again").await;
}

#[tokio::test]
async fn a_newer_connection_takes_the_session_up() {
    let world = World::new().await;
    let ada = world.user("ada").await;
    let (_, room) = world.community(ada, &[]).await;
    let client = world.connect(ada).await;
    client.follow(2, room).await;
    let newer = world.recorder();
    let connection: Arc<dyn Connection> = newer.clone();
    world.hub.sessions().resume(connection, 1, ada, &client.session().0, vec![]).await.expect("it is there");
    newer.until("resumed", |frame| frame["ev"] == "resumed").await;
    assert_eq!(client.closed(), Some(CloseCode::TakenUp));
    // The old connection says late that it is gone; that is not the session's any more.
    client.disconnect();
    world.say(ada, room, "to the newer one").await;
    newer.until("told", |frame| frame["data"]["text"] == "to the newer one").await;
    assert_eq!(client.events_of(room), Vec::<String>::new());
}

#[tokio::test]
async fn a_room_followed_for_its_count_tells_head_and_mentions() {
    let world = World::new().await;
    let (ada, bob) = (world.user("ada").await, world.user("bob").await);
    let (_, room) = world.community(ada, &[bob]).await;
    let client = world.connect(bob).await;
    client.ask(2, Op::Subscribe { room, after: None, mode: Mode::Unread }).await;
    world.say(ada, room, "nothing for bob").await;
    let head = world.say(ada, room, &format!("<@{}> look", bob.user)).await;
    let unread = client.until("counted", |frame| frame["ev"] == "unread" && frame["head"] == head.0).await;
    assert_eq!(unread["mentions"], 1, "{unread}");
    let notice = client.until("notified", |frame| frame["ev"] == "notify").await;
    assert_eq!((&notice["seq"], &notice["reason"]), (&json!(head.0), &json!("mention")));
    client.ask(3, Op::Read { room, seq: head }).await;
    let next = world.say(ada, room, "more").await;
    let unread = client.until("counted anew", |frame| frame["ev"] == "unread" && frame["head"] == next.0).await;
    assert_eq!(unread["mentions"], 0, "{unread}");
    assert_eq!(client.events_of(room), Vec::<String>::new(), "no event itself");
}

#[tokio::test]
async fn those_who_follow_a_room_see_who_is_typing() {
    let world = World::new().await;
    let (ada, bob) = (world.user("ada").await, world.user("bob").await);
    let (_, room) = world.community(ada, &[bob]).await;
    let (typist, reader) = (world.connect(ada).await, world.connect(bob).await);
    reader.follow(2, room).await;
    assert_eq!(typist.ask(2, Op::Typing { room }).await["ok"], json!({}));
    let typing = reader.until("told who types", |frame| frame["ev"] == "typing").await;
    assert_eq!((&typing["users"], &typing["more"]), (&json!([ada.user]), &json!(0)));
    let elsewhere = typist.ask(3, Op::Typing { room: RoomId::from_raw(1) }).await;
    assert_eq!(elsewhere["error"]["code"], "not_found");
    reader.ask(3, Op::Typing { room }).await;
    let both = reader.until("told of both", |frame| frame["users"].as_array().is_some_and(|u| u.len() == 2)).await;
    assert_eq!(both["users"], json!([bob.user, ada.user]), "the latest first");
}

#[tokio::test]
async fn presence_is_told_to_those_who_watch_and_may() {
    let world = World::new().await;
    let (ada, bob, eve) = (world.user("ada").await, world.user("bob").await, world.user("eve").await);
    let (_, room) = world.community(ada, &[bob]).await;
    let watcher = world.connect(bob).await;
    let asked = watcher.ask(2, Op::Watch(Watched::Users(vec![ada.user, eve.user]))).await;
    assert_eq!(asked["ok"]["users"].as_array().map(Vec::len), Some(1), "eve is a stranger: {asked}");
    assert_eq!(asked["ok"]["users"][0]["status"], "offline");
    let ada_here = world.connect(ada).await;
    watcher.until("told", |frame| frame["ev"] == "presence" && frame["users"][0]["status"] == "online").await;
    let busy = Op::Presence { status: Status::Dnd, text: Some("in a meeting".into()), emoji: None };
    assert_eq!(ada_here.ask(2, busy).await["ok"], json!({}));
    let told = watcher.until("told", |frame| frame["users"][0]["status"] == "dnd").await;
    assert_eq!(told["users"][0]["text"], "in a meeting");
    let members = watcher.ask(3, Op::Watch(Watched::Members { room, from: 0, to: 10 })).await;
    assert_eq!(members["ok"]["users"].as_array().map(Vec::len), Some(2), "{members}");
    let hidden = Op::Presence { status: Status::Invisible, text: None, emoji: None };
    ada_here.ask(3, hidden).await;
    watcher.until("told", |frame| frame["ev"] == "presence" && frame["users"][0]["status"] == "offline").await;
    watcher.settle(4).await;
    let user = world.hub.observe_user(ada.user).await.user;
    assert!(matches!(user, Observed::Here(user) if user.watchers == 0), "{user:?}");
}

#[tokio::test]
async fn who_is_removed_is_told_and_sent_nothing_more() {
    let world = World::new().await;
    let (ada, bob) = (world.user("ada").await, world.user("bob").await);
    let (community, room) = world.community(ada, &[bob]).await;
    let client = world.connect(bob).await;
    client.follow(2, room).await;
    world.hub.communities().remove_member(ada, community, bob.user, None).await.expect("ada owns it");
    let told = client.until("told", |frame| frame["ev"] == "community" && frame["removed"] == true).await;
    assert_eq!(told["community"], json!(community));
    world.say(ada, room, "behind bob's back").await;
    client.settle(3).await;
    assert!(!client.events_of(room).contains(&"behind bob's back".to_owned()));
    let sessions = world.hub.observe_user(bob.user).await.sessions;
    assert!(matches!(sessions[..], [Observed::Here(session)] if session.connected && session.rooms == 0));
}

#[tokio::test]
async fn signing_out_ends_the_sessions_of_that_device_alone() {
    let world = World::new().await;
    let ada = world.user("ada").await;
    let other_device = hubbub_actors::Caller { sid: hubbub_protocol::ids::SessionId::from_raw(77), ..ada };
    let (phone, laptop) = (world.connect(ada).await, world.connect(other_device).await);
    world.hub.sessions().sign_out(ada.sid);
    assert_eq!(until_closed(phone.connection()).await, CloseCode::SignedOut);
    laptop.settle(2).await;
    assert_eq!((laptop.closed(), world.hub.sessions().count()), (None, 1));
}

#[tokio::test]
async fn a_node_that_stops_tells_its_clients_when_to_come_back() {
    let world = World::new().await;
    let (ada, bob) = (world.user("ada").await, world.user("bob").await);
    let (one, other) = (world.connect(ada).await, world.connect(bob).await);
    world.hub.drain(1_000).await;
    let mut told = Vec::new();
    for client in [&one, &other] {
        let reconnect = client.until("told", |frame| frame["ev"] == "reconnect").await;
        told.push(reconnect["after_ms"].as_u64().expect("a time"));
        assert_eq!(until_closed(client.connection()).await, CloseCode::GoingAway);
    }
    assert!(told.iter().all(|after_ms| (500..1_500).contains(after_ms)), "{told:?}");
    assert_ne!(told[0], told[1], "they do not all come at once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_room_that_fails_again_and_again_is_left_alone_for_a_minute_and_harms_no_other() {
    let world = World::new().await;
    let ada = world.user("ada").await;
    let (community, room) = world.community(ada, &[]).await;
    let other = world.public_room(ada, community, "calm").await;
    let client = world.connect(ada).await;
    client.follow(2, room).await;
    for failures in 1..=3 {
        let built = world.hub.rooms().archive(room, |_| panic!("an archive that cannot be built")).await;
        assert_eq!(built.expect_err("it panicked").code, ErrorCode::Unavailable);
        world.until("the failure is seen", || world.hub.observe().actors_failed == failures).await;
    }
    world.until("the room is left alone", || world.hub.context().quarantined(room)).await;
    assert_eq!(client.ask(6, send(room, "too soon")).await["error"]["code"], "unavailable");
    assert!(client.ask(7, send(other, "all is well here")).await["ok"].is_object());
    world.advance(61_000);
    assert!(client.ask(8, send(room, "well again")).await["ok"].is_object());
    client.until("told", |frame| frame["data"]["text"] == "well again").await;
    assert_eq!(client.events_of(room), ["well again"]);
    assert_eq!(world.hub.observe().actors_failed, 3);
}
