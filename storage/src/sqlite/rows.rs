//! Rows into facts.

use hubbub_protocol::{
    ids::{CommunityId, RoomId, Seq, SessionId, UserId},
    permissions::Permissions,
    room::{Parent, RoomKind},
    time::Timestamp,
};
use sqlx::{Row, sqlite::SqliteRow};

use crate::facts::{Community, Invite, Member, Room, Session, User};

/// Columns of an account, in the order of [`user`].
pub(super) const USER: &str =
    "u.id, u.name, u.display, u.email, u.avatar, u.is_owner, u.disabled, u.imported, u.created_at";
/// Columns of a room, in the order of [`room`].
pub(super) const ROOM: &str = "r.id, r.community_id, r.kind, r.name, r.topic, r.private, r.parent_room, \
     r.parent_seq, r.category, r.position, r.slow_mode_s, r.archived, r.created_at";

pub(super) fn user(row: &SqliteRow, at: usize) -> User {
    User {
        id: UserId::from_sql(row.get(at)),
        name: row.get(at + 1),
        display: row.get(at + 2),
        email: row.get(at + 3),
        avatar: row.get(at + 4),
        owner: row.get(at + 5),
        disabled: row.get(at + 6),
        imported: row.get(at + 7),
        created_at: Timestamp(row.get(at + 8)),
    }
}

fn hash(bytes: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    let length = bytes.len().min(32);
    hash[..length].copy_from_slice(&bytes[..length]);
    hash
}

pub(super) fn session(row: &SqliteRow) -> Session {
    let previous: Option<Vec<u8>> = row.get(4);
    let replaced: Option<i64> = row.get(5);
    Session {
        id: SessionId::from_sql(row.get(0)),
        user: UserId::from_sql(row.get(1)),
        device: row.get(2),
        refresh_hash: hash(&row.get::<Vec<u8>, _>(3)),
        previous: previous.zip(replaced).map(|(bytes, at)| (hash(&bytes), Timestamp(at))),
        created_at: Timestamp(row.get(6)),
        used_at: Timestamp(row.get(7)),
        expires_at: Timestamp(row.get(8)),
        ended_at: row.get::<Option<i64>, _>(9).map(Timestamp),
    }
}

pub(super) fn community(row: &SqliteRow) -> Community {
    Community {
        id: CommunityId::from_sql(row.get(0)),
        name: row.get(1),
        description: row.get(2),
        owner: UserId::from_sql(row.get(3)),
        public: row.get(4),
        member_permissions: Permissions(row.get::<i64, _>(5).cast_unsigned()),
        created_at: Timestamp(row.get(6)),
    }
}

pub(super) fn member(row: &SqliteRow) -> Member {
    Member {
        community: CommunityId::from_sql(row.get(0)),
        user: UserId::from_sql(row.get(1)),
        extra_permissions: Permissions(row.get::<i64, _>(2).cast_unsigned()),
        joined_at: Timestamp(row.get(3)),
    }
}

pub(super) fn room(row: &SqliteRow) -> Room {
    let parent: Option<i64> = row.get(6);
    let parent_seq: Option<i64> = row.get(7);
    let parent = parent.zip(parent_seq);
    Room {
        id: RoomId::from_sql(row.get(0)),
        community: row.get::<Option<i64>, _>(1).map(CommunityId::from_sql),
        kind: RoomKind::from_name(row.get(2)).unwrap_or(RoomKind::Text),
        name: row.get(3),
        topic: row.get(4),
        private: row.get(5),
        parent: parent.map(|(room, seq)| Parent { room: RoomId::from_sql(room), seq: Seq::from_sql(seq) }),
        category: row.get(8),
        position: row.get(9),
        slow_mode_s: row.get(10),
        archived: row.get(11),
        created_at: Timestamp(row.get(12)),
    }
}

pub(super) fn invite(row: &SqliteRow) -> Invite {
    Invite {
        code: row.get(0),
        community: CommunityId::from_sql(row.get(1)),
        by: UserId::from_sql(row.get(2)),
        max_uses: row.get(3),
        uses: row.get(4),
        expires_at: row.get::<Option<i64>, _>(5).map(Timestamp),
        created_at: Timestamp(row.get(6)),
    }
}
