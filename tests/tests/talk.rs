//! People talk: everyone sees everything, once, in one order, whatever happens to connections and to
//! the node.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use hubbub_client::{Client, Update, Updates, ledger::Ledger};
use hubbub_protocol::{
    event::EventBody,
    ids::{MessageKey, RoomId, Seq},
    op::{Mode, Op},
};
use hubbub_tests::{
    Node, Person,
    canary::{self, TEXT},
};
use uuid::Uuid;

/// Longest wait for what must come.
const SOON: Duration = Duration::from_secs(30);

/// Reads updates into a ledger until every room of `heads` has been seen to its head.
async fn reads_until(updates: &mut Updates, ledger: &mut Ledger, heads: &BTreeMap<RoomId, Seq>) {
    let caught_up = |ledger: &Ledger| heads.iter().all(|(room, head)| ledger.line(*room).last >= *head);
    let reading = async {
        while !caught_up(ledger) {
            match updates.next().await {
                Some(Update::Event(event, bytes)) => ledger.note(event.room, event.seq, &bytes),
                Some(Update::Ended(code)) => panic!("the client ended with {code}"),
                Some(_) => {}
                None => panic!("the client ended"),
            }
        }
    };
    let read = tokio::time::timeout(SOON, reading).await;
    assert!(read.is_ok(), "not everything came: {ledger:?} of {heads:?}");
}

async fn community_of(node: &Node, people: usize, rooms: usize) -> (Vec<Person>, Vec<RoomId>) {
    let owner = node.person("owner").await;
    let community = owner.rest.create_community("testers", true).await.expect("anyone may");
    let mut ids = Vec::new();
    for number in 0..rooms {
        let room =
            owner.rest.create_room(community.id, &format!("room {number}"), false).await.expect("its owner may");
        ids.push(room.id);
    }
    let mut members = vec![owner];
    for number in 1..people {
        let person = node.person(&format!("person-{number}")).await;
        person.rest.join(community.id).await.expect("it is public");
        members.push(person);
    }
    (members, ids)
}

#[tokio::test(flavor = "multi_thread")]
async fn everyone_sees_every_event_once_and_in_one_order() {
    canary::plant("text", TEXT);
    let node = Node::fresh(&[]);
    let (people, rooms) = community_of(&node, 8, 3).await;
    let mut connected: Vec<(Client, Updates)> = Vec::new();
    for person in &people {
        let (client, updates) = person.connects().await;
        for room in &rooms {
            client.subscribe(*room, Some(Seq(0)), Mode::Live).await.expect("a member may");
        }
        connected.push((client, updates));
    }
    let mut senders = Vec::new();
    for (client, _) in &connected {
        let (client, rooms) = (client.clone(), rooms.clone());
        senders.push(tokio::spawn(async move {
            for number in 0..40_usize {
                let room = rooms[number % rooms.len()];
                client.send(room, &format!("{TEXT} {number}"), None).await.expect("a member may");
            }
        }));
    }
    for sender in senders {
        sender.await.expect("no sender panicked");
    }
    let mut heads = BTreeMap::new();
    for room in &rooms {
        heads.insert(*room, people[0].rest.history(*room, "limit=1").await.expect("a member may").head);
    }
    assert_eq!(heads.values().map(|head| head.0).sum::<u64>(), 8 * 40);
    let mut hashes = BTreeSet::new();
    for (_, updates) in &mut connected {
        let mut ledger = Ledger::default();
        reads_until(updates, &mut ledger, &heads).await;
        assert_eq!(ledger.faults(), hubbub_client::ledger::Faults::default());
        hashes.insert(rooms.iter().map(|room| ledger.line(*room).hash).collect::<Vec<_>>());
    }
    assert_eq!(hashes.len(), 1, "people saw different rooms");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_killed_loses_and_doubles_nothing_it_acknowledged() {
    let mut node = Node::fresh(&[]);
    let (people, rooms) = community_of(&node, 3, 2).await;
    let (reader, mut updates) = people[0].connects().await;
    for room in &rooms {
        reader.subscribe(*room, Some(Seq(0)), Mode::Live).await.expect("a member may");
    }
    let mut senders = Vec::new();
    for (number, person) in people.iter().enumerate().skip(1) {
        let (client, mut quiet) = person.connects().await;
        tokio::spawn(async move { while quiet.next().await.is_some() {} });
        let room = rooms[number % rooms.len()];
        senders.push(tokio::spawn(async move {
            let mut acknowledged = Vec::new();
            for count in 0..400_usize {
                let key = MessageKey(Uuid::now_v7());
                let sent = client.send_as(room, key, &format!("{count}"), None).await.expect("sent in the end");
                acknowledged.push((room, sent.seq, key));
            }
            acknowledged
        }));
    }
    for _ in 0..4 {
        tokio::time::sleep(Duration::from_millis(150)).await;
        node = node.killed_and_started_again(&[]);
    }
    let mut acknowledged = Vec::new();
    for sender in senders {
        acknowledged.extend(sender.await.expect("no sender panicked"));
    }
    let mut heads = BTreeMap::new();
    let mut stored: BTreeMap<(RoomId, MessageKey), Vec<Seq>> = BTreeMap::new();
    for room in &rooms {
        let mut after = Seq(0);
        loop {
            let (pushes, next) = people[0].rest.events(*room, after, 100).await.expect("a member may");
            for push in pushes {
                let event = hubbub_protocol::event::Event::decode(&push).expect("our own form");
                assert_eq!(event.seq, after.next(), "a hole in room {room}");
                after = event.seq;
                if let (EventBody::MessageCreated(_), Some(key)) = (&event.body, event.key) {
                    stored.entry((*room, key)).or_default().push(event.seq);
                }
            }
            if next.is_none() {
                break;
            }
        }
        heads.insert(*room, after);
    }
    assert_eq!(acknowledged.len(), 800);
    for (room, seq, key) in acknowledged {
        assert_eq!(stored.get(&(room, key)), Some(&vec![seq]), "acknowledged once, stored once");
    }
    let mut ledger = Ledger::default();
    reads_until(&mut updates, &mut ledger, &heads).await;
    assert_eq!(ledger.faults(), hubbub_client::ledger::Faults::default());
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_reaches_a_member_after_the_removal_is_answered() {
    let node = Node::fresh(&[]);
    let (people, rooms) = community_of(&node, 2, 1).await;
    let (owner, removed) = (&people[0], &people[1]);
    let (sender, _owners) = owner.connects().await;
    let (client, mut updates) = removed.connects().await;
    client.subscribe(rooms[0], None, Mode::Live).await.expect("a member may");
    let community =
        owner.rest.get::<hubbub_protocol::rest::Page<hubbub_protocol::rest::Community>>("/v1/communities");
    let community = community.await.expect("one's own").items[0].id;
    let before = sender.send(rooms[0], "before", None).await.expect("a member may");
    let path = format!("/v1/communities/{community}/members/{}", removed.signed.user.id);
    owner.rest.delete(&path).await.expect("its owner may");
    sender.send(rooms[0], "after", None).await.expect("a member may");
    tokio::time::sleep(Duration::from_millis(300)).await;
    let mut seen = Vec::new();
    let mut told = false;
    while let Ok(Some(update)) = tokio::time::timeout(Duration::from_millis(300), updates.next()).await {
        match update {
            Update::Event(event, _) => seen.push(event.seq),
            Update::Push(hubbub_protocol::push::Push::Community { removed: true, .. }) => told = true,
            _ => {}
        }
    }
    assert_eq!(seen, [before.seq]);
    assert!(told, "the removed member's device was not told");
    let refused = client.request(Op::Typing { room: rooms[0] }).await;
    assert!(refused.is_err(), "a removed member may still type");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_stops_when_asked_and_clients_come_back_to_the_next() {
    let mut node = Node::fresh(&[]);
    let (people, rooms) = community_of(&node, 1, 1).await;
    let (client, mut updates) = people[0].connects().await;
    client.subscribe(rooms[0], Some(Seq(0)), Mode::Live).await.expect("a member may");
    client.send(rooms[0], "one", None).await.expect("a member may");
    assert_eq!(node.stop(), Some(0));
    let _node = node.killed_and_started_again(&[]);
    client.send(rooms[0], "two", None).await.expect("sent once the node is back");
    let mut ledger = Ledger::default();
    reads_until(&mut updates, &mut ledger, &BTreeMap::from([(rooms[0], Seq(2))])).await;
    assert_eq!(ledger.faults(), hubbub_client::ledger::Faults::default());
}
