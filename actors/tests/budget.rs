//! What leaves memory when there is no place for all, and that nobody loses anything by it.

mod support;

use std::sync::Arc;

use hubbub_actors::{Caller, Connection, HubConfig, budget, observe::Observed, room::NewPost};
use hubbub_protocol::ids::{CommunityId, MessageKey, RoomId, Seq};
use support::World;

/// A node with place for `actors_max`, of which four fifths stay.
async fn small_world(actors_max: usize) -> World {
    World::with(HubConfig { actors_max, ..HubConfig::default() }).await
}

async fn rooms(world: &World, owner: Caller, community: CommunityId, count: usize) -> Vec<RoomId> {
    let mut rooms = Vec::new();
    for n in 0..count {
        rooms.push(world.public_room(owner, community, &format!("room {n}")).await);
    }
    rooms
}

/// Those of `rooms` that are in memory.
async fn in_memory(world: &World, rooms: &[RoomId]) -> Vec<RoomId> {
    let mut here = Vec::new();
    for room in rooms {
        if world.hub.observe_room(*room).await.room != Observed::NotHere {
            here.push(*room);
        }
    }
    here
}

#[tokio::test]
async fn the_rooms_used_least_lately_leave_and_go_on_where_they_were() {
    let world = small_world(10).await;
    let ada = world.user("ada").await;
    let (community, _) = world.community(ada, &[]).await;
    let rooms = rooms(&world, ada, community, 12).await;
    let mut heads = Vec::new();
    for room in &rooms {
        heads.push(world.say(ada, *room, "first").await);
    }
    let key = MessageKey(uuid::Uuid::now_v7());
    let post = NewPost { key, text: "once".into(), reply_to: None, files: vec![], retry: false };
    let once = world.hub.rooms().post(ada, rooms[0], post.clone()).await.expect("stored");

    let gone = budget::sweep(world.hub.context()).expect("there are too many");
    assert!(gone > 0, "{gone}");
    let stayed = in_memory(&world, &rooms).await;
    let wanted: Vec<RoomId> = [rooms[0]].into_iter().chain(rooms[rooms.len() - 7..].iter().copied()).collect();
    assert_eq!(stayed, wanted, "the one used again, and the last");
    assert_eq!(u64::try_from(gone).ok(), Some(world.hub.observe().passivated));

    for (room, head) in rooms.iter().zip(&heads).skip(1) {
        assert_eq!(world.say(ada, *room, "again").await, Seq(head.0 + 1));
    }
    let _ = budget::sweep(world.hub.context());
    assert!(!in_memory(&world, &rooms).await.contains(&rooms[0]));
    let repeat = world.hub.rooms().post(ada, rooms[0], post).await.expect("known");
    assert_eq!((repeat.seq, repeat.repeat), (once.seq, true), "a repeat is known after the room was away");
    assert_eq!(world.hub.observe().actors_failed, 0);
}

#[tokio::test]
async fn whoever_is_needed_stays_whatever_the_budget() {
    let world = small_world(1).await;
    let (ada, bob) = (world.user("ada").await, world.user("bob").await);
    let (community, room) = world.community(ada, &[bob]).await;
    let client = world.connect(bob).await;
    client.follow(2, room).await;
    world.say(ada, room, "one").await;
    while budget::sweep(world.hub.context()) != Some(0) {
        tokio::task::yield_now().await;
    }
    let observed = world.hub.observe_room(room).await;
    assert!(matches!(observed.relay, Observed::Here(relay) if relay.live == 1), "{observed:?}");
    assert_eq!(in_memory(&world, &[room, community.log()]).await, [room], "nobody follows the community's log");
    let user = world.hub.observe_user(bob.user).await;
    assert!(matches!(user.sessions[..], [Observed::Here(session)] if session.connected), "{user:?}");
    world.say(ada, room, "two").await;
    client.until("told", |frame| frame["data"]["text"] == "two").await;
    assert_eq!(client.events_of(room), ["one", "two"]);
}

#[tokio::test]
async fn sessions_longest_away_leave_first_and_resume_without_loss() {
    let world = small_world(10).await;
    let (ada, bob, eve) = (world.user("ada").await, world.user("bob").await, world.user("eve").await);
    let (_, room) = world.community(ada, &[bob, eve]).await;
    let (first, second) = (world.connect(bob).await, world.connect(eve).await);
    first.follow(2, room).await;
    second.follow(2, room).await;
    let head = world.say(ada, room, "seen by both").await;
    for client in [&first, &second] {
        client.until("told", |frame| frame["seq"] == head.0).await;
    }
    // Two sessions, two users, the room, its relay, the community's log: one needs two more to be too many.
    first.disconnect();
    assert!(matches!(world.hub.observe_user(bob.user).await.sessions[..], [Observed::Here(s)] if !s.connected));
    second.disconnect();
    assert!(matches!(world.hub.observe_user(eve.user).await.sessions[..], [Observed::Here(s)] if !s.connected));
    let third = world.connect(ada).await;
    assert_eq!(budget::sweep(world.hub.context()), Some(1), "{:?}", world.hub.observe());
    let gone = async {
        while world.hub.sessions().count() != 2 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(5), gone).await.expect("one session ends");
    assert_eq!(world.hub.observe_user(bob.user).await.sessions, [], "who went first is let go first");
    assert_eq!(world.hub.observe_user(eve.user).await.sessions.len(), 1);
    third.settle(9).await;

    let missed = world.say(ada, room, "missed").await;
    let back = world.recorder();
    let connection: Arc<dyn Connection> = back.clone();
    let (token, _) = first.session();
    world.hub.sessions().resume(connection, 1, bob, &token, vec![(room, head)]).await.expect("restored");
    back.until("sent what was missed", |frame| frame["seq"] == missed.0).await;
}

#[tokio::test]
async fn a_room_that_leaves_answers_what_is_on_its_way_to_the_disk() {
    let world = small_world(0).await;
    let ada = world.user("ada").await;
    let (_, room) = world.community(ada, &[]).await;
    let head = world.say(ada, room, "first").await;
    world.store.faults().hold_appends();
    let (second, third) = tokio::join!(world.say(ada, room, "second"), async {
        world.store.faults().until_held(1).await;
        assert!(budget::sweep(world.hub.context()) > Some(0));
        assert_eq!(in_memory(&world, &[room]).await, []);
        // A successor that comes meanwhile begins after what is held.
        let (third, ()) = tokio::join!(world.say(ada, room, "third"), async {
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            world.store.faults().release_appends();
        });
        third
    });
    assert_eq!((second, third), (Seq(head.0 + 1), Seq(head.0 + 2)));
    assert_eq!(world.hub.observe().actors_failed, 0);
}
