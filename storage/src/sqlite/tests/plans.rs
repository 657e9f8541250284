//! How SQLite means to carry out our statements: none of those that run per message, page or sign-in
//! reads a table, or all of a room, from end to end.

use std::{
    collections::BTreeSet,
    fmt::Debug,
    sync::{Arc, Mutex},
};

use hubbub_protocol::{
    ids::{CommunityId, MessageKey, NodeId, RoomId, Seq, SessionId, ShardSeq, UserId},
    time::Timestamp,
};
use sqlx::{AssertSqlSafe, Row};
use tracing::{Event, Metadata, Subscriber, field, span};
use uuid::Uuid;

use super::{ADA, EPOCH, ROOM, SHARD, messages, ours};
use crate::{
    effect::{Effect, ImportKind},
    log::{LogStore, Window},
    meta::MetaStore,
    sqlite::SqliteStore,
};

/// What may be read whole: a list bound to the statement, and what a statement made itself.
const READ_WHOLE: [&str; 4] = ["json_each", "wanted", "who", "CONSTANT ROW"];
/// A step that goes through a room from its first event on.
const WHOLE_ROOM: &str = "SEARCH message USING PRIMARY KEY (room_id=?)";
/// The statements that may: a count for operators, and the newest seq, for which SQLite looks at the
/// end of the room alone.
const MAY: [&str; 2] =
    ["SELECT count(*) FROM user_account WHERE NOT imported", "SELECT max(seq) FROM message WHERE room_id = ?"];

/// Collects the statements that the driver tells of.
#[derive(Debug, Default, Clone)]
struct Statements(Arc<Mutex<BTreeSet<String>>>);

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

async fn read_the_log(store: &SqliteStore) {
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

async fn read_the_facts(store: &SqliteStore) {
    let (community, one, room) = (CommunityId::from_raw(1), UserId::from_raw(2), RoomId::from_raw(3));
    let (ids, names) = ([1_u64], ["a".to_owned()]);
    store.user(one).await.expect("a read");
    store.users(&[one]).await.expect("a read");
    store.user_by_name("ada").await.expect("a read");
    store.password_hash(one).await.expect("a read");
    store.list_users(None, 5).await.expect("a read");
    store.count_users().await.expect("a read");
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
    store.resume_state(1).await.expect("a read");
    for kind in [ImportKind::Message, ImportKind::User] {
        store.imported(community, kind, &names).await.expect("a read");
        store.imported_names(community, kind, &ids).await.expect("a read");
    }
}

async fn change_the_facts(store: &SqliteStore) {
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

/// The steps of the plan that read a table or a room whole.
async fn whole_reads(store: &SqliteStore, statement: &str) -> Vec<String> {
    let mut connection = store.reader().await.expect("a reader");
    let explain = AssertSqlSafe(format!("EXPLAIN QUERY PLAN {statement}"));
    let rows = sqlx::query(explain).fetch_all(&mut *connection).await.expect("a plan");
    let steps = rows.iter().map(|row| row.get::<String, _>("detail"));
    let whole = |step: &String| {
        let table = step.strip_prefix("SCAN ");
        table.is_some_and(|what| !READ_WHOLE.iter().any(|known| what.starts_with(known))) || step == WHOLE_ROOM
    };
    steps.filter(whole).collect()
}

#[tokio::test]
async fn no_statement_that_runs_often_reads_a_table_or_a_room_whole() {
    let statements = Statements::default();
    tracing::subscriber::set_global_default(statements.clone()).expect("the only subscriber of these tests");
    let (store, _folder) = ours(&[]).await;
    store.append(&messages(0, 40)).await.expect("the store appends");
    store.activate(&[(SHARD, EPOCH)], NodeId(1)).await.expect("a write");
    read_the_log(&store).await;
    read_the_facts(&store).await;
    change_the_facts(&store).await;

    let planned = ["SELECT ", "UPDATE ", "DELETE "];
    let statements = statements.0.lock().expect("no panic").clone();
    let planned = statements.iter().filter(|sql| planned.iter().any(|verb| sql.starts_with(verb)));
    let planned: Vec<&String> = planned.filter(|sql| !sql.contains("sqlite_schema")).collect();
    assert!(planned.len() > 50, "only {} statements were seen", planned.len());
    for statement in planned {
        let whole = whole_reads(&store, statement).await;
        let allowed = MAY.contains(&statement.as_str());
        assert_eq!(whole.is_empty(), !allowed, "{statement}\n{whole:#?}");
    }
}
