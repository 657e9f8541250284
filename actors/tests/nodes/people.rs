//! Users on several nodes: who is present is told everywhere, and what is sent to somebody goes where they are.

use std::time::Duration;

use hubbub_actors::{Caller, HubConfig, observe::Observed, peers::wire};
use hubbub_protocol::{
    ids::{RoomId, Seq},
    op::{Op, Watched},
    peer::PeerMessage,
    push::{Push, Status},
};

use super::{
    cluster::Nodes,
    support::{Client, World},
};

/// How long after the last device has gone a user is shown as offline, in these tests.
const OFFLINE_AFTER: Duration = Duration::from_millis(300);
/// Changes of presence are told together within 2 s, at the home and on the way from it.
const TOLD: Duration = Duration::from_millis(4_500);
/// What carries pushes and mentions.
const CARRIERS: [u16; 3] = [wire::ToUsers::KIND, wire::Mentioned::KIND, wire::ToHome::KIND];

async fn nodes(count: u16) -> Nodes {
    Nodes::with(count, HubConfig { offline_after: OFFLINE_AFTER, ..HubConfig::default() }).await
}

/// What decides where the user lives.
fn home(of: Caller) -> RoomId {
    RoomId::from_raw(of.user.raw())
}

async fn watch(client: &Client, id: u32, whom: Caller) -> String {
    let answer = client.ask(id, Op::Watch(Watched::Users(vec![whom.user]))).await;
    answer["ok"]["users"][0]["status"].as_str().expect("a presence").to_owned()
}

/// The presences of `whom` that a client was pushed so far.
fn pushed(client: &Client, whom: Caller) -> Vec<String> {
    let frames = client.frames();
    let users = frames.iter().filter(|frame| frame["ev"] == "presence").flat_map(|frame| frame["users"].as_array());
    let of = users.flatten().filter(|user| user["user"] == whom.user.to_string().as_str());
    of.filter_map(|user| user["status"].as_str().map(str::to_owned)).collect()
}

async fn until_pushed(client: &Client, whom: Caller, status: &str) {
    client.until(status, |_| pushed(client, whom).last().is_some_and(|last| last == status)).await;
}

/// Three nodes, on which ada and bob know each other.
async fn acquainted(count: u16) -> (Nodes, Caller, Caller, RoomId) {
    let nodes = nodes(count).await;
    let (ada, bob) = (nodes.node(1).user("ada").await, nodes.node(1).user("bob").await);
    let (_, general) = nodes.node(1).community(ada, &[bob]).await;
    (nodes, ada, bob, general)
}

/// Ends a client's session.
async fn leave(world: &World, client: &Client) {
    let (_, session) = client.session();
    client.disconnect();
    let (context, sessions) = (world.hub.context(), &world.hub.context().sessions);
    let leave = hubbub_actors::session::SessionMessage::LeaveIfAway;
    sessions.send(context, session, leave).expect("it waits for its client");
    world.until("the session is over", || sessions.owner(session).is_none()).await;
}

async fn knows_nobody(world: &World, whom: Caller) -> bool {
    world.hub.observe_user(whom.user).await.user == Observed::NotHere
}

async fn until_nobody_knows(nodes: &Nodes, whom: Caller) {
    let forgotten = async {
        for world in &nodes.worlds {
            while !knows_nobody(world, whom).await {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(5), forgotten).await.expect("every node forgets the user");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn presence_is_the_same_on_every_node() {
    // bob's home is a node that has neither bob nor a watcher; then the one with the watcher, then the one with bob.
    for home_node in [1, 2, 3] {
        let (nodes, ada, bob, _) = acquainted(3).await;
        nodes.give(home(bob), home_node);
        let of_ada = nodes.node(2).connect(ada).await;
        assert_eq!(watch(&of_ada, 2, bob).await, "offline");
        let of_bob = nodes.node(3).connect(bob).await;
        until_pushed(&of_ada, bob, "online").await;
        let busy = Op::Presence { status: Status::Dnd, text: Some("deep work".into()), emoji: None };
        let _ = of_bob.ask(3, busy).await;
        until_pushed(&of_ada, bob, "dnd").await;
        assert_eq!(watch(&of_ada, 4, bob).await, "dnd");
        // Another device elsewhere is the same user, and what was said there last counts.
        let other = nodes.node(1).connect(bob).await;
        assert_eq!(watch(&other, 2, bob).await, "dnd", "the home at {home_node}");
        let _ = other.ask(3, Op::Presence { status: Status::Idle, text: None, emoji: None }).await;
        until_pushed(&of_ada, bob, "idle").await;
        other.disconnect();
        tokio::time::sleep(OFFLINE_AFTER * 2).await;
        assert_eq!(watch(&of_ada, 5, bob).await, "idle", "one device is left");
        of_bob.disconnect();
        until_pushed(&of_ada, bob, "offline").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_whose_node_dies_is_offline_after_the_grace_and_not_before() {
    let (nodes, ada, bob, _) = acquainted(3).await;
    let of_ada = nodes.node(2).connect(ada).await;
    let _of_bob = nodes.node(3).connect(bob).await;
    assert_eq!(watch(&of_ada, 2, bob).await, "online");
    nodes.kill(3);
    tokio::time::sleep(OFFLINE_AFTER / 3).await;
    assert_eq!(watch(&of_ada, 3, bob).await, "online", "bob may be on the way to another node");
    until_pushed(&of_ada, bob, "offline").await;
    assert_eq!(watch(&of_ada, 4, bob).await, "offline");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_who_changes_nodes_within_the_grace_was_never_away() {
    let (nodes, ada, bob, _) = acquainted(3).await;
    let of_ada = nodes.node(2).connect(ada).await;
    let _first = nodes.node(3).connect(bob).await;
    assert_eq!(watch(&of_ada, 2, bob).await, "online");
    nodes.kill(3);
    let _second = nodes.node(1).connect(bob).await;
    tokio::time::sleep(TOLD).await;
    assert_eq!(pushed(&of_ada, bob), Vec::<String>::new());
    assert_eq!(watch(&of_ada, 3, bob).await, "online");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_watches_goes_on_being_told_when_the_home_moves_or_dies() {
    let (nodes, ada, bob, _) = acquainted(3).await;
    let of_ada = nodes.node(2).connect(ada).await;
    let of_bob = nodes.node(3).connect(bob).await;
    let _ = of_bob.ask(2, Op::Presence { status: Status::Dnd, text: None, emoji: None }).await;
    // What is said at one node is known at another a moment later.
    of_ada.until("told", |_| true).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(watch(&of_ada, 2, bob).await, "dnd");
    nodes.hand_over(home(bob), 3).await;
    let _ = of_bob.ask(3, Op::Presence { status: Status::Idle, text: None, emoji: None }).await;
    until_pushed(&of_ada, bob, "idle").await;
    nodes.hand_over(home(bob), 1).await;
    nodes.kill(1);
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(watch(&of_ada, 4, bob).await, "idle", "what was known last");
    nodes.give(home(bob), 2);
    let _ = of_bob.ask(5, Op::Presence { status: Status::Online, text: None, emoji: None }).await;
    until_pushed(&of_ada, bob, "online").await;
    assert!(!pushed(&of_ada, bob).contains(&"offline".to_owned()), "bob was there all the time");
    of_bob.disconnect();
    until_pushed(&of_ada, bob, "offline").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_home_that_took_over_says_that_somebody_is_gone_only_once_it_knows() {
    let (nodes, ada, bob, _) = acquainted(3).await;
    let of_ada = nodes.node(2).connect(ada).await;
    let _of_bob = nodes.node(1).connect(bob).await;
    assert_eq!(watch(&of_ada, 2, bob).await, "online");
    // bob's devices die with bob's home: nobody is left who knows, but those who watched.
    nodes.kill(1);
    nodes.give(home(bob), 3);
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(watch(&of_ada, 3, bob).await, "online");
    until_pushed(&of_ada, bob, "offline").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cut_link_leaves_what_was_known_and_is_made_up_for() {
    let (nodes, ada, bob, _) = acquainted(2).await;
    let of_ada = nodes.node(2).connect(ada).await;
    let of_bob = nodes.node(1).connect(bob).await;
    assert_eq!(watch(&of_ada, 2, bob).await, "online");
    nodes.cut(1, 2, true);
    let _ = of_bob.ask(2, Op::Presence { status: Status::Idle, text: None, emoji: None }).await;
    let asked = tokio::time::Instant::now();
    assert_eq!(watch(&of_ada, 3, bob).await, "online", "what was known");
    assert!(asked.elapsed() < Duration::from_millis(900), "nobody waits for a home that is known to be cut off");
    nodes.cut(1, 2, false);
    until_pushed(&of_ada, bob, "idle").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_push_goes_where_the_user_is_and_nowhere_else() {
    let (nodes, _, bob, _) = acquainted(5).await;
    let (first, second) = (nodes.node(2).connect(bob).await, nodes.node(3).connect(bob).await);
    nodes.sent(&[]);
    // From the home, from another node, and from one that has bob.
    for (number, from) in (1..).zip([1, 4, 2]) {
        let push = Push::Read { room: RoomId::from_raw(9), seq: Seq(number) };
        nodes.node(from).hub.push(bob.user, &push);
        for phone in [&first, &second] {
            phone.until("told", |frame| frame["ev"] == "read" && frame["seq"] == number).await;
        }
        let mut sent = nodes.sent(&CARRIERS);
        sent.sort_unstable();
        let expected: &[(u64, u64)] = match from {
            1 => &[(1, 2), (1, 3)],
            4 => &[(1, 2), (1, 3), (4, 1)],
            _ => &[(1, 3), (2, 1)],
        };
        assert_eq!(sent, expected, "sent from {from}");
    }
    // Each of them once.
    for phone in [&first, &second] {
        phone.settle(9).await;
        assert_eq!(phone.frames().iter().filter(|frame| frame["ev"] == "read").count(), 3);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn users_who_live_together_are_told_by_one_message() {
    let nodes = nodes(3).await;
    let mut phones = Vec::new();
    for number in 0..20 {
        let user = nodes.node(1).user(&format!("user{number}")).await;
        phones.push((user, nodes.node(2).connect(user).await));
    }
    nodes.sent(&[]);
    let users: Vec<_> = phones.iter().map(|(user, _)| user.user).collect();
    let push = Push::Read { room: RoomId::from_raw(9), seq: Seq(1) };
    nodes.node(3).hub.context().push_to(&users, &push, None);
    for (_, phone) in &phones {
        phone.until("told", |frame| frame["ev"] == "read").await;
    }
    assert_eq!(nodes.sent(&CARRIERS), [(3, 1), (1, 2)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_has_an_answer_misses_no_push_while_homes_move() {
    let (nodes, _, bob, _) = acquainted(3).await;
    let moving = async {
        for to in [2, 3, 1, 2, 3] {
            tokio::time::sleep(Duration::from_millis(30)).await;
            nodes.hand_over(home(bob), to).await;
        }
    };
    let telling = async {
        let phone = nodes.node(3).connect(bob).await;
        for seq in 1..=150 {
            let push = Push::Read { room: RoomId::from_raw(9), seq: Seq(seq) };
            nodes.node(1).hub.push(bob.user, &push);
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        phone
    };
    let (phone, ()) = tokio::join!(telling, moving);
    let told = |phone: &Client| {
        let frames = phone.frames();
        let read = frames.iter().filter(|frame| frame["ev"] == "read");
        let mut seqs: Vec<u64> = read.filter_map(|frame| frame["seq"].as_u64()).collect();
        seqs.sort_unstable();
        seqs
    };
    phone.until("told of the last", |_| told(&phone).len() >= 150).await;
    assert_eq!(told(&phone), (1..=150).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_home_that_cannot_be_reached_keeps_no_push_from_the_others() {
    let (nodes, _, bob, _) = acquainted(3).await;
    let phone = nodes.node(3).connect(bob).await;
    nodes.kill(1);
    nodes.node(2).hub.push(bob.user, &Push::Read { room: RoomId::from_raw(9), seq: Seq(1) });
    phone.until("told", |frame| frame["ev"] == "read").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mention_counts_where_the_session_is_even_when_its_client_is_away() {
    let (nodes, ada, bob, general) = acquainted(3).await;
    let phone = nodes.node(3).connect(bob).await;
    phone.disconnect();
    // Long enough for the user to count as offline; the session waits on.
    tokio::time::sleep(OFFLINE_AFTER * 2).await;
    nodes.sent(&[]);
    nodes.node(2).say(ada, general, &format!("hello <@{}>", bob.user)).await;
    let markers = &nodes.node(3).hub.context().markers;
    nodes.node(3).until("the mention counts", || markers.of(bob.user, general).1 == 1).await;
    assert!(!nodes.sent(&[wire::ToUsers::KIND]).contains(&(1, 3)), "no device is there");
    assert_eq!(nodes.node(2).hub.context().markers.of(bob.user, general).1, 0, "bob has never been there");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_node_forgets_a_user_whom_nobody_needs() {
    let (nodes, ada, bob, _) = acquainted(3).await;
    let of_ada = nodes.node(2).connect(ada).await;
    let of_bob = nodes.node(3).connect(bob).await;
    assert_eq!(watch(&of_ada, 2, bob).await, "online");
    assert!(!knows_nobody(nodes.node(1), bob).await, "bob lives there");
    leave(nodes.node(3), &of_bob).await;
    of_ada.settle(3).await;
    until_nobody_knows(&nodes, bob).await;
    // And of somebody who was only watched.
    assert_eq!(watch(&of_ada, 4, bob).await, "offline");
    of_ada.settle(5).await;
    until_nobody_knows(&nodes, bob).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn online_counts_the_people_of_every_node() {
    let (nodes, ada, bob, general) = acquainted(3).await;
    let eve = nodes.node(1).user("eve").await;
    let community = nodes.node(1).hub.directory().known_room(general).and_then(|room| room.community);
    nodes.node(1).hub.communities().join(eve, community.expect("of a community")).await.expect("it is public");
    let online = |answer: serde_json::Value| answer["ok"]["online"].as_u64().expect("a number");
    let (of_ada, of_bob) = (nodes.node(1).connect(ada).await, nodes.node(2).connect(bob).await);
    assert_eq!(online(of_ada.follow(2, general).await), 1);
    assert_eq!(online(of_bob.follow(2, general).await), 2);
    let of_eve = nodes.node(3).connect(eve).await;
    assert_eq!(online(of_eve.follow(2, general).await), 3);
    // Each of the others hears of it, wherever the room is ordered.
    for to in [1, 2, 3] {
        nodes.hand_over(general, to).await;
        for (id, phone) in (10 * to as u32..).zip([&of_ada, &of_bob, &of_eve]) {
            until_online(phone, id * 1_000, general, 3).await;
        }
    }
    of_eve.disconnect();
    until_online(&of_ada, 100_000, general, 2).await;
    nodes.kill(3);
    nodes.give(general, 1);
    until_online(&of_ada, 200_000, general, 2).await;
    nodes.kill(2);
    until_online(&of_ada, 300_000, general, 1).await;
}

/// Follows again and again until so many people are said to.
async fn until_online(phone: &Client, from_id: u32, room: RoomId, people: u64) {
    let mut seen = 0;
    for id in from_id..from_id + 400 {
        seen = phone.follow(id, room).await["ok"]["online"].as_u64().expect("a number");
        if seen == people {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{seen} people online, not {people}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_home_that_was_away_for_a_while_does_not_go_by_what_it_knew_before() {
    let (nodes, ada, bob, _) = acquainted(3).await;
    let of_ada = nodes.node(2).connect(ada).await;
    let of_bob = nodes.node(3).connect(bob).await;
    assert_eq!(watch(&of_ada, 2, bob).await, "online");
    // The first node is behind: it sees the shard go and come in one change of its map, with two epochs between.
    nodes.hold_up(1, true);
    nodes.give(home(bob), 2);
    leave(nodes.node(3), &of_bob).await;
    tokio::time::sleep(OFFLINE_AFTER * 2).await;
    nodes.hold_up(1, false);
    nodes.give(home(bob), 1);
    until_pushed(&of_ada, bob, "offline").await;
    let of_ada = nodes.node(1).connect(ada).await;
    let gone = async {
        for id in 2.. {
            if watch(&of_ada, id, bob).await == "offline" {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(6), gone).await.expect("the first node forgets what it knew");
}
