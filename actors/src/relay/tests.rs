//! Who may follow is judged by the relay itself.

use std::sync::Arc;

use hubbub_protocol::op::{Intents, Mode};
use parking_lot::Mutex;

use super::*;
use crate::{room::handle, support::World};

/// The request was judged before the kick and arrives after it, when nobody revokes any more.
#[tokio::test]
async fn a_follower_judged_before_a_kick_who_arrives_after_it_is_not_let_in() {
    let world = World::new().await;
    let (ada, bob) = (world.user("ada").await, world.user("bob").await);
    let (community, general) = world.community(ada, &[bob]).await;
    let access = world.hub.directory().access(bob.user, general).await.expect("a member");
    world.hub.communities().remove_member(ada, community, bob.user, None).await.expect("ada owns it");

    let (told, connection) = (Arc::new(Mutex::new(0)), world.recorder());
    let of_ada = world.hub.directory().access(ada.user, general).await.expect("a member");
    for (session, caller, access) in [(1, bob, access), (2, ada, of_ada)] {
        let (user, connection) = (caller.user, connection.clone());
        let follower = Follower { session, user, access, connection, mode: Mode::Live, intents: Intents::ALL };
        let told = told.clone();
        let reply = Box::new(move |_| *told.lock() += 1);
        handle::follow(world.hub.context(), general, Box::new(follower), None, reply).expect("there is room");
    }
    world.say(ada, general, "after").await;
    connection.until("told", |frame| frame["data"]["text"] == "after").await;
    let after = connection.frames().iter().filter(|frame| frame["data"]["text"] == "after").count();
    assert_eq!((*told.lock(), after), (1, 1), "ada alone was answered and is sent events");
}
