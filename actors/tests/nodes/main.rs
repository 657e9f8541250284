//! Rooms, followers, facts and sessions on several nodes: what is promised on one node holds on all of them.

#[path = "../support/mod.rs"]
mod support;

mod cluster;
mod dice;
mod hot;
mod people;
mod simulation;
mod tree;

use std::{sync::Arc, time::Duration};

use cluster::Nodes;
use hubbub_actors::{Caller, room::NewPost};
use hubbub_protocol::{
    error::CloseCode,
    ids::{MessageKey, RoomId, Seq},
    op::Op,
    rest::Sent,
};
use hubbub_storage::{LogStore, mem::AppendFault};
use support::{Client, World};

fn texts(client: &Client, room: RoomId) -> Vec<String> {
    client.events_of(room).into_iter().filter(|shown| shown.contains('#')).collect()
}

fn numbered(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("#{number}")).collect()
}

/// Posts `#0`, `#1` and so on from one node, in order, as a session does; gives the answers.
async fn talk(world: &World, by: Caller, room: RoomId, count: usize, pause: Duration) -> Vec<Sent> {
    let mut answers = Vec::new();
    for number in 0..count {
        let key = MessageKey(uuid::Uuid::now_v7());
        let post = NewPost { key, text: format!("#{number}"), reply_to: None, files: vec![], retry: false };
        let (answer, wait) = hubbub_actors::answer::Answer::awaited();
        world.hub.rooms().post_in_order(by, room, post, answer).await;
        answers.push(wait);
        tokio::time::sleep(pause).await;
    }
    let mut sent = Vec::new();
    for (number, wait) in answers.into_iter().enumerate() {
        sent.push(wait.await.expect("answered").unwrap_or_else(|refusal| panic!("#{number}: {refusal}")));
    }
    sent
}

/// Everything was stored once, in the order in which it was said, in the places that the answers told.
async fn assert_log(nodes: &Nodes, room: RoomId, sent: &[Sent]) {
    let events = nodes.store.events(room, Seq(0), 10_000).await.expect("a read");
    let seqs: Vec<u64> = events.iter().map(|event| event.seq.0).collect();
    assert_eq!(seqs, (1..=seqs.len() as u64).collect::<Vec<_>>(), "dense");
    let said: Vec<(Seq, String)> = events
        .iter()
        .filter_map(|event| {
            let push: serde_json::Value = serde_json::from_slice(&event.push).expect("JSON");
            Some((event.seq, push["data"]["text"].as_str()?.to_owned()))
        })
        .filter(|(_, text)| text.starts_with('#'))
        .collect();
    let told: Vec<Seq> = sent.iter().map(|sent| sent.seq).collect();
    assert_eq!(said.iter().map(|(_, text)| text.clone()).collect::<Vec<_>>(), numbered(sent.len()));
    assert_eq!(said.iter().map(|(seq, _)| *seq).collect::<Vec<_>>(), told);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_said_on_one_node_is_heard_on_every_other() {
    let nodes = Nodes::new(3).await;
    let (one, two, three) = (nodes.node(1), nodes.node(2), nodes.node(3));
    let (ada, bob) = (one.user("ada").await, one.user("bob").await);
    let (_, general) = two.community(ada, &[bob]).await;
    let (here, there) = (one.connect(bob).await, three.connect(bob).await);
    for phone in [&here, &there] {
        assert!(phone.follow(2, general).await["ok"].is_object());
    }
    let sent = talk(two, ada, general, 50, Duration::ZERO).await;
    for phone in [&here, &there] {
        phone.until("told of the last", |frame| frame["data"]["text"] == "#49").await;
        assert_eq!(texts(phone, general), numbered(50));
    }
    assert_log(&nodes, general, &sent).await;
    // Who has an answer finds the message on any node.
    let page =
        three.hub.rooms().history(bob, general, hubbub_protocol::op::Page::Newest, 10).await.expect("a page");
    assert_eq!(page.messages.last().map(|message| message.seq), sent.last().map(|sent| sent.seq));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shard_that_moves_under_load_loses_and_doubles_and_disorders_nothing() {
    let nodes = Nodes::new(3).await;
    let (one, two, three) = (nodes.node(1), nodes.node(2), nodes.node(3));
    let (ada, bob) = (one.user("ada").await, one.user("bob").await);
    let (_, general) = one.community(ada, &[bob]).await;
    let phones = [one.connect(bob).await, two.connect(bob).await, three.connect(bob).await];
    for phone in &phones {
        assert!(phone.follow(2, general).await["ok"].is_object());
    }
    let moving = async {
        for to in [2, 3, 1, 3, 2, 1, 2] {
            tokio::time::sleep(Duration::from_millis(40)).await;
            nodes.hand_over(general, to).await;
        }
    };
    let (sent, ()) = tokio::join!(talk(three, ada, general, 400, Duration::from_millis(1)), moving);
    for phone in &phones {
        phone.until("told of the last", |frame| frame["data"]["text"] == "#399").await;
        assert_eq!(texts(phone, general), numbered(400));
    }
    assert_log(&nodes, general, &sent).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shard_that_is_taken_from_its_owner_goes_on_elsewhere() {
    let nodes = Nodes::new(3).await;
    let (one, two, three) = (nodes.node(1), nodes.node(2), nodes.node(3));
    let (ada, bob) = (one.user("ada").await, one.user("bob").await);
    let (_, general) = one.community(ada, &[bob]).await;
    let phone = two.connect(bob).await;
    assert!(phone.follow(2, general).await["ok"].is_object());
    let dying = async {
        tokio::time::sleep(Duration::from_millis(60)).await;
        nodes.kill(1);
        tokio::time::sleep(Duration::from_millis(300)).await;
        nodes.give(general, 2);
    };
    let (sent, ()) = tokio::join!(talk(three, ada, general, 200, Duration::from_millis(2)), dying);
    phone.until("told of the last", |frame| frame["data"]["text"] == "#199").await;
    assert_eq!(texts(&phone, general), numbered(200));
    assert_log(&nodes, general, &sent).await;
    let late = NewPost {
        key: MessageKey(uuid::Uuid::now_v7()),
        text: "from the dead".into(),
        reply_to: None,
        files: vec![],
        retry: false,
    };
    // The first node does not know that it was given up; the fence does.
    let refused = tokio::time::timeout(Duration::from_secs(20), one.hub.rooms().post(ada, general, late)).await;
    assert!(refused.expect("answered").is_err(), "a node that lost a shard stored a message");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kick_through_one_node_holds_on_every_node() {
    let nodes = Nodes::new(3).await;
    let (one, two, three) = (nodes.node(1), nodes.node(2), nodes.node(3));
    let (ada, bob) = (one.user("ada").await, one.user("bob").await);
    let (community, general) = one.community(ada, &[bob]).await;
    let phone = three.connect(bob).await;
    assert!(phone.follow(2, general).await["ok"].is_object());
    one.say(ada, general, "#0").await;
    phone.until("told of it", |frame| frame["data"]["text"] == "#0").await;
    two.hub.communities().remove_member(ada, community, bob.user, None).await.expect("ada owns it");
    let seen = phone.events_of(general).len();
    for _ in 0..20 {
        one.say(ada, general, "after").await;
    }
    phone.until("told of the removal", |frame| frame["ev"] == "community" && frame["removed"] == true).await;
    phone.settle(3).await;
    assert_eq!(phone.events_of(general).len(), seen, "events after the answer");
    for world in [one, two, three] {
        let post = NewPost {
            key: MessageKey(uuid::Uuid::now_v7()),
            text: "let me in".into(),
            reply_to: None,
            files: vec![],
            retry: false,
        };
        let refused = world.hub.rooms().post(bob, general, post).await.expect_err("no member");
        assert_eq!(refused.code.as_str(), "not_member");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kick_that_a_cut_off_node_is_not_told_of_holds_there_soon() {
    let nodes = Nodes::new(2).await;
    let (one, two) = (nodes.node(1), nodes.node(2));
    let (ada, bob) = (one.user("ada").await, one.user("bob").await);
    let (community, general) = one.community(ada, &[bob]).await;
    let mut elsewhere = general;
    // A room that the second node orders while the first one orders the log of the community.
    while nodes.share_a_shard(elsewhere, community.log()) {
        elsewhere = one.public_room(ada, community, "elsewhere").await;
    }
    nodes.give(elsewhere, 2);
    let phone = two.connect(bob).await;
    assert!(phone.follow(2, elsewhere).await["ok"].is_object());
    nodes.cut(1, 2, true);
    one.hub.communities().remove_member(ada, community, bob.user, None).await.expect("ada owns it");
    // Links break within 4 s, and the rest of the 6 s that a right may outlive its end is this.
    tokio::time::sleep(Duration::from_secs(4)).await;
    for _ in 0..5 {
        two.say(ada, elsewhere, "after").await;
    }
    phone.settle(3).await;
    assert_eq!(phone.events_of(elsewhere), Vec::<String>::new(), "events after the kick");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kick_while_a_link_is_broken_for_a_moment_holds_on_the_other_side_soon() {
    let nodes = Nodes::new(2).await;
    let (one, two) = (nodes.node(1), nodes.node(2));
    let (ada, bob) = (one.user("ada").await, one.user("bob").await);
    let (community, general) = one.community(ada, &[bob]).await;
    let phone = two.connect(bob).await;
    assert!(phone.follow(2, general).await["ok"].is_object());
    nodes.cut(1, 2, true);
    one.hub.communities().remove_member(ada, community, bob.user, None).await.expect("ada owns it");
    nodes.cut(1, 2, false);
    // Nobody told the second node, whose links all stand again.
    tokio::time::sleep(Duration::from_secs(5)).await;
    for _ in 0..5 {
        two.say(ada, general, "after").await;
    }
    phone.settle(3).await;
    assert_eq!(phone.events_of(general), Vec::<String>::new(), "events after the kick");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_is_taken_up_on_another_node_with_all_it_missed() {
    let nodes = Nodes::new(2).await;
    let (one, two) = (nodes.node(1), nodes.node(2));
    let (ada, bob) = (one.user("ada").await, one.user("bob").await);
    let (_, general) = one.community(ada, &[bob]).await;
    let phone = one.connect(bob).await;
    let head = phone.follow(2, general).await["ok"]["head"].as_u64().expect("a head");
    let (token, _) = phone.session();
    talk(one, ada, general, 5, Duration::ZERO).await;
    let again = two.recorder();
    let connection: Arc<dyn hubbub_actors::Connection> = again.clone();
    let sessions = two.hub.sessions();
    let cursors = vec![(general, Seq(head))];
    let resumed = sessions.resume(connection, 9, bob, &token, cursors).await;
    let handle = resumed.expect("the session is known");
    again.until("resumed", |frame| frame["ev"] == "resumed").await;
    let said: Vec<String> =
        again.frames().iter().filter_map(|frame| frame["data"]["text"].as_str().map(str::to_owned)).collect();
    assert_eq!(said, numbered(5));
    assert_eq!(phone.closed(), Some(CloseCode::TakenUp));
    handle.request(10, Op::Read { room: general, seq: Seq(head) });
    again.until("answered", |frame| frame["re"] == 10).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_whose_lanes_were_full_hears_of_all_it_missed() {
    let nodes = Nodes::new(2).await;
    let (one, two) = (nodes.node(1), nodes.node(2));
    let (ada, bob) = (one.user("ada").await, one.user("bob").await);
    let (_, general) = one.community(ada, &[bob]).await;
    let phone = two.connect(bob).await;
    assert!(phone.follow(2, general).await["ok"].is_object());
    nodes.fill(2, true);
    let sent = talk(one, ada, general, 30, Duration::from_millis(1)).await;
    assert_eq!(texts(&phone, general), Vec::<String>::new(), "the lanes are full");
    nodes.fill(2, false);
    phone.until("told of the last", |frame| frame["data"]["text"] == "#29").await;
    assert_eq!(texts(&phone, general), numbered(30));
    assert_log(&nodes, general, &sent).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_that_broke_and_stands_again_leaves_no_hole() {
    let nodes = Nodes::new(2).await;
    let (one, two) = (nodes.node(1), nodes.node(2));
    let (ada, bob) = (one.user("ada").await, one.user("bob").await);
    let (_, general) = one.community(ada, &[bob]).await;
    let phone = two.connect(bob).await;
    assert!(phone.follow(2, general).await["ok"].is_object());
    let cutting = async {
        for cut in [true, false, true, false] {
            tokio::time::sleep(Duration::from_millis(40)).await;
            nodes.cut(1, 2, cut);
        }
    };
    let (sent, ()) = tokio::join!(talk(one, ada, general, 200, Duration::from_millis(1)), cutting);
    phone.until("told of the last", |frame| frame["data"]["text"] == "#199").await;
    assert_eq!(texts(&phone, general), numbered(200));
    assert_log(&nodes, general, &sent).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pushes_reach_the_devices_of_a_user_on_every_node() {
    let nodes = Nodes::new(2).await;
    let (one, two) = (nodes.node(1), nodes.node(2));
    let (ada, bob) = (one.user("ada").await, one.user("bob").await);
    let (_, general) = one.community(ada, &[bob]).await;
    let (here, there) = (one.connect(bob).await, two.connect(bob).await);
    let seq = one.say(ada, general, &format!("hello <@{}>", bob.user)).await;
    for phone in [&here, &there] {
        let told = phone.until("notified", |frame| frame["ev"] == "notify").await;
        assert_eq!(told["reason"], "mention");
    }
    let _ = here.ask(5, Op::Read { room: general, seq }).await;
    there.until("told what was read", |frame| frame["ev"] == "read" && frame["seq"] == seq.0).await;
    assert!(!here.frames().iter().any(|frame| frame["ev"] == "read"), "the device itself knows");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_types_is_told_on_every_node() {
    let nodes = Nodes::new(3).await;
    let (one, two, three) = (nodes.node(1), nodes.node(2), nodes.node(3));
    let (ada, bob) = (one.user("ada").await, one.user("bob").await);
    let (_, general) = one.community(ada, &[bob]).await;
    let (of_ada, of_bob) = (two.connect(ada).await, three.connect(bob).await);
    for phone in [&of_ada, &of_bob] {
        assert!(phone.follow(2, general).await["ok"].is_object());
    }
    let _ = of_ada.ask(3, Op::Typing { room: general }).await;
    let told = of_bob.until("told who types", |frame| frame["ev"] == "typing").await;
    assert_eq!(told["users"][0], ada.user.to_string().as_str());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_append_that_was_not_stored_is_sent_once_more() {
    let world = World::new().await;
    let ada = world.user("ada").await;
    let (_, general) = world.community(ada, &[]).await;
    for fault in [AppendFault::FailBefore, AppendFault::AmbiguousBefore, AppendFault::FailAfter] {
        world.store.faults().next_append(fault);
        world.say(ada, general, "#").await;
    }
    let head = world.store.heads(&[general]).await.expect("a read")[0];
    let events = world.store.events(general, Seq(0), 100).await.expect("a read");
    assert_eq!((head, events.len()), (Seq(3), 3));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_resumes_on_a_node_that_is_behind_is_not_sent_back() {
    let nodes = Nodes::new(2).await;
    let (one, two) = (nodes.node(1), nodes.node(2));
    let (ada, bob) = (one.user("ada").await, one.user("bob").await);
    let (_, general) = one.community(ada, &[bob]).await;
    let (phone, other) = (one.connect(bob).await, two.connect(ada).await);
    assert!(phone.follow(2, general).await["ok"].is_object());
    assert!(other.follow(2, general).await["ok"].is_object());
    nodes.cut(1, 2, true);
    let sent = talk(one, ada, general, 20, Duration::ZERO).await;
    let seen = sent[19].seq;
    let (token, _) = phone.session();
    let again = two.recorder();
    let connection: Arc<dyn hubbub_actors::Connection> = again.clone();
    let resumed = two.hub.sessions().resume(connection, 9, bob, &token, vec![(general, seen)]).await;
    let _handle = resumed.expect("the session is known");
    let answer = again.until("answered", |frame| frame["re"] == 9).await;
    let room = &answer["ok"]["rooms"][general.to_string()];
    assert_eq!((room["head"].as_u64(), room["replay"].as_u64()), (Some(seen.0), Some(0)), "no gap in {answer}");
    // Those who were there before are told too, though the owner cannot be reached.
    other.until("told of the last", |frame| frame["data"]["text"] == "#19").await;
    assert_eq!(texts(&other, general), numbered(20));
}
