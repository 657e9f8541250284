//! Rows into facts.

use super::columns::Columns;
use crate::facts::{Community, Invite, Member, ResumeState, Room, Session, User};
use hubbub_protocol::{
    ids::{CommunityId, RoomId, Seq, SessionId, UserId},
    permissions::Permissions,
    room::{Parent, RoomKind},
    time::Timestamp,
};

/// Columns of an account, in the order of [`user`].
pub(crate) const USER: &str =
    "u.id, u.name, u.display, u.email, u.avatar, u.is_owner, u.disabled, u.imported, u.created_at";
/// Columns of a signed-in device, in the order of [`session`].
pub(crate) const SESSION: &str =
    "id, user_id, device, refresh_hash, previous_hash, previous_at, created_at, used_at, expires_at, ended_at";
/// Columns of a community, in the order of [`community`].
pub(crate) const COMMUNITY: &str =
    "c.id, c.name, c.description, c.owner, c.public, c.member_permissions, c.created_at";
/// Columns of a membership, in the order of [`member`].
pub(crate) const MEMBER: &str = "community_id, user_id, extra_permissions, joined_at";
/// Columns of an invite, in the order of [`invite`].
pub(crate) const INVITE: &str = "code, community_id, made_by, max_uses, uses, expires_at, created_at";
/// Columns of a room, in the order of [`room`].
pub(crate) const ROOM: &str = "r.id, r.community_id, r.kind, r.name, r.topic, r.private, r.parent_room, \
     r.parent_seq, r.category, r.position, r.slow_mode_s, r.archived, r.created_at";

pub(crate) fn user(row: &impl Columns, at: usize) -> User {
    User {
        id: UserId::from_sql(row.number(at)),
        name: row.text(at + 1),
        display: row.text(at + 2),
        email: row.maybe_text(at + 3),
        avatar: row.maybe_text(at + 4),
        owner: row.flag(at + 5),
        disabled: row.flag(at + 6),
        imported: row.flag(at + 7),
        created_at: Timestamp(row.number(at + 8)),
    }
}

fn hash(bytes: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    let length = bytes.len().min(32);
    hash[..length].copy_from_slice(&bytes[..length]);
    hash
}

pub(crate) fn session(row: &impl Columns) -> Session {
    let previous = row.maybe_bytes(4).zip(row.maybe_number(5));
    Session {
        id: SessionId::from_sql(row.number(0)),
        user: UserId::from_sql(row.number(1)),
        device: row.text(2),
        refresh_hash: hash(row.bytes(3)),
        previous: previous.map(|(bytes, at)| (hash(bytes), Timestamp(at))),
        created_at: Timestamp(row.number(6)),
        used_at: Timestamp(row.number(7)),
        expires_at: Timestamp(row.number(8)),
        ended_at: row.maybe_number(9).map(Timestamp),
    }
}

pub(crate) fn community(row: &impl Columns) -> Community {
    Community {
        id: CommunityId::from_sql(row.number(0)),
        name: row.text(1),
        description: row.text(2),
        owner: UserId::from_sql(row.number(3)),
        public: row.flag(4),
        member_permissions: Permissions(row.number(5).cast_unsigned()),
        created_at: Timestamp(row.number(6)),
    }
}

pub(crate) fn member(row: &impl Columns) -> Member {
    Member {
        community: CommunityId::from_sql(row.number(0)),
        user: UserId::from_sql(row.number(1)),
        extra_permissions: Permissions(row.number(2).cast_unsigned()),
        joined_at: Timestamp(row.number(3)),
    }
}

pub(crate) fn room(row: &impl Columns) -> Room {
    let parent = row.maybe_number(6).zip(row.maybe_number(7));
    Room {
        id: RoomId::from_sql(row.number(0)),
        community: row.maybe_number(1).map(CommunityId::from_sql),
        kind: RoomKind::from_name(&row.text(2)).unwrap_or(RoomKind::Text),
        name: row.text(3),
        topic: row.text(4),
        private: row.flag(5),
        parent: parent.map(|(room, seq)| Parent { room: RoomId::from_sql(room), seq: Seq::from_sql(seq) }),
        category: row.maybe_text(8),
        position: row.number(9),
        slow_mode_s: small(row.number(10)),
        archived: row.flag(11),
        created_at: Timestamp(row.number(12)),
    }
}

pub(crate) fn invite(row: &impl Columns) -> Invite {
    Invite {
        code: row.text(0),
        community: CommunityId::from_sql(row.number(1)),
        by: UserId::from_sql(row.number(2)),
        max_uses: row.maybe_number(3).map(small),
        uses: small(row.number(4)),
        expires_at: row.maybe_number(5).map(Timestamp),
        created_at: Timestamp(row.number(6)),
    }
}

pub(crate) fn resume_state(row: &impl Columns) -> ResumeState {
    ResumeState {
        session: row.number(0).cast_unsigned(),
        user: UserId::from_sql(row.number(1)),
        state: row.bytes(2).to_vec(),
        saved_at: Timestamp(row.number(3)),
    }
}

/// A number that was written as 32 bits.
fn small(number: i64) -> u32 {
    u32::try_from(number).unwrap_or_default()
}
