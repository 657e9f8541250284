//! What the tests of both SQL stores use: messages of one room, every statement that runs often, and an
//! ear for what the driver sends.

use std::{
    collections::BTreeSet,
    fmt::Debug,
    sync::{Arc, Mutex},
};

use hubbub_protocol::{
    event::{Created, Event as RoomEvent, EventBody},
    ids::{CommunityId, Epoch, MessageKey, RoomId, Seq, SessionId, ShardSeq, UserId},
    shard::ShardId,
    time::Timestamp,
};
use tracing::{Event, Metadata, Subscriber, field, span};
use uuid::Uuid;

use crate::{AppendBatch, Effect, NewEvent, ShardAppend, Store, Window, effect::ImportKind};

pub(crate) const ROOM: RoomId = RoomId::from_raw(5_000);
pub(crate) const ADA: UserId = UserId::from_raw(101);
pub(crate) const SHARD: ShardId = ShardId(7);
pub(crate) const EPOCH: Epoch = Epoch(1);

/// The next `events` messages of `ROOM`, alone in its shard, after the first `head`.
pub(crate) fn messages(head: u64, events: u64) -> AppendBatch {
    let message = |seq| {
        let text = format!("message {seq}");
        let event = RoomEvent {
            room: ROOM,
            seq: Seq(seq),
            ts: Timestamp(1_795_435_200_000 + seq.cast_signed()),
            by: ADA,
            key: Some(MessageKey(Uuid::from_u128(u128::from(seq)))),
            body: EventBody::MessageCreated(Box::new(Created { text, ..Created::default() })),
        };
        NewEvent::of(&event, ShardSeq(seq), event.encode())
    };
    let events = (head + 1..=head + events).map(message).collect();
    let part = ShardAppend { shard: SHARD, epoch: EPOCH, old_head: ShardSeq(head), events, effects: Vec::new() };
    AppendBatch { shards: vec![part] }
}

/// Carries out everything that runs per message, page or sign-in. `ROOM` must have 40 messages.
pub(crate) async fn run_all(store: &impl Store) {
    read_the_log(store).await;
    read_the_facts(store).await;
    change_the_facts(store).await;
}

/// Collects the statements that the driver tells of.
#[derive(Debug, Default, Clone)]
pub(crate) struct Statements(Arc<Mutex<BTreeSet<String>>>);

impl Statements {
    /// Hears what is sent from now on.
    pub(crate) fn listen() -> Self {
        let statements = Self::default();
        tracing::subscriber::set_global_default(statements.clone()).expect("the only subscriber of this test");
        statements
    }

    /// Those that read or change rows that are there.
    pub(crate) fn planned(&self) -> Vec<String> {
        let verbs = ["SELECT ", "UPDATE ", "DELETE ", "WITH "];
        let heard = self.0.lock().expect("no panic");
        heard.iter().filter(|sql| verbs.iter().any(|verb| sql.starts_with(verb))).cloned().collect()
    }
}

impl Subscriber for Statements {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "sqlx::query"
    }
    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }
    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn event(&self, event: &Event<'_>) {
        event.record(&mut self.clone());
    }
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

impl field::Visit for Statements {
    fn record_str(&mut self, field: &field::Field, value: &str) {
        if field.name() == "db.statement" {
            self.0.lock().expect("no panic").insert(value.trim().to_owned());
        }
    }
    fn record_debug(&mut self, _: &field::Field, _: &dyn Debug) {}
}

async fn read_the_log(store: &impl Store) {
    let (seq, since) = (Seq(20), Timestamp(1_795_435_200_020));
    let key = MessageKey(Uuid::from_u128(30));
    for window in [Window::Newest, Window::Before(seq), Window::After(seq), Window::Around(seq)] {
        assert_eq!(store.messages(ROOM, window, 10).await.expect("a read").messages.len(), 10);
    }
    store.message(ROOM, seq).await.expect("a read").expect("a message");
    store.edits(ROOM, seq, 10).await.expect("a read");
    store.pins(ROOM).await.expect("a read");
    store.events(ROOM, seq, 10).await.expect("a read");
    store.feed(SHARD, ShardSeq(20), 10).await.expect("a read");
    store.heads(&[ROOM]).await.expect("a read");
    store.counts(&[ROOM]).await.expect("a read");
    store.recent_keys(ROOM, since, 10).await.expect("a read");
    store.find_key(ROOM, ADA, key, since).await.expect("a read").expect("a known key");
    store.fences(&[SHARD]).await.expect("a read");
    store.resolve(&messages(0, 1)).await.expect("a read");
}

async fn read_the_facts(store: &impl Store) {
    let (community, one, room) = (CommunityId::from_raw(1), UserId::from_raw(2), RoomId::from_raw(3));
    let (ids, names) = ([1_u64], ["a".to_owned()]);
    store.user(one).await.expect("a read");
    store.users(&[one]).await.expect("a read");
    store.user_by_name("ada").await.expect("a read");
    store.password_hash(one).await.expect("a read");
    store.list_users(None, 5).await.expect("a read");
    store.count_users().await.expect("a read");
    store.secret("a").await.expect("a read");
    store.session(SessionId::from_raw(1)).await.expect("a read");
    store.sessions_of(one).await.expect("a read");
    store.community(community).await.expect("a read");
    store.community_by_name("a").await.expect("a read");
    store.communities_of(one).await.expect("a read");
    store.member(community, one).await.expect("a read");
    store.members(community, None, 5, Some("a")).await.expect("a read");
    store.member_count(community).await.expect("a read");
    store.acquainted(one, ADA).await.expect("a read");
    store.room(room).await.expect("a read");
    store.rooms_of(community, true).await.expect("a read");
    store.own_rooms(one).await.expect("a read");
    store.is_room_member(room, one).await.expect("a read");
    store.room_members(room, None, 5, None).await.expect("a read");
    store.room_member_count(room).await.expect("a read");
    store.dm_of(one, ADA).await.expect("a read");
    store.invite("a").await.expect("a read");
    store.invites_of(community).await.expect("a read");
    store.markers(one).await.expect("a read");
    store.mention_counts(one, &[room]).await.expect("a read");
    store.memberships(&[one]).await.expect("a read");
    store.own_rooms_of(&[one]).await.expect("a read");
    store.heads(&[room, ROOM]).await.expect("a read");
    store.resume_state(1).await.expect("a read");
    for kind in [ImportKind::Message, ImportKind::User] {
        store.imported(community, kind, &names).await.expect("a read");
        store.imported_names(community, kind, &ids).await.expect("a read");
    }
}

async fn change_the_facts(store: &impl Store) {
    let (community, user, room, seq) = (CommunityId::from_raw(1), ADA, ROOM, Seq(1));
    let (now, old, new) = (Timestamp(1_795_435_200_000), [1; 32], [2; 32]);
    let effects = [
        Effect::AddMention { user: None, room, seq },
        Effect::PutMarker { user, room, seq },
        Effect::PutRoomMember { room, user },
        Effect::RemoveRoomMember { room, user },
        Effect::RemoveMember { community, user },
        Effect::DeleteRoom(room),
        Effect::DeleteCommunity(community),
        Effect::DeleteInvite("a".to_owned()),
    ];
    store.apply(&effects).await.expect("a write");
    store.rotate_session(SessionId::from_raw(1), &old, &new, now, now).await.expect("a write");
    store.end_session(SessionId::from_raw(1), now).await.expect("a write");
    store.use_invite("a", now).await.expect("a write");
    store.give_back_invite("a").await.expect("a write");
    store.forget_resume_states(now).await.expect("a write");
    store.forget_secret("a").await.expect("a write");
}
