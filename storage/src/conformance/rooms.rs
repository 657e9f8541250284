//! Rooms, and the members of those that have their own.

use std::sync::Arc;

use hubbub_protocol::{
    ids::{CommunityId, RoomId, Seq, UserId},
    room::{Parent, RoomKind},
    time::Timestamp,
};

use super::{
    accounts::user,
    communities::{CATS, OWLS, apply, community, joins, member, puts},
    invites::invite,
    world::{ADA, BOB, EVE, Owner, SHARD, says},
};
use crate::{
    Effect, Store,
    facts::{Room, User},
};

pub(super) fn room(id: RoomId, community: Option<CommunityId>, kind: RoomKind) -> Room {
    Room {
        id,
        community,
        kind,
        name: format!("room {id}"),
        topic: "all and nothing".into(),
        private: false,
        parent: None,
        category: None,
        position: 0,
        slow_mode_s: 0,
        archived: false,
        created_at: Timestamp(5),
    }
}

fn opens(room: &Room) -> Effect {
    Effect::PutRoom(Box::new(room.clone()))
}

const fn enters(room: RoomId, user: UserId) -> Effect {
    Effect::PutRoomMember { room, user }
}

fn ids(rooms: &[Room]) -> Vec<u64> {
    rooms.iter().map(|room| room.id.raw()).collect()
}

fn private(raw: u64, community: CommunityId) -> Room {
    Room { private: true, ..room(RoomId::from_raw(raw), Some(community), RoomKind::Text) }
}

pub async fn a_room_is_kept_and_replaced(store: Arc<dyn Store>) {
    let id = RoomId::from_raw(1);
    for kind in RoomKind::ALL {
        let plain = room(id, None, kind);
        let full = Room {
            community: Some(OWLS),
            name: "général 🦉".into(),
            private: true,
            parent: Some(Parent { room: RoomId::from_raw(2), seq: Seq(1 << 40) }),
            category: Some("talk".into()),
            position: -3,
            slow_mode_s: u32::MAX,
            archived: true,
            ..plain.clone()
        };
        for room in [plain, full] {
            apply(&store, &[opens(&room)]).await;
            let found = store.room(id).await.expect("a read");
            assert_eq!(found, Some(room));
        }
    }
    let missing = store.room(RoomId::from_raw(3)).await;
    assert_eq!(missing.expect("a read"), None);
}

pub async fn rooms_of_a_community_are_listed_by_position(store: Arc<dyn Store>) {
    let at = |raw, position, kind| Room { position, ..room(RoomId::from_raw(raw), Some(OWLS), kind) };
    let rooms = [
        at(4, 2, RoomKind::Text),
        at(3, 1, RoomKind::Forum),
        at(2, 1, RoomKind::Thread),
        at(1, 2, RoomKind::Announcement),
        at(9, -1, RoomKind::Text),
        private(8, OWLS),
        private(7, CATS),
    ];
    apply(&store, &rooms.map(|room| opens(&room))).await;
    let listed = store.rooms_of(OWLS, false).await.expect("a read");
    assert_eq!(ids(&listed), [9, 8, 3, 1, 4]);
    let listed = store.rooms_of(OWLS, true).await.expect("a read");
    assert_eq!(ids(&listed), [9, 8, 2, 3, 1, 4]);
    let none = store.rooms_of(CommunityId::from_raw(1), true).await;
    assert!(none.expect("a read").is_empty());
}

pub async fn a_room_of_own_membership_has_its_members(store: Arc<dyn Store>) {
    let (secret, group) = (RoomId::from_raw(20), RoomId::from_raw(10));
    let rooms = [private(20, OWLS), room(group, None, RoomKind::Group)];
    apply(&store, &rooms.map(|room| opens(&room))).await;
    for (raw, name) in [(1, "anna"), (2, "Bert"), (3, "ANNO")] {
        let id = UserId::from_raw(raw);
        let account = User { display: name.to_owned(), ..user(id, &format!("user{raw}")) };
        store.create_user(&account, None).await.expect("a new name");
        apply(&store, &[enters(secret, id), enters(secret, id)]).await;
    }
    let one = UserId::from_raw(1);
    apply(&store, &[enters(group, one)]).await;
    let own = store.own_rooms(one).await.expect("a read");
    assert_eq!(ids(&own), [10, 20], "by id");
    let mut of_many = store.own_rooms_of(&[UserId::from_raw(2), one, UserId::from_raw(9)]).await.expect("a read");
    assert!(of_many.is_sorted_by_key(|(_, room)| *room), "{of_many:?}");
    of_many.sort_unstable();
    assert_eq!(of_many, [(one, group), (one, secret), (UserId::from_raw(2), secret)]);
    let both = store.rooms(&[secret, RoomId::from_raw(77), group, secret]).await.expect("a read");
    assert_eq!(both.len(), 2);
    let page = async |after: Option<u64>, limit, prefix| {
        let after = after.map(UserId::from_raw);
        let users = store.room_members(secret, after, limit, prefix).await;
        let raw = |user: &User| user.id.raw();
        users.expect("a read").iter().map(raw).collect::<Vec<_>>()
    };
    assert_eq!(page(None, 10, None).await, [1, 2, 3]);
    assert_eq!(page(Some(1), 1, None).await, [2]);
    assert_eq!(page(None, 10, Some("ann")).await, [1, 3]);
    assert_eq!(page(Some(1), 10, Some("USER")).await, [2, 3]);
    assert_eq!(store.room_member_count(secret).await.expect("a read"), 3);
    let inside = async |room, user| store.is_room_member(room, user).await.expect("a read");
    assert!(inside(secret, UserId::from_raw(2)).await);
    assert!(!inside(group, UserId::from_raw(2)).await);
    let (room, user) = (secret, one);
    apply(&store, &[Effect::RemoveRoomMember { room, user }]).await;
    assert!(!inside(secret, one).await);
    assert_eq!(page(None, 10, None).await, [2, 3]);
    assert_eq!(store.room_member_count(secret).await.expect("a read"), 2);
    let own = store.own_rooms(one).await.expect("a read");
    assert_eq!(ids(&own), [10]);
}

pub async fn a_conversation_is_found_by_its_two_people(store: Arc<dyn Store>) {
    let between = async |one, other| {
        let there = store.dm_of(one, other).await.expect("a read");
        let back = store.dm_of(other, one).await.expect("a read");
        assert_eq!(there, back);
        there.map(|room| room.id.raw())
    };
    assert_eq!(between(ADA, BOB).await, None);
    let dms = [1, 2].map(|raw| room(RoomId::from_raw(raw), None, RoomKind::Dm));
    let group = room(RoomId::from_raw(3), None, RoomKind::Group);
    let effects = [
        opens(&group),
        enters(group.id, EVE),
        enters(group.id, ADA),
        opens(&dms[0]),
        enters(dms[0].id, ADA),
        enters(dms[0].id, BOB),
        opens(&dms[1]),
        enters(dms[1].id, BOB),
        enters(dms[1].id, EVE),
    ];
    apply(&store, &effects).await;
    assert_eq!(between(ADA, BOB).await, Some(1));
    assert_eq!(between(BOB, EVE).await, Some(2));
    assert_eq!(between(ADA, EVE).await, None, "a group is no conversation of two");
}

pub async fn who_leaves_a_community_leaves_its_private_rooms(store: Arc<dyn Store>) {
    let rooms = [private(1, OWLS), private(2, CATS)];
    let (owls, cats) = (rooms[0].id, rooms[1].id);
    apply(&store, &rooms.map(|room| opens(&room))).await;
    let effects = [
        puts(community(OWLS, "Owls", 1)),
        puts(community(CATS, "Cats", 1)),
        joins(member(OWLS, ADA)),
        joins(member(CATS, ADA)),
        joins(member(OWLS, BOB)),
        enters(owls, ADA),
        enters(owls, BOB),
        enters(cats, ADA),
    ];
    apply(&store, &effects).await;
    let (community, user) = (OWLS, ADA);
    apply(&store, &[Effect::RemoveMember { community, user }]).await;
    let inside = async |room, user| store.is_room_member(room, user).await.expect("a read");
    assert!(!inside(owls, ADA).await);
    assert!(inside(owls, BOB).await && inside(cats, ADA).await);
    assert_eq!(store.member(OWLS, ADA).await.expect("a read"), None);
}

pub async fn a_deleted_room_is_forgotten_and_its_log_stays(store: Arc<dyn Store>) {
    let room = private(1, OWLS);
    apply(&store, &[opens(&room), enters(room.id, ADA)]).await;
    let mut owner = Owner::of(&store, SHARD).await;
    owner.put(room.id, ADA, says("still here")).await;
    apply(&store, &[Effect::DeleteRoom(room.id)]).await;
    assert_eq!(store.room(room.id).await.expect("a read"), None);
    assert!(!store.is_room_member(room.id, ADA).await.expect("a read"));
    assert!(store.own_rooms(ADA).await.expect("a read").is_empty());
    assert_eq!(store.heads(&[room.id]).await.expect("a read"), [Seq(1)]);
    apply(&store, &[opens(&room)]).await;
    assert_eq!(store.room_member_count(room.id).await.expect("a read"), 0);
}

pub async fn a_deleted_community_takes_its_facts_along_and_its_logs_stay(store: Arc<dyn Store>) {
    let rooms = [private(1, OWLS), private(2, CATS)];
    apply(&store, &rooms.clone().map(|room| opens(&room))).await;
    let effects = [
        puts(community(OWLS, "Owls", 1)),
        puts(community(CATS, "Cats", 1)),
        joins(member(OWLS, ADA)),
        joins(member(CATS, ADA)),
        enters(rooms[0].id, ADA),
        Effect::PutInvite(Box::new(invite("owls", OWLS))),
        Effect::PutInvite(Box::new(invite("cats", CATS))),
    ];
    apply(&store, &effects).await;
    let mut owner = Owner::of(&store, SHARD).await;
    owner.put(rooms[0].id, ADA, says("still here")).await;
    apply(&store, &[Effect::DeleteCommunity(OWLS)]).await;
    assert_eq!(store.community(OWLS).await.expect("a read"), None);
    assert_eq!(store.member(OWLS, ADA).await.expect("a read"), None);
    assert_eq!(store.member_count(OWLS).await.expect("a read"), 0);
    assert_eq!(store.room(rooms[0].id).await.expect("a read"), None);
    assert!(store.rooms_of(OWLS, true).await.expect("a read").is_empty());
    assert!(store.own_rooms(ADA).await.expect("a read").is_empty());
    assert_eq!(store.invite("owls").await.expect("a read"), None);
    assert_eq!(store.heads(&[rooms[0].id]).await.expect("a read"), [Seq(1)]);
    let left = store.communities_of(ADA).await.expect("a read");
    assert_eq!(left.len(), 1, "the other community");
    assert!(store.invite("cats").await.expect("a read").is_some());
    assert!(store.room(rooms[1].id).await.expect("a read").is_some());
}
