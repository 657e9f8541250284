//! Whoever loses a right is sent nothing that is committed after the answer, and told nothing more.

mod support;

use std::sync::atomic::{AtomicBool, Ordering};

use hubbub_actors::Caller;
use hubbub_protocol::{error::ErrorCode, ids::RoomId, permissions::Permissions, rest};
use hubbub_storage::{Effect, MetaStore, facts};
use support::World;

fn private(private: bool) -> rest::UpdateRoom {
    rest::UpdateRoom { private: Some(private), ..rest::UpdateRoom::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kicked_member_is_sent_nothing_after_the_answer() {
    let world = World::new().await;
    let (ada, bob) = (world.user("ada").await, world.user("bob").await);
    let (community, general) = world.community(ada, &[bob]).await;
    let phone = world.connect(bob).await;
    assert!(phone.follow(2, general).await["ok"].is_object());
    world.say(ada, general, "before").await;
    phone.until("told of it", |frame| frame["data"]["text"] == "before").await;

    let (hub, busy) = (world.hub.clone(), AtomicBool::new(true));
    let talk = async {
        while busy.load(Ordering::Relaxed) {
            world.say(ada, general, "during").await;
        }
    };
    // So that only the relay's letting go counts, not the session's.
    phone.keep_busy(100);
    let kick = async {
        hub.communities().remove_member(ada, community, bob.user, Some("spam".into())).await.expect("ada owns it");
        let seen = phone.events_of(general).len();
        busy.store(false, Ordering::Relaxed);
        seen
    };
    let (seen, ()) = tokio::join!(kick, talk);
    for _ in 0..20 {
        world.say(ada, general, "after").await;
    }
    phone.until("told of the removal", |frame| frame["ev"] == "community" && frame["removed"] == true).await;
    phone.settle(3).await;
    assert_eq!(phone.events_of(general).len(), seen, "events after the answer");
    let refused = phone.follow(4, general).await;
    assert_eq!(refused["error"]["code"], "not_member", "it is public, so it may be known");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_who_is_just_subscribing_when_kicked_is_sent_nothing_either() {
    let world = World::new().await;
    let ada = world.user("ada").await;
    let (community, general) = world.community(ada, &[]).await;
    for round in 0..40 {
        let bob = world.user(&format!("bob{round}")).await;
        world.hub.communities().join(bob, community).await.expect("it is public");
        let phone = world.connect(bob).await;
        let follow = phone.follow(2, general);
        let kick = world.hub.communities();
        let kick = async {
            kick.remove_member(ada, community, bob.user, None).await.expect("ada owns it");
            world.say(ada, general, "after").await;
        };
        tokio::join!(follow, kick);
        phone.settle(3).await;
        assert!(!phone.events_of(general).contains(&"after".to_owned()), "round {round}");
    }
}

#[tokio::test]
async fn only_those_with_the_right_kick_and_nobody_kicks_the_owner() {
    let world = World::new().await;
    let (ada, bob, eve) = (world.user("ada").await, world.user("bob").await, world.user("eve").await);
    let (community, _) = world.community(ada, &[bob, eve]).await;
    let communities = world.hub.communities();
    let code = |refused: Result<(), hubbub_protocol::error::Refusal>| refused.expect_err("no right").code;
    assert_eq!(code(communities.remove_member(bob, community, eve.user, None).await), ErrorCode::Forbidden);
    promote(&world, community, bob).await;
    promote(&world, community, eve).await;
    assert_eq!(code(communities.remove_member(bob, community, ada.user, None).await), ErrorCode::Forbidden);
    assert_eq!(code(communities.remove_member(bob, community, eve.user, None).await), ErrorCode::Forbidden);
    assert_eq!(code(communities.remove_member(ada, community, ada.user, None).await), ErrorCode::Forbidden);
    communities.remove_member(ada, community, eve.user, None).await.expect("the owner may");
    assert_eq!(code(communities.remove_member(ada, community, eve.user, None).await), ErrorCode::NotFound);
    assert_eq!(code(communities.remove_member(eve, community, bob.user, None).await), ErrorCode::Forbidden);
    communities.remove_member(bob, community, bob.user, None).await.expect("anyone may leave");
}

async fn promote(world: &World, community: hubbub_protocol::ids::CommunityId, who: Caller) {
    let member = facts::Member {
        community,
        user: who.user,
        extra_permissions: Permissions::KICK | Permissions::MANAGE_ROOM,
        joined_at: world.hub.now(),
    };
    world.store.apply(&[Effect::PutMember(member)]).await.expect("the store works");
    world.hub.directory().forget_member(community, who.user);
}

#[tokio::test]
async fn a_kick_that_cannot_be_carried_out_changes_nothing() {
    let world = World::new().await;
    let (ada, bob) = (world.user("ada").await, world.user("bob").await);
    let (community, general) = world.community(ada, &[bob]).await;
    let phone = world.connect(bob).await;
    phone.follow(2, general).await;
    // Judged from memory from here on.
    world.hub.directory().access(ada.user, general).await.expect("ada is a member");
    world.store.faults().fail_reads(true);
    let refused = world.hub.communities().remove_member(ada, community, bob.user, None).await;
    world.store.faults().fail_reads(false);
    assert_eq!(refused.expect_err("nothing can be read").code, ErrorCode::Unavailable);
    // Refused before anything was committed: bob is still a member and still told.
    assert!(world.store.member(community, bob.user).await.expect("a read").is_some());
    world.say(ada, general, "still here").await;
    phone.until("told", |frame| frame["data"]["text"] == "still here").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_room_that_turns_private_lets_go_of_everyone_else_before_the_answer() {
    let world = World::new().await;
    let (ada, bob) = (world.user("ada").await, world.user("bob").await);
    let (_, general) = world.community(ada, &[bob]).await;
    let seq = world.say(ada, general, "a topic").await;
    let thread = world.hub.rooms().thread(ada, general, seq, None).await.expect("a thread").room;
    let (phone, desk) = (world.connect(bob).await, world.connect(ada).await);
    for (client, id) in [(&phone, 2), (&desk, 2)] {
        assert!(client.follow(id, general).await["ok"].is_object());
        assert!(client.follow(id + 1, thread).await["ok"].is_object());
    }
    let change = rest::UpdateRoom { name: Some("hidden".into()), ..private(true) };
    world.hub.communities().update_room(ada, general, change).await.expect("ada owns it");
    world.say(ada, general, "secret").await;
    world.say(ada, thread, "secret too").await;
    desk.until("told", |frame| frame["data"]["text"] == "secret too").await;
    desk.until("told", |frame| frame["data"]["text"] == "secret").await;
    phone.settle(9).await;
    for room in [general, thread] {
        assert!(!phone.events_of(room).iter().any(|text| text.starts_with("secret")), "{:?}", phone.frames());
    }
    phone.until("told it is gone", |frame| frame["ev"] == "community" && frame["private"] == true).await;
    let pushes = phone.frames().into_iter().filter(|frame| frame["ev"] == "community");
    assert!(pushes.into_iter().all(|push| push["name"] != "hidden"), "the new name is none of bob's business");
    for room in [general, thread] {
        let refused = world.hub.rooms().message(bob, room, seq).await.expect_err("no right");
        assert_eq!(refused.code, ErrorCode::NotFound);
    }
}

#[tokio::test]
async fn members_of_an_earlier_private_time_are_none_when_a_room_turns_private_again() {
    let world = World::new().await;
    let (ada, bob) = (world.user("ada").await, world.user("bob").await);
    let (community, _) = world.community(ada, &[bob]).await;
    let room = world.private_room(ada, community).await.id;
    let communities = world.hub.communities();
    communities.add_room_member(ada, room, bob.user).await.expect("bob is of the community");
    world.hub.directory().access(bob.user, room).await.expect("a member now");
    communities.update_room(ada, room, private(false)).await.expect("ada owns it");
    communities.update_room(ada, room, private(true)).await.expect("ada owns it");
    let refused = world.hub.directory().access(bob.user, room).await.expect_err("nobody let bob in");
    assert_eq!(refused.code, ErrorCode::NotFound);
    let members = communities.room_members(ada, room, None, 10, None).await.expect("ada sees them");
    assert_eq!(members.iter().map(|member| member.user.id).collect::<Vec<_>>(), [ada.user]);
}

#[tokio::test]
async fn nobody_outside_is_told_of_a_private_room() {
    let world = World::new().await;
    let (ada, bob) = (world.user("ada").await, world.user("bob").await);
    let (community, _) = world.community(ada, &[bob]).await;
    let phone = world.connect(bob).await;
    let room = world.private_room(ada, community).await.id;
    let communities = world.hub.communities();
    let change = rest::UpdateRoom { topic: Some("very secret".into()), ..rest::UpdateRoom::default() };
    communities.update_room(ada, room, change).await.expect("ada owns it");
    communities.delete_room(ada, room).await.expect("ada owns it");
    phone.settle(2).await;
    let id = room.to_string();
    assert!(!phone.frames().iter().any(|frame| frame.to_string().contains(&id)), "{:?}", phone.frames());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_removal_is_the_last_that_a_removed_member_is_sent_of_a_room() {
    let world = World::new().await;
    let (ada, bob) = (world.user("ada").await, world.user("bob").await);
    let (community, _) = world.community(ada, &[bob]).await;
    let room: RoomId = world.private_room(ada, community).await.id;
    for round in 0..10 {
        world.hub.communities().add_room_member(ada, room, bob.user).await.expect("bob is of the community");
        let phone = world.connect(bob).await;
        assert!(phone.follow(2, room).await["ok"].is_object());
        let (hub, busy) = (world.hub.clone(), AtomicBool::new(true));
        let talk = async {
            while busy.load(Ordering::Relaxed) {
                world.say(ada, room, "talk").await;
            }
        };
        let remove = async {
            tokio::task::yield_now().await;
            hub.communities().remove_room_member(ada, room, bob.user).await.expect("ada owns it");
            busy.store(false, Ordering::Relaxed);
        };
        tokio::join!(remove, talk);
        phone.until("told", |frame| frame["type"] == "member.removed").await;
        phone.settle(3).await;
        let last = phone.events_of(room).pop();
        assert_eq!(last.as_deref(), Some("member.removed"), "round {round}");
        let refused = phone.follow(4, room).await;
        assert_eq!(refused["error"]["code"], "not_found");
    }
}

#[tokio::test]
async fn an_owner_who_leaves_a_private_room_still_follows_it() {
    let world = World::new().await;
    let ada = world.user("ada").await;
    let (community, _) = world.community(ada, &[]).await;
    let room = world.private_room(ada, community).await.id;
    let desk = world.connect(ada).await;
    desk.follow(2, room).await;
    world.hub.communities().remove_room_member(ada, room, ada.user).await.expect("anyone may leave");
    world.say(ada, room, "I own the place").await;
    desk.until("told", |frame| frame["data"]["text"] == "I own the place").await;
}

#[tokio::test]
async fn a_deleted_community_is_gone_for_everyone() {
    let world = World::new().await;
    let (ada, bob) = (world.user("ada").await, world.user("bob").await);
    let (community, general) = world.community(ada, &[bob]).await;
    let phone = world.connect(bob).await;
    phone.follow(2, general).await;
    let communities = world.hub.communities();
    assert_eq!(communities.delete(bob, community).await.expect_err("not his").code, ErrorCode::Forbidden);
    communities.delete(ada, community).await.expect("hers");
    phone.until("told", |frame| frame["ev"] == "community" && frame["removed"] == true).await;
    for caller in [ada, bob] {
        assert_eq!(communities.get(caller, community).await.expect_err("gone").code, ErrorCode::NotFound);
        assert_eq!(communities.room(caller, general).await.expect_err("gone").code, ErrorCode::NotFound);
    }
}
