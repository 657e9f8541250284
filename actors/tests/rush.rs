//! Thousands who come at once: a node that has never seen them asks the store a few times for all of them.

mod support;

use std::sync::Arc;

use hubbub_actors::{Caller, Connection, HubConfig};
use hubbub_protocol::ids::{RoomId, Seq};
use hubbub_storage::{NoCache, mem::MemStore};
use support::{Client, Recorder, World};

/// People, each with [`DEVICES`] devices.
const PEOPLE: usize = 60;
const DEVICES: usize = 5;
/// Reads that restoring them all may take. One by one, each session takes six and more.
const READS_MAX: u64 = 60;

async fn node(store: &Arc<MemStore>) -> World {
    World::with_cache(HubConfig::default(), store.clone(), Arc::new(NoCache)).await
}

async fn devices(world: &World, people: &[Caller], room: RoomId) -> Vec<(Caller, Client)> {
    let mut devices = Vec::new();
    for caller in people {
        for _ in 0..DEVICES {
            let client = world.connect(*caller).await;
            client.follow(2, room).await;
            devices.push((*caller, client));
        }
    }
    devices
}

async fn resume(world: &World, caller: Caller, token: &str, cursor: (RoomId, Seq)) -> Arc<Recorder> {
    let back = world.recorder();
    let connection: Arc<dyn Connection> = back.clone();
    world.hub.sessions().resume(connection, 1, caller, token, vec![cursor]).await.expect("the session is known");
    back.until("resumed", |frame| frame["ev"] == "resumed").await;
    back
}

#[tokio::test]
async fn sessions_that_come_at_once_to_another_node_are_restored_with_a_few_reads() {
    let store = Arc::new(MemStore::new());
    let first = node(&store).await;
    let mut people = Vec::new();
    for number in 0..PEOPLE {
        people.push(first.user(&format!("user{number}")).await);
    }
    let (_, room) = first.community(people[0], &people[1..]).await;
    let before = devices(&first, &people, room).await;
    let cursor = (room, first.say(people[0], room, "seen by all").await);
    first.say(people[1], room, "missed by all").await;
    let context = first.hub.context();
    context.unsaved.flush(context).await.expect("saved");

    let second = node(&store).await;
    let tokens: Vec<(Caller, String)> =
        before.iter().map(|(caller, client)| (*caller, client.session().0)).collect();
    let read_before = store.faults().reads();
    let resumed = tokens.iter().map(|(caller, token)| resume(&second, *caller, token, cursor));
    let resumed = futures_util::future::join_all(resumed).await;
    let reads = store.faults().reads() - read_before;
    assert!(reads <= READS_MAX, "{reads} reads for {} sessions", tokens.len());

    second.say(people[2], room, "heard by all").await;
    for back in resumed {
        back.until("told", |frame| frame["data"]["text"] == "heard by all").await;
        let frames = back.frames();
        let texts: Vec<&str> = frames.iter().filter_map(|frame| frame["data"]["text"].as_str()).collect();
        assert_eq!(texts, ["missed by all", "heard by all"]);
    }
}
