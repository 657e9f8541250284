//! Effects as statements.

use hubbub_protocol::ids::{CommunityId, RoomId, UserId};

use super::statement::Statement;
use crate::{
    effect::Effect,
    facts::{Community, Invite, Member, Room, User},
};

/// What is taken when an account's name is.
pub(crate) const USERS_NAME: &str = "the user's name";

/// The statements of one effect, to be carried out in order within one transaction.
pub(crate) fn statements(effect: &Effect) -> Vec<Statement> {
    let one = match effect {
        Effect::PutUser(user) => put_user(user),
        Effect::PutCommunity(community) => put_community(community),
        Effect::DeleteCommunity(community) => return delete_community(*community),
        Effect::PutRoom(room) => put_room(room),
        Effect::DeleteRoom(room) => return delete_room(*room),
        Effect::PutMember(member) => put_member(member),
        Effect::RemoveMember { community, user } => return remove_member(*community, *user),
        Effect::PutRoomMember { room, user } => {
            pair("INSERT INTO room_member (room_id, user_id) VALUES ($1, $2) ON CONFLICT DO NOTHING", *room, *user)
        }
        Effect::RemoveRoomMember { room, user } => {
            pair("DELETE FROM room_member WHERE room_id = $1 AND user_id = $2", *room, *user)
        }
        Effect::PutInvite(invite) => put_invite(invite),
        Effect::DeleteInvite(code) => Statement::of("DELETE FROM invite WHERE code = $1").bind(code.as_str()),
        Effect::AddMention { user, room, seq } => {
            let sql = "INSERT INTO mention (user_id, room_id, seq) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";
            Statement::of(sql).bind(mentioned(*user)).bind(room.to_sql()).bind(seq.to_sql())
        }
        Effect::PutMarker { user, room, seq } => {
            let sql = "INSERT INTO user_room (user_id, room_id, read_seq) VALUES ($1, $2, $3) \
                       ON CONFLICT (user_id, room_id) DO UPDATE SET read_seq = excluded.read_seq \
                       WHERE excluded.read_seq > user_room.read_seq";
            Statement::of(sql).bind(user.to_sql()).bind(room.to_sql()).bind(seq.to_sql())
        }
        Effect::PutImported { community, kind, ext, id, seq } => {
            let sql = "INSERT INTO imported (community_id, kind, ext, id, seq) VALUES ($1, $2, $3, $4, $5) \
                       ON CONFLICT (community_id, kind, ext) DO UPDATE SET id = excluded.id, seq = excluded.seq";
            let statement = Statement::of(sql).bind(community.to_sql()).bind(i64::from(*kind as u8));
            statement.bind(ext.as_str()).bind(id.cast_signed()).bind(seq.to_sql())
        }
    };
    vec![one]
}

/// Who is mentioned, as stored: 0 stands for everyone, and no account has that id.
pub(crate) fn mentioned(user: Option<UserId>) -> i64 {
    user.map_or(0, UserId::to_sql)
}

fn pair(sql: &'static str, room: RoomId, user: UserId) -> Statement {
    Statement::of(sql).bind(room.to_sql()).bind(user.to_sql())
}

/// Makes an account, which must not be there yet.
pub(crate) fn insert_user(user: &User) -> Statement {
    let sql = "INSERT INTO user_account \
               (id, name, display, email, avatar, is_owner, disabled, imported, created_at) \
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
    with_user(Statement::of(sql), user)
}

fn put_user(user: &User) -> Statement {
    let sql = "INSERT INTO user_account \
               (id, name, display, email, avatar, is_owner, disabled, imported, created_at) \
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (id) DO UPDATE SET name = excluded.name, \
               display = excluded.display, email = excluded.email, avatar = excluded.avatar, \
               is_owner = excluded.is_owner, disabled = excluded.disabled, imported = excluded.imported, \
               created_at = excluded.created_at";
    with_user(Statement::of(sql), user)
}

fn with_user(statement: Statement, user: &User) -> Statement {
    let statement = statement.bind(user.id.to_sql()).bind(user.name.as_str()).bind(user.display.as_str());
    let statement = statement.bind(&user.email).bind(&user.avatar).bind(user.owner).bind(user.disabled);
    statement.bind(user.imported).bind(user.created_at.0).or_taken(USERS_NAME)
}

fn put_community(community: &Community) -> Statement {
    let sql = "INSERT INTO community (id, name, description, owner, public, member_permissions, created_at) \
               VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (id) DO UPDATE SET name = excluded.name, \
               description = excluded.description, owner = excluded.owner, public = excluded.public, \
               member_permissions = excluded.member_permissions, created_at = excluded.created_at";
    let statement = Statement::of(sql).bind(community.id.to_sql()).bind(community.name.as_str());
    let statement = statement.bind(community.description.as_str()).bind(community.owner.to_sql());
    let permissions = community.member_permissions.0.cast_signed();
    statement.bind(community.public).bind(permissions).bind(community.created_at.0)
}

fn delete_community(community: CommunityId) -> Vec<Statement> {
    let texts = [
        "DELETE FROM room_member WHERE room_id IN (SELECT id FROM room WHERE community_id = $1)",
        "DELETE FROM room WHERE community_id = $1",
        "DELETE FROM member WHERE community_id = $1",
        "DELETE FROM invite WHERE community_id = $1",
        "DELETE FROM community WHERE id = $1",
    ];
    texts.map(|sql| Statement::of(sql).bind(community.to_sql())).to_vec()
}

fn delete_room(room: RoomId) -> Vec<Statement> {
    let texts = ["DELETE FROM room_member WHERE room_id = $1", "DELETE FROM room WHERE id = $1"];
    texts.map(|sql| Statement::of(sql).bind(room.to_sql())).to_vec()
}

fn put_member(member: &Member) -> Statement {
    let sql = "INSERT INTO member (community_id, user_id, extra_permissions, joined_at) VALUES ($1, $2, $3, $4) \
               ON CONFLICT (community_id, user_id) DO UPDATE SET \
               extra_permissions = excluded.extra_permissions, joined_at = excluded.joined_at";
    let statement = Statement::of(sql).bind(member.community.to_sql()).bind(member.user.to_sql());
    statement.bind(member.extra_permissions.0.cast_signed()).bind(member.joined_at.0)
}

fn remove_member(community: CommunityId, user: UserId) -> Vec<Statement> {
    let rooms = "DELETE FROM room_member WHERE user_id = $2 \
                 AND room_id IN (SELECT id FROM room WHERE community_id = $1)";
    let texts = [rooms, "DELETE FROM member WHERE community_id = $1 AND user_id = $2"];
    texts.map(|sql| Statement::of(sql).bind(community.to_sql()).bind(user.to_sql())).to_vec()
}

fn put_room(room: &Room) -> Statement {
    let sql = "INSERT INTO room (id, community_id, kind, name, topic, private, parent_room, parent_seq, category, \
               position, slow_mode_s, archived, created_at) \
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) ON CONFLICT (id) DO UPDATE SET \
               community_id = excluded.community_id, kind = excluded.kind, name = excluded.name, \
               topic = excluded.topic, private = excluded.private, parent_room = excluded.parent_room, \
               parent_seq = excluded.parent_seq, category = excluded.category, position = excluded.position, \
               slow_mode_s = excluded.slow_mode_s, archived = excluded.archived, created_at = excluded.created_at";
    let statement = Statement::of(sql).bind(room.id.to_sql()).bind(room.community.map(CommunityId::to_sql));
    let statement = statement.bind(room.kind.as_str()).bind(room.name.as_str()).bind(room.topic.as_str());
    let statement = statement.bind(room.private).bind(room.parent.map(|parent| parent.room.to_sql()));
    let statement = statement.bind(room.parent.map(|parent| parent.seq.to_sql())).bind(&room.category);
    let statement = statement.bind(room.position).bind(i64::from(room.slow_mode_s)).bind(room.archived);
    statement.bind(room.created_at.0)
}

fn put_invite(invite: &Invite) -> Statement {
    let sql = "INSERT INTO invite (code, community_id, made_by, max_uses, uses, expires_at, created_at) \
               VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (code) DO UPDATE SET \
               community_id = excluded.community_id, made_by = excluded.made_by, max_uses = excluded.max_uses, \
               uses = excluded.uses, expires_at = excluded.expires_at, created_at = excluded.created_at";
    let statement = Statement::of(sql).bind(invite.code.as_str()).bind(invite.community.to_sql());
    let statement = statement.bind(invite.by.to_sql()).bind(invite.max_uses.map(i64::from));
    let statement = statement.bind(i64::from(invite.uses)).bind(invite.expires_at.map(|at| at.0));
    statement.bind(invite.created_at.0)
}
