//! Sessions whose client does not come back, or comes back at the last moment.

mod support;

use hubbub_actors::{Connection, observe::Observed, session::SessionMessage};
use hubbub_protocol::{error::CloseCode, ids::Seq};
use support::World;

/// On one thread, so that the client's return is queued behind the end of its session.
#[tokio::test]
async fn who_comes_back_as_the_session_ends_is_sent_away_and_then_served() {
    let world = World::new().await;
    let (ada, bob) = (world.user("ada").await, world.user("bob").await);
    let (_, room) = world.community(ada, &[bob]).await;
    let client = world.connect(bob).await;
    client.follow(2, room).await;
    let head = world.say(ada, room, "before").await;
    let (token, session) = client.session();
    let context = world.hub.context();

    client.disconnect();
    context.sessions.send(context, session, SessionMessage::Expire { stay: 1 }).expect("it is there");
    let late = world.recorder();
    let resume = async |to: &std::sync::Arc<support::Recorder>, cursors: Vec<_>| {
        let connection: std::sync::Arc<dyn Connection> = to.clone();
        world.hub.sessions().resume(connection, 1, bob, &token, cursors).await
    };
    resume(&late, vec![]).await.expect("the session was still there");
    let gone = async {
        while late.closed().is_none() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(5), gone).await.expect("nobody is left waiting");
    assert_eq!((late.closed(), late.frames()), (Some(CloseCode::GoingAway), vec![]));

    let back = world.recorder();
    let missed = world.say(ada, room, "meanwhile").await;
    resume(&back, vec![(room, head)]).await.expect("restored from what was saved");
    let answer = back.until("resumed", |frame| frame["re"] == 1).await;
    assert_eq!(answer["ok"]["rooms"][room.to_string()]["replay"], 1, "{answer}");
    back.until("sent what was missed", |frame| frame["seq"] == missed.0).await;
    assert_eq!(missed, Seq(head.0 + 1));
}

#[tokio::test]
async fn an_old_expiry_does_not_end_a_new_stay() {
    let world = World::new().await;
    let ada = world.user("ada").await;
    let client = world.connect(ada).await;
    let (token, session) = client.session();
    client.disconnect();
    let back = world.recorder();
    let connection: std::sync::Arc<dyn Connection> = back.clone();
    world.hub.sessions().resume(connection, 1, ada, &token, vec![]).await.expect("it waits for its client");
    let context = world.hub.context();
    context.sessions.send(context, session, SessionMessage::Expire { stay: 1 }).expect("it is there");
    let observed = world.hub.observe_user(ada.user).await.sessions;
    assert!(matches!(observed[..], [Observed::Here(session)] if session.connected && session.connections == 2));
    assert_eq!(back.closed(), None);
}
