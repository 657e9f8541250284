//! Read markers, unread mentions, and what names of an archive became.

use std::{collections::HashMap, sync::Arc};

use hubbub_protocol::{
    ids::{RoomId, Seq, UserId},
    room::RoomKind,
};

use super::{
    accounts::user,
    communities::{CATS, OWLS, apply, community, joins, member, puts},
    invites::invite,
    rooms::room,
    world::{ADA, BOB, EVE, OTHER_ROOM, ROOM},
};
use crate::{Effect, Store, effect::ImportKind};

const fn reads(user: UserId, room: RoomId, seq: u64) -> Effect {
    let seq = Seq(seq);
    Effect::PutMarker { user, room, seq }
}

const fn mentions(user: Option<UserId>, room: RoomId, seq: u64) -> Effect {
    let seq = Seq(seq);
    Effect::AddMention { user, room, seq }
}

pub async fn a_marker_only_moves_forward(store: Arc<dyn Store>) {
    let at = async |user| store.markers(user).await.expect("a read");
    assert!(at(ADA).await.is_empty());
    apply(&store, &[reads(ADA, ROOM, 5), reads(ADA, OTHER_ROOM, 1)]).await;
    apply(&store, &[reads(ADA, ROOM, 3), reads(BOB, ROOM, 2)]).await;
    let wanted = HashMap::from([(ROOM, Seq(5)), (OTHER_ROOM, Seq(1))]);
    assert_eq!(at(ADA).await, wanted);
    assert_eq!(at(BOB).await, HashMap::from([(ROOM, Seq(2))]));
    let of_both = store.markers_of(&[BOB, ADA, EVE, ADA]).await.expect("a read");
    let each = [((ADA, ROOM), Seq(5)), ((ADA, OTHER_ROOM), Seq(1)), ((BOB, ROOM), Seq(2))];
    assert_eq!(of_both, HashMap::from(each));
    assert!(store.markers_of(&[]).await.expect("a read").is_empty());
    apply(&store, &[reads(ADA, ROOM, 9), reads(ADA, ROOM, 8)]).await;
    assert_eq!(at(ADA).await[&ROOM], Seq(9));
}

pub async fn mentions_count_until_they_are_read(store: Arc<dyn Store>) {
    let effects = [
        mentions(Some(ADA), ROOM, 2),
        mentions(Some(ADA), ROOM, 4),
        mentions(Some(BOB), ROOM, 4),
        mentions(None, ROOM, 6),
        mentions(Some(ADA), OTHER_ROOM, 1),
    ];
    apply(&store, &effects).await;
    let rooms = [ROOM, OTHER_ROOM, RoomId::from_raw(77)];
    let counts = async |user| {
        let counts = store.mention_counts(user, &rooms).await;
        counts.expect("a read")
    };
    let both = HashMap::from([(ROOM, 3), (OTHER_ROOM, 1)]);
    assert_eq!(counts(ADA).await, both);
    assert_eq!(counts(BOB).await, HashMap::from([(ROOM, 2)]));
    assert_eq!(counts(EVE).await, HashMap::from([(ROOM, 1)]));
    let asked = store.mention_counts(ADA, &[OTHER_ROOM]).await;
    assert_eq!(asked.expect("a read"), HashMap::from([(OTHER_ROOM, 1)]));
    let none = store.mention_counts(ADA, &[]).await.expect("a read");
    assert!(none.is_empty());

    let of_many = store.mentions_of(&[(BOB, ROOM), (ADA, ROOM), (BOB, OTHER_ROOM), (ADA, OTHER_ROOM)]).await;
    let each = [((ADA, ROOM), 3), ((BOB, ROOM), 2), ((ADA, OTHER_ROOM), 1)];
    assert_eq!(of_many.expect("a read"), HashMap::from(each));

    apply(&store, &[reads(ADA, ROOM, 4), reads(EVE, ROOM, 6)]).await;
    let left = HashMap::from([(ROOM, 1), (OTHER_ROOM, 1)]);
    assert_eq!(counts(ADA).await, left, "a mention at the marker is read");
    assert!(counts(EVE).await.is_empty());
    assert_eq!(counts(BOB).await, HashMap::from([(ROOM, 2)]));
}

pub async fn a_message_that_names_one_twice_is_one_mention(store: Arc<dyn Store>) {
    let both = [mentions(Some(ADA), ROOM, 3), mentions(None, ROOM, 3)];
    apply(&store, &both).await;
    let counts = store.mention_counts(ADA, &[ROOM, ROOM]).await;
    assert_eq!(counts.expect("a read"), HashMap::from([(ROOM, 1)]));
}

pub async fn names_of_an_archive_lead_to_what_they_became(store: Arc<dyn Store>) {
    let puts = |community, kind, ext: &str, id, seq| Effect::PutImported {
        community,
        kind,
        ext: ext.to_owned(),
        id,
        seq: Seq(seq),
    };
    let effects = [
        puts(OWLS, ImportKind::Message, "m1", 5, 7),
        puts(OWLS, ImportKind::User, "m1", 100, 0),
        puts(OWLS, ImportKind::User, "übel\n", 101, 0),
        puts(OWLS, ImportKind::Thread, "general\n9", 102, 0),
        puts(CATS, ImportKind::User, "m1", 200, 0),
        puts(OWLS, ImportKind::Title, "m1", 0, 0),
    ];
    apply(&store, &effects).await;
    let known = async |community, kind, exts: &[&str]| {
        let exts: Vec<String> = exts.iter().map(|&ext| ext.to_owned()).collect();
        let known = store.imported(community, kind, &exts).await;
        known.expect("a read")
    };
    let message = known(OWLS, ImportKind::Message, &["m1", "m2"]).await;
    assert_eq!(message, HashMap::from([("m1".into(), (5, Seq(7)))]));
    let users = known(OWLS, ImportKind::User, &["übel\n", "m1"]).await;
    let wanted = [("m1".into(), (100, Seq(0))), ("übel\n".into(), (101, Seq(0)))];
    assert_eq!(users, HashMap::from(wanted));
    let other = known(CATS, ImportKind::User, &["m1"]).await;
    assert_eq!(other["m1"], (200, Seq(0)));
    assert!(known(CATS, ImportKind::Message, &["m1"]).await.is_empty());
    assert!(known(OWLS, ImportKind::User, &[]).await.is_empty());

    let names = store.imported_names(OWLS, ImportKind::User, &[101, 100, 200]);
    let wanted = HashMap::from([(100, "m1".to_owned()), (101, "übel\n".to_owned())]);
    assert_eq!(names.await.expect("a read"), wanted);
    let names = store.imported_names(OWLS, ImportKind::Thread, &[102, 100]);
    let wanted = HashMap::from([(102, "general\n9".to_owned())]);
    assert_eq!(names.await.expect("a read"), wanted);

    let again = puts(OWLS, ImportKind::Message, "m1", 6, 8);
    apply(&store, &[again]).await;
    let message = known(OWLS, ImportKind::Message, &["m1"]).await;
    assert_eq!(message["m1"], (6, Seq(8)));
}

/// Everything that [`every_effect`] touches, as a store tells it.
async fn snapshot(store: &Arc<dyn Store>) -> String {
    let names = ["a".to_owned()];
    let told = (
        store.list_users(None, 10).await.expect("a read"),
        store.community(OWLS).await.expect("a read"),
        store.members(OWLS, None, 10, None).await.expect("a read"),
        store.rooms_of(OWLS, true).await.expect("a read"),
        store.room_members(ROOM, None, 10, None).await.expect("a read"),
        store.room_member_count(ROOM).await.expect("a read"),
        store.invites_of(OWLS).await.expect("a read"),
        store.markers(ADA).await.expect("a read"),
        store.mention_counts(BOB, &[ROOM]).await.expect("a read"),
        store.mention_counts(EVE, &[ROOM]).await.expect("a read"),
        store.imported(OWLS, ImportKind::User, &names).await.expect("a read"),
    );
    format!("{told:#?}")
}

fn every_effect() -> Vec<Effect> {
    let in_owls = |id| Effect::PutRoom(Box::new(room(id, Some(OWLS), RoomKind::Text)));
    vec![
        Effect::PutUser(Box::new(user(ADA, "ada"))),
        Effect::PutUser(Box::new(user(BOB, "bob"))),
        puts(community(OWLS, "Owls", 1)),
        puts(community(CATS, "Cats", 1)),
        in_owls(ROOM),
        in_owls(OTHER_ROOM),
        joins(member(OWLS, ADA)),
        joins(member(OWLS, BOB)),
        Effect::PutRoomMember { room: ROOM, user: ADA },
        Effect::PutRoomMember { room: ROOM, user: BOB },
        Effect::PutInvite(Box::new(invite("code", OWLS))),
        Effect::PutInvite(Box::new(invite("gone", OWLS))),
        mentions(Some(BOB), ROOM, 3),
        mentions(None, ROOM, 4),
        reads(ADA, ROOM, 3),
        Effect::PutImported { community: OWLS, kind: ImportKind::User, ext: "a".into(), id: 3, seq: Seq(0) },
        Effect::RemoveRoomMember { room: ROOM, user: BOB },
        Effect::RemoveMember { community: OWLS, user: BOB },
        Effect::DeleteInvite("gone".into()),
        Effect::DeleteRoom(OTHER_ROOM),
        Effect::DeleteCommunity(CATS),
    ]
}

pub async fn an_effect_applied_twice_leaves_what_it_left_once(store: Arc<dyn Store>) {
    for effect in every_effect() {
        apply(&store, std::slice::from_ref(&effect)).await;
        let once = snapshot(&store).await;
        apply(&store, std::slice::from_ref(&effect)).await;
        assert_eq!(snapshot(&store).await, once, "{effect:?}");
    }
    let once = snapshot(&store).await;
    apply(&store, &every_effect()).await;
    assert_eq!(snapshot(&store).await, once, "all of them again");
}
