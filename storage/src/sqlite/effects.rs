//! Effects as statements.

use hubbub_protocol::ids::{CommunityId, RoomId, UserId};
use sqlx::SqliteConnection;

use super::Stop;
use crate::{
    effect::Effect,
    error::StoreError,
    facts::{Community, Invite, Room, User},
};

/// Applies effects in order, inside the caller's transaction.
pub(super) async fn apply(connection: &mut SqliteConnection, effects: &[Effect]) -> Result<(), Stop> {
    for effect in effects {
        one(connection, effect).await?;
    }
    Ok(())
}

async fn one(c: &mut SqliteConnection, effect: &Effect) -> Result<(), Stop> {
    match effect {
        Effect::PutUser(user) => return put_user(c, user).await,
        Effect::PutCommunity(community) => put_community(c, community).await?,
        Effect::DeleteCommunity(community) => delete_community(c, *community).await?,
        Effect::PutRoom(room) => put_room(c, room).await?,
        Effect::DeleteRoom(room) => {
            run(c, "DELETE FROM room_member WHERE room_id = ?", &[room.to_sql()]).await?;
            run(c, "DELETE FROM room WHERE id = ?", &[room.to_sql()]).await?;
        }
        Effect::PutMember(member) => {
            let sql = "INSERT INTO member (community_id, user_id, extra_permissions, joined_at) VALUES (?, ?, ?, ?) \
                       ON CONFLICT DO UPDATE SET extra_permissions = excluded.extra_permissions, \
                       joined_at = excluded.joined_at";
            let extra = member.extra_permissions.0.cast_signed();
            let binds = [member.community.to_sql(), member.user.to_sql(), extra, member.joined_at.0];
            run(c, sql, &binds).await?;
        }
        Effect::RemoveMember { community, user } => remove_member(c, *community, *user).await?,
        Effect::PutRoomMember { room, user } => {
            let sql = "INSERT INTO room_member (room_id, user_id) VALUES (?, ?) ON CONFLICT DO NOTHING";
            run(c, sql, &[room.to_sql(), user.to_sql()]).await?;
        }
        Effect::RemoveRoomMember { room, user } => {
            let sql = "DELETE FROM room_member WHERE room_id = ? AND user_id = ?";
            run(c, sql, &[room.to_sql(), user.to_sql()]).await?;
        }
        Effect::PutInvite(invite) => put_invite(c, invite).await?,
        Effect::DeleteInvite(code) => {
            sqlx::query("DELETE FROM invite WHERE code = ?").bind(code).execute(c).await?;
        }
        Effect::AddMention { user, room, seq } => {
            let sql = "INSERT INTO mention (user_id, room_id, seq) VALUES (?, ?, ?) ON CONFLICT DO NOTHING";
            run(c, sql, &[user.map_or(0, UserId::to_sql), room.to_sql(), seq.to_sql()]).await?;
        }
        Effect::PutMarker { user, room, seq } => {
            let sql = "INSERT INTO user_room (user_id, room_id, read_seq) VALUES (?, ?, ?) \
                       ON CONFLICT DO UPDATE SET read_seq = max(read_seq, excluded.read_seq)";
            run(c, sql, &[user.to_sql(), room.to_sql(), seq.to_sql()]).await?;
        }
        Effect::PutImported { community, kind, ext, id, seq } => {
            let sql = "INSERT INTO imported (community_id, kind, ext, id, seq) VALUES (?, ?, ?, ?, ?) \
                       ON CONFLICT DO UPDATE SET id = excluded.id, seq = excluded.seq";
            let query = sqlx::query(sql).bind(community.to_sql()).bind(i64::from(*kind as u8)).bind(ext);
            query.bind(id.cast_signed()).bind(seq.to_sql()).execute(c).await?;
        }
    }
    Ok(())
}

async fn run(c: &mut SqliteConnection, sql: &'static str, binds: &[i64]) -> Result<(), sqlx::Error> {
    let query = binds.iter().fold(sqlx::query(sql), |query, value| query.bind(*value));
    query.execute(c).await.map(drop)
}

async fn put_user(c: &mut SqliteConnection, user: &User) -> Result<(), Stop> {
    let sql = "INSERT INTO user_account \
               (id, name, display, email, avatar, is_owner, disabled, imported, created_at) \
               VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET name = excluded.name, \
               display = excluded.display, email = excluded.email, avatar = excluded.avatar, \
               is_owner = excluded.is_owner, disabled = excluded.disabled, imported = excluded.imported, \
               created_at = excluded.created_at";
    let query = sqlx::query(sql).bind(user.id.to_sql()).bind(&user.name).bind(&user.display);
    let query = query.bind(&user.email).bind(&user.avatar).bind(user.owner).bind(user.disabled);
    match query.bind(user.imported).bind(user.created_at.0).execute(c).await {
        Ok(_) => Ok(()),
        Err(error) if is_taken(&error) => Err(Stop::Refused(StoreError::Taken { what: "the user's name" })),
        Err(error) => Err(Stop::Failed(error)),
    }
}

pub(super) fn is_taken(error: &sqlx::Error) -> bool {
    error.as_database_error().is_some_and(sqlx::error::DatabaseError::is_unique_violation)
}

async fn put_community(c: &mut SqliteConnection, community: &Community) -> Result<(), sqlx::Error> {
    let sql = "INSERT INTO community (id, name, description, owner, public, member_permissions, created_at) \
               VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET name = excluded.name, \
               description = excluded.description, owner = excluded.owner, public = excluded.public, \
               member_permissions = excluded.member_permissions, created_at = excluded.created_at";
    let query = sqlx::query(sql).bind(community.id.to_sql()).bind(&community.name).bind(&community.description);
    let query = query.bind(community.owner.to_sql()).bind(community.public);
    let permissions = community.member_permissions.0.cast_signed();
    query.bind(permissions).bind(community.created_at.0).execute(c).await.map(drop)
}

async fn delete_community(c: &mut SqliteConnection, community: CommunityId) -> Result<(), sqlx::Error> {
    let rooms = "DELETE FROM room_member WHERE room_id IN (SELECT id FROM room WHERE community_id = ?)";
    for sql in [
        rooms,
        "DELETE FROM room WHERE community_id = ?",
        "DELETE FROM member WHERE community_id = ?",
        "DELETE FROM invite WHERE community_id = ?",
        "DELETE FROM community WHERE id = ?",
    ] {
        run(c, sql, &[community.to_sql()]).await?;
    }
    Ok(())
}

async fn remove_member(c: &mut SqliteConnection, community: CommunityId, user: UserId) -> Result<(), sqlx::Error> {
    let rooms = "DELETE FROM room_member WHERE user_id = ?2 \
                 AND room_id IN (SELECT id FROM room WHERE community_id = ?1)";
    let binds = [community.to_sql(), user.to_sql()];
    run(c, rooms, &binds).await?;
    run(c, "DELETE FROM member WHERE community_id = ? AND user_id = ?", &binds).await
}

async fn put_room(c: &mut SqliteConnection, room: &Room) -> Result<(), sqlx::Error> {
    let sql = "INSERT INTO room (id, community_id, kind, name, topic, private, parent_room, parent_seq, category, \
               position, slow_mode_s, archived, created_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) \
               ON CONFLICT (id) DO UPDATE SET community_id = excluded.community_id, kind = excluded.kind, \
               name = excluded.name, topic = excluded.topic, private = excluded.private, \
               parent_room = excluded.parent_room, parent_seq = excluded.parent_seq, category = excluded.category, \
               position = excluded.position, slow_mode_s = excluded.slow_mode_s, archived = excluded.archived, \
               created_at = excluded.created_at";
    let query = sqlx::query(sql).bind(room.id.to_sql()).bind(room.community.map(CommunityId::to_sql));
    let query = query.bind(room.kind.as_str()).bind(&room.name).bind(&room.topic).bind(room.private);
    let query = query.bind(room.parent.map(|parent| RoomId::to_sql(parent.room)));
    let query = query.bind(room.parent.map(|parent| parent.seq.to_sql())).bind(&room.category);
    let query = query.bind(room.position).bind(i64::from(room.slow_mode_s)).bind(room.archived);
    query.bind(room.created_at.0).execute(c).await.map(drop)
}

async fn put_invite(c: &mut SqliteConnection, invite: &Invite) -> Result<(), sqlx::Error> {
    let sql = "INSERT INTO invite (code, community_id, made_by, max_uses, uses, expires_at, created_at) \
               VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (code) DO UPDATE SET community_id = excluded.community_id, \
               made_by = excluded.made_by, max_uses = excluded.max_uses, uses = excluded.uses, \
               expires_at = excluded.expires_at, created_at = excluded.created_at";
    let query = sqlx::query(sql).bind(&invite.code).bind(invite.community.to_sql()).bind(invite.by.to_sql());
    let query = query.bind(invite.max_uses.map(i64::from)).bind(i64::from(invite.uses));
    query.bind(invite.expires_at.map(|at| at.0)).bind(invite.created_at.0).execute(c).await.map(drop)
}
