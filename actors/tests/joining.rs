//! Ways in: invites that many use at once, joining twice, conversations begun from both ends.

mod support;

use hubbub_actors::Caller;
use hubbub_protocol::{
    error::ErrorCode,
    ids::{CommunityId, Seq},
    rest,
};
use hubbub_storage::{MetaStore, mem::AppendFault};
use support::World;

async fn closed_community(world: &World, owner: Caller) -> CommunityId {
    let wanted = rest::CreateCommunity { name: "closed".into(), description: String::new(), public: false };
    world.hub.communities().create(owner, wanted).await.expect("a community").id
}

fn invite(max_uses: Option<u32>, expires_in_s: Option<u64>) -> rest::CreateInvite {
    rest::CreateInvite { max_uses, expires_in_s, roles: vec![] }
}

/// Types of the events of a community's log.
async fn log(world: &World, owner: Caller, community: CommunityId) -> Vec<String> {
    let (pushes, _) = world.hub.rooms().events(owner, community.log(), Seq(0), 100).await.expect("ada may look");
    let kind = |push: &bytes::Bytes| {
        let push: serde_json::Value = serde_json::from_slice(push).expect("a push");
        push["type"].as_str().expect("a type").to_owned()
    };
    pushes.iter().map(kind).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_invite_for_three_lets_three_in_however_many_try_at_once() {
    let world = World::new().await;
    let ada = world.user("ada").await;
    let community = closed_community(&world, ada).await;
    let communities = world.hub.communities();
    communities.create_invite(ada, community, invite(Some(3), None), "door".into()).await.expect("ada may");
    let mut trying = tokio::task::JoinSet::new();
    for n in 0..12 {
        let caller = world.user(&format!("user{n}")).await;
        let communities = world.hub.communities();
        trying.spawn(async move { communities.accept_invite(caller, "door").await.map(|_| ()) });
    }
    let tried = trying.join_all().await;
    let refused: Vec<ErrorCode> = tried.iter().filter_map(|tried| tried.as_ref().err().map(|r| r.code)).collect();
    assert_eq!(refused, [ErrorCode::NotFound; 9]);
    assert_eq!(world.store.member_count(community).await.expect("a read"), 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn accepting_again_uses_nothing_up_even_at_the_same_time() {
    let world = World::new().await;
    let (ada, bob, eve) = (world.user("ada").await, world.user("bob").await, world.user("eve").await);
    let community = closed_community(&world, ada).await;
    let communities = world.hub.communities();
    communities.create_invite(ada, community, invite(Some(1), None), "door".into()).await.expect("ada may");
    let mut trying = tokio::task::JoinSet::new();
    world.store.faults().hold_appends();
    for _ in 0..8 {
        let communities = world.hub.communities();
        trying.spawn(async move { communities.accept_invite(bob, "door").await });
    }
    world.release_slowly().await;
    for tried in trying.join_all().await {
        let joined = tried.expect("bob is in, or comes in");
        assert_eq!(joined.rooms.len(), 1);
    }
    assert_eq!(log(&world, ada, community).await.iter().filter(|kind| *kind == "member.joined").count(), 2);
    let used = world.store.invite("door").await.expect("a read").expect("an invite");
    assert_eq!(used.uses, 1);
    assert_eq!(communities.accept_invite(eve, "door").await.expect_err("used up").code, ErrorCode::NotFound);
    assert_eq!(communities.preview_invite("door").await.expect_err("used up").code, ErrorCode::NotFound);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_invite_is_not_used_up_by_a_join_that_fails() {
    let world = World::new().await;
    let (ada, bob, eve) = (world.user("ada").await, world.user("bob").await, world.user("eve").await);
    let community = closed_community(&world, ada).await;
    let communities = world.hub.communities();
    communities.create_invite(ada, community, invite(Some(1), None), "door".into()).await.expect("ada may");
    world.store.faults().next_append(AppendFault::TakenOver);
    let refused = communities.accept_invite(bob, "door").await.expect_err("nothing was stored");
    assert_eq!(refused.code, ErrorCode::Unavailable);
    assert_eq!(communities.preview_invite("door").await.expect("open again").code, "door");
    communities.accept_invite(bob, "door").await.expect("the use was given back");
    assert_eq!(communities.accept_invite(eve, "door").await.expect_err("used up").code, ErrorCode::NotFound);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_use_that_let_somebody_in_stays_used_though_the_answer_was_lost() {
    let world = World::new().await;
    let (ada, bob, eve) = (world.user("ada").await, world.user("bob").await, world.user("eve").await);
    let community = closed_community(&world, ada).await;
    let communities = world.hub.communities();
    communities.create_invite(ada, community, invite(Some(1), None), "door".into()).await.expect("ada may");
    world.store.faults().hold_appends();
    let waiting = tokio::spawn({
        let communities = communities.clone();
        async move { communities.accept_invite(bob, "door").await }
    });
    world.store.faults().until_held(1).await;
    waiting.abort();
    assert!(waiting.await.expect_err("bob went away").is_cancelled());
    world.store.faults().release_appends();
    let again = communities.accept_invite(bob, "door").await.expect("bob is in");
    assert_eq!(again.community.id, community);
    assert_eq!(communities.accept_invite(eve, "door").await.expect_err("used up").code, ErrorCode::NotFound);
    assert_eq!(world.store.member_count(community).await.expect("a read"), 2);
}

#[tokio::test]
async fn an_invite_that_is_over_or_revoked_leads_nowhere() {
    let world = World::new().await;
    let (ada, bob) = (world.user("ada").await, world.user("bob").await);
    let community = closed_community(&world, ada).await;
    let communities = world.hub.communities();
    communities.create_invite(ada, community, invite(None, Some(60)), "short".into()).await.expect("ada may");
    communities.create_invite(ada, community, invite(None, None), "gone".into()).await.expect("ada may");
    assert_eq!(communities.preview_invite("short").await.expect("open").community.id, community);
    world.advance(61_000);
    communities.revoke_invite(ada, community, "gone").await.expect("ada may");
    for code in ["short", "gone", "never"] {
        let refused = communities.accept_invite(bob, code).await.expect_err(code);
        assert_eq!(refused.code, ErrorCode::NotFound, "{code}");
    }
    assert_eq!(communities.join(bob, community).await.expect_err("not public").code, ErrorCode::NotFound);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_who_write_to_each_other_at_once_have_one_conversation() {
    let world = World::new().await;
    let (ada, bob) = (world.user("ada").await, world.user("bob").await);
    world.community(ada, &[bob]).await;
    let mut trying = tokio::task::JoinSet::new();
    world.store.faults().hold_appends();
    for (from, to) in [(ada, bob), (bob, ada), (ada, bob), (bob, ada)] {
        let communities = world.hub.communities();
        trying.spawn(async move { communities.create_dm(from, vec![to.user]).await.expect("acquainted").id });
    }
    world.release_slowly().await;
    let mut rooms = trying.join_all().await;
    rooms.dedup();
    assert_eq!(rooms.len(), 1);
    let stranger = world.user("eve").await;
    let refused = world.hub.communities().create_dm(stranger, vec![ada.user]).await;
    assert_eq!(refused.expect_err("a stranger").code, ErrorCode::NotFound);
}

#[tokio::test]
async fn a_group_has_ten_members_at_most() {
    let world = World::new().await;
    let ada = world.user("ada").await;
    let mut others = Vec::new();
    for n in 0..10 {
        others.push(world.user(&format!("user{n}")).await);
    }
    world.community(ada, &others).await;
    let communities = world.hub.communities();
    let users: Vec<_> = others.iter().map(|other| other.user).collect();
    assert_eq!(communities.create_dm(ada, users.clone()).await.expect_err("eleven").code, ErrorCode::BadRequest);
    let group = communities.create_dm(ada, users[..9].to_vec()).await.expect("ten").id;
    let refused = communities.add_room_member(ada, group, users[9]).await;
    assert_eq!(refused.expect_err("the eleventh").code, ErrorCode::Conflict);
    communities.remove_room_member(others[0], group, users[0]).await.expect("anyone may leave");
    communities.add_room_member(ada, group, users[9]).await.expect("there is a place now");
}

#[tokio::test]
async fn devices_of_whoever_joins_and_leaves_are_told() {
    let world = World::new().await;
    let (ada, bob) = (world.user("ada").await, world.user("bob").await);
    let phone = world.connect(bob).await;
    let (community, _) = world.community(ada, &[bob]).await;
    let of_it =
        |frame: &serde_json::Value| frame["ev"] == "community" && frame["community"] == community.to_string();
    phone.until("told of it", |frame| of_it(frame) && frame["name"] == "lab").await;
    world.hub.communities().remove_member(bob, community, bob.user, None).await.expect("anyone may leave");
    phone.until("told of it", |frame| of_it(frame) && frame["removed"] == true).await;
    let told = ["member.joined", "room.created", "member.joined", "member.left"];
    assert_eq!(log(&world, ada, community).await, told);
}
