//! Communities, their members, and who knows whom.

use std::sync::Arc;

use hubbub_protocol::{
    ids::{CommunityId, RoomId, UserId},
    permissions::Permissions,
    room::RoomKind,
    time::Timestamp,
};

use super::{
    accounts::user,
    rooms::room,
    world::{ADA, BOB, EVE},
};
use crate::{
    Effect, Store,
    facts::{Community, Member, User},
};

pub(super) const OWLS: CommunityId = CommunityId::from_raw(70);
pub(super) const CATS: CommunityId = CommunityId::from_raw(60);

pub(super) fn community(id: CommunityId, name: &str, at: i64) -> Community {
    Community {
        id,
        name: name.to_owned(),
        description: "about".into(),
        owner: ADA,
        public: true,
        member_permissions: Permissions::MEMBER,
        created_at: Timestamp(at),
    }
}

pub(super) fn member(community: CommunityId, user: UserId) -> Member {
    Member {
        community,
        user,
        extra_permissions: Permissions::ADMINISTRATOR | Permissions::VIEW,
        joined_at: Timestamp(77),
    }
}

pub(super) fn puts(community: Community) -> Effect {
    Effect::PutCommunity(Box::new(community))
}

pub(super) const fn joins(member: Member) -> Effect {
    Effect::PutMember(member)
}

pub(super) async fn apply(store: &Arc<dyn Store>, effects: &[Effect]) {
    store.apply(effects).await.expect("a write");
}

async fn people(store: &Arc<dyn Store>) {
    for (id, name) in [(ADA, "ada"), (BOB, "bob"), (EVE, "eve")] {
        let account = user(id, name);
        store.create_user(&account, None).await.expect("a new name");
    }
}

pub async fn a_community_is_kept_and_replaced(store: Arc<dyn Store>) {
    let first = community(OWLS, "Owls", 10);
    apply(&store, &[puts(first.clone())]).await;
    let found = store.community(OWLS).await.expect("a read");
    assert_eq!(found, Some(first));
    let changed = Community {
        name: "Night Owls".into(),
        description: String::new(),
        owner: BOB,
        public: false,
        member_permissions: Permissions::NONE,
        ..community(OWLS, "", 10)
    };
    apply(&store, &[puts(changed.clone())]).await;
    let found = store.community(OWLS).await.expect("a read");
    assert_eq!(found, Some(changed));
    assert_eq!(store.community(CATS).await.expect("a read"), None);
}

pub async fn of_communities_of_one_name_the_oldest_is_found(store: Arc<dyn Store>) {
    let (young, old) = (CommunityId::from_raw(20), CommunityId::from_raw(10));
    apply(&store, &[puts(community(young, "Owls", 20))]).await;
    apply(&store, &[puts(community(old, "Owls", 10))]).await;
    apply(&store, &[puts(community(CATS, "Cats", 5))]).await;
    let named = async |name| {
        let found = store.community_by_name(name).await.expect("a read");
        found.map(|community| community.id)
    };
    assert_eq!(named("Owls").await, Some(old));
    assert_eq!(named("Cats").await, Some(CATS));
    assert_eq!(named("Dogs").await, None);
}

pub async fn a_member_joins_changes_and_leaves(store: Arc<dyn Store>) {
    people(&store).await;
    let (owls, cats) = (community(OWLS, "Owls", 1), community(CATS, "Cats", 2));
    apply(&store, &[puts(owls.clone()), puts(cats.clone())]).await;
    let ada = member(OWLS, ADA);
    let effects = [ada.clone(), member(OWLS, BOB), member(CATS, ADA)].map(joins);
    apply(&store, &effects).await;
    let found = store.member(OWLS, ADA).await.expect("a read");
    assert_eq!(found, Some(ada.clone()));
    assert_eq!(store.member(CATS, BOB).await.expect("a read"), None);
    let of_ada = store.communities_of(ADA).await.expect("a read");
    assert_eq!(of_ada, [cats, owls], "by id");
    assert!(store.communities_of(EVE).await.expect("a read").is_empty());
    let mut of_many = store.memberships(&[ADA, EVE, BOB, ADA]).await.expect("a read");
    assert!(of_many.is_sorted_by_key(|member| member.community), "{of_many:?}");
    of_many.sort_by_key(|member| (member.user, member.community));
    assert_eq!(of_many, [member(CATS, ADA), ada.clone(), member(OWLS, BOB)]);
    let mut named = store.communities(&[OWLS, CommunityId::from_raw(77), CATS, OWLS]).await.expect("a read");
    named.sort_by_key(|community| community.id);
    assert_eq!(named.iter().map(|community| community.id).collect::<Vec<_>>(), [CATS, OWLS]);
    assert_eq!(store.member_count(OWLS).await.expect("a read"), 2);

    let promoted = Member { extra_permissions: Permissions::NONE, joined_at: Timestamp(99), ..ada };
    apply(&store, &[joins(promoted.clone())]).await;
    let found = store.member(OWLS, ADA).await.expect("a read");
    assert_eq!(found, Some(promoted));
    assert_eq!(store.member_count(OWLS).await.expect("a read"), 2);
    let (community, user) = (OWLS, ADA);
    apply(&store, &[Effect::RemoveMember { community, user }]).await;
    assert_eq!(store.member(OWLS, ADA).await.expect("a read"), None);
    assert_eq!(store.member_count(OWLS).await.expect("a read"), 1);
    assert_eq!(store.communities_of(ADA).await.expect("a read").len(), 1);
}

pub async fn members_are_listed_in_pages_and_by_how_they_begin(store: Arc<dyn Store>) {
    apply(&store, &[puts(community(OWLS, "Owls", 1))]).await;
    let names = [("anna", "Queen"), ("bert", "annabel"), ("carl", "CARL"), ("a_na", "x"), ("dora", "100%")];
    for (raw, (name, display)) in (1..).zip(names) {
        let id = UserId::from_raw(raw);
        let display = display.to_owned();
        let account = User { display, ..user(id, name) };
        store.create_user(&account, None).await.expect("a new name");
        apply(&store, &[joins(member(OWLS, id))]).await;
    }
    let outsider = user(UserId::from_raw(90), "annika");
    store.create_user(&outsider, None).await.expect("new");
    let page = async |after: Option<u64>, limit, prefix| {
        let after = after.map(UserId::from_raw);
        let rows = store.members(OWLS, after, limit, prefix).await;
        let rows = rows.expect("a read");
        assert!(rows.iter().all(|(member, user)| member.user == user.id));
        let raw = |(_, user): &(Member, User)| user.id.raw();
        rows.iter().map(raw).collect::<Vec<_>>()
    };
    assert_eq!(page(None, 10, None).await, [1, 2, 3, 4, 5]);
    assert_eq!(page(None, 2, None).await, [1, 2]);
    assert_eq!(page(Some(2), 2, None).await, [3, 4]);
    assert_eq!(page(Some(5), 2, None).await, [0; 0]);
    assert_eq!(page(None, 10, Some("ann")).await, [1, 2], "name, display");
    assert_eq!(page(None, 1, Some("ann")).await, [1]);
    assert_eq!(page(Some(1), 9, Some("ann")).await, [2]);
    assert_eq!(page(None, 10, Some("cArL")).await, [3]);
    assert_eq!(page(None, 10, Some("a_n")).await, [4], "_ is itself");
    assert_eq!(page(None, 10, Some("100%")).await, [5], "% is itself");
    assert_eq!(page(None, 10, Some("%")).await, [0; 0]);
    assert_eq!(page(None, 10, Some("nna")).await, [0; 0]);
    assert_eq!(page(None, 10, Some("")).await, [1, 2, 3, 4, 5]);
    let (row, account) = &store.members(OWLS, None, 1, None).await.expect("a read")[0];
    assert_eq!(*row, member(OWLS, UserId::from_raw(1)));
    assert_eq!(account.display, "Queen");
}

pub async fn people_know_each_other_by_community_or_conversation(store: Arc<dyn Store>) {
    people(&store).await;
    let known = async |one, other| {
        let there = store.acquainted(one, other).await.expect("a read");
        let back = store.acquainted(other, one).await.expect("a read");
        assert_eq!(there, back);
        there
    };
    assert!(!known(ADA, BOB).await);
    apply(&store, &[puts(community(OWLS, "Owls", 1))]).await;
    apply(&store, &[puts(community(CATS, "Cats", 1))]).await;
    let effects = [member(OWLS, ADA), member(CATS, BOB)].map(joins);
    apply(&store, &effects).await;
    assert!(!known(ADA, BOB).await, "of different communities");
    apply(&store, &[joins(member(OWLS, BOB))]).await;
    assert!(known(ADA, BOB).await);

    let group = RoomId::from_raw(500);
    let conversation = Effect::PutRoom(Box::new(room(group, None, RoomKind::Group)));
    let talks = |user| Effect::PutRoomMember { room: group, user };
    apply(&store, &[conversation, talks(EVE)]).await;
    assert!(!known(ADA, EVE).await);
    apply(&store, &[talks(ADA)]).await;
    assert!(known(ADA, EVE).await);
    assert!(!known(BOB, EVE).await);
    let left = Effect::RemoveRoomMember { room: group, user: ADA };
    apply(&store, &[left]).await;
    assert!(!known(ADA, EVE).await);
}
