//! Communities, rooms, memberships and invites; and [`MetaStore`], for which the statements of this
//! and the neighbouring files are written.

use std::collections::HashMap;

use async_trait::async_trait;
use hubbub_protocol::{
    ids::{CommunityId, RoomId, Seq, SessionId, UserId},
    time::Timestamp,
};
use sqlx::{Row, SqliteConnection, sqlite::SqliteRow};

use super::{
    AsyncWork, SqliteStore, Stop,
    people::{
        Apply, Bind, CreateSession, CreateUser, EndSession, ForgetResumeStates, ForgetSecret, PutResumeStates,
        RotateSession, SecretOr, SetPassword, numbers,
    },
    rows,
};
use crate::{
    effect::{Effect, ImportKind},
    error::StoreError,
    facts::{Community, Invite, Member, ResumeState, Room, Session, User},
    meta::MetaStore,
};

/// Columns of a community, in the order of [`rows::community`].
const COMMUNITY: &str = "c.id, c.name, c.description, c.owner, c.public, c.member_permissions, c.created_at";
/// Columns of an invite, in the order of [`rows::invite`].
const INVITE: &str = "code, community_id, made_by, max_uses, uses, expires_at, created_at";
/// Most sessions or invites told of at once.
const LIST_MAX: usize = 1_000;

struct UseInvite(String, Timestamp);

impl AsyncWork<Option<Invite>> for UseInvite {
    async fn run(self, c: &mut SqliteConnection) -> Result<Option<Invite>, Stop> {
        let sql = "UPDATE invite SET uses = uses + 1 WHERE code = ? AND (max_uses IS NULL OR uses < max_uses) \
                   AND (expires_at IS NULL OR expires_at > ?) \
                   RETURNING code, community_id, made_by, max_uses, uses, expires_at, created_at";
        let row = sqlx::query(sql).bind(self.0).bind(self.1.0).fetch_optional(c).await?;
        Ok(row.as_ref().map(rows::invite))
    }
}

struct GiveBackInvite(String);

impl AsyncWork<()> for GiveBackInvite {
    async fn run(self, c: &mut SqliteConnection) -> Result<(), Stop> {
        let sql = "UPDATE invite SET uses = uses - 1 WHERE code = ? AND uses > 0";
        sqlx::query(sql).bind(self.0).execute(c).await?;
        Ok(())
    }
}

/// A pattern for `LIKE … ESCAPE '\'` that takes `prefix` to the letter.
fn beginning(prefix: Option<&str>) -> String {
    let prefix = prefix.unwrap_or_default();
    let escaped = prefix.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
    format!("{escaped}%")
}

fn limit_of(limit: usize) -> Bind<'static> {
    Bind::Number(i64::try_from(limit).unwrap_or(i64::MAX))
}

fn after_of(after: Option<UserId>) -> Bind<'static> {
    Bind::Number(after.map_or(-1, UserId::to_sql))
}

impl SqliteStore {
    async fn communities(&self, from: &str, binds: &[Bind<'_>]) -> Result<Vec<Community>, StoreError> {
        self.rows("communities", format!("SELECT {COMMUNITY} FROM {from}"), binds, rows::community).await
    }

    async fn rooms(&self, from: &str, binds: &[Bind<'_>]) -> Result<Vec<Room>, StoreError> {
        self.rows("rooms", format!("SELECT {} FROM {from}", rows::ROOM), binds, rows::room).await
    }

    async fn users_by(&self, filter: &str, binds: &[Bind<'_>]) -> Result<Vec<User>, StoreError> {
        let sql = format!("SELECT {} FROM {filter}", rows::USER);
        self.rows("users", sql, binds, |row| rows::user(row, 0)).await
    }

    async fn count(&self, sql: &str, binds: &[Bind<'_>]) -> Result<u64, StoreError> {
        let of = |row: &SqliteRow| u64::try_from(row.get::<i64, _>(0)).unwrap_or(0);
        Ok(self.one_row("a count", sql.to_owned(), binds, of).await?.unwrap_or(0))
    }
}

#[async_trait]
impl MetaStore for SqliteStore {
    async fn apply(&self, effects: &[Effect]) -> Result<(), StoreError> {
        self.write("facts", Apply(effects.to_vec())).await
    }

    async fn create_user(&self, user: &User, password_hash: Option<&str>) -> Result<(), StoreError> {
        self.write("a user", CreateUser(user.clone(), password_hash.map(str::to_owned))).await
    }

    async fn password_hash(&self, user: UserId) -> Result<Option<String>, StoreError> {
        let sql = "SELECT hash FROM user_password WHERE user_id = ?".to_owned();
        self.one_row("a password hash", sql, &[Bind::Number(user.to_sql())], |row| row.get(0)).await
    }

    async fn set_password_hash(&self, user: UserId, hash: &str) -> Result<(), StoreError> {
        self.write("a password hash", SetPassword(user, hash.to_owned())).await
    }

    async fn user(&self, id: UserId) -> Result<Option<User>, StoreError> {
        Ok(self.users_by("user_account u WHERE u.id = ?", &[Bind::Number(id.to_sql())]).await?.pop())
    }

    async fn users(&self, ids: &[UserId]) -> Result<Vec<User>, StoreError> {
        self.read_users(ids).await
    }

    async fn user_by_name(&self, name: &str) -> Result<Option<User>, StoreError> {
        Ok(self.users_by("user_account u WHERE u.name = ?", &[Bind::Text(name)]).await?.pop())
    }

    async fn list_users(&self, after: Option<UserId>, limit: usize) -> Result<Vec<User>, StoreError> {
        let filter = "user_account u WHERE u.id > ? ORDER BY u.id LIMIT ?";
        self.users_by(filter, &[after_of(after), limit_of(limit)]).await
    }

    async fn count_users(&self) -> Result<u64, StoreError> {
        self.count("SELECT count(*) FROM user_account WHERE NOT imported", &[]).await
    }

    async fn create_session(&self, session: &Session) -> Result<(), StoreError> {
        self.write("a session", CreateSession(session.clone())).await
    }

    async fn session(&self, id: SessionId) -> Result<Option<Session>, StoreError> {
        Ok(self.read_sessions("id = ?", id.to_sql()).await?.pop())
    }

    async fn sessions_of(&self, user: UserId) -> Result<Vec<Session>, StoreError> {
        let filter = "user_id = ? AND ended_at IS NULL ORDER BY created_at DESC, id DESC LIMIT 1000";
        self.read_sessions(filter, user.to_sql()).await
    }

    async fn rotate_session(
        &self,
        id: SessionId,
        old_hash: &[u8; 32],
        new_hash: &[u8; 32],
        now: Timestamp,
        expires_at: Timestamp,
    ) -> Result<bool, StoreError> {
        let rotate = RotateSession { id, old_hash: *old_hash, new_hash: *new_hash, now, expires_at };
        self.write("a session", rotate).await
    }

    async fn end_session(&self, id: SessionId, now: Timestamp) -> Result<(), StoreError> {
        self.write("a session", EndSession(id, now)).await
    }

    async fn secret_or(&self, name: &str, fresh: &[u8]) -> Result<Vec<u8>, StoreError> {
        self.write("a secret", SecretOr(name.to_owned(), fresh.to_vec())).await
    }

    async fn forget_secret(&self, name: &str) -> Result<bool, StoreError> {
        self.write("a secret", ForgetSecret(name.to_owned())).await
    }

    async fn community(&self, id: CommunityId) -> Result<Option<Community>, StoreError> {
        Ok(self.communities("community c WHERE c.id = ?", &[Bind::Number(id.to_sql())]).await?.pop())
    }

    async fn community_by_name(&self, name: &str) -> Result<Option<Community>, StoreError> {
        let from = "community c WHERE c.name = ? ORDER BY c.id LIMIT 1";
        Ok(self.communities(from, &[Bind::Text(name)]).await?.pop())
    }

    async fn communities_of(&self, user: UserId) -> Result<Vec<Community>, StoreError> {
        let from = "member m JOIN community c ON c.id = m.community_id WHERE m.user_id = ? ORDER BY c.id";
        self.communities(from, &[Bind::Number(user.to_sql())]).await
    }

    async fn member(&self, community: CommunityId, user: UserId) -> Result<Option<Member>, StoreError> {
        let sql = "SELECT community_id, user_id, extra_permissions, joined_at FROM member \
                   WHERE community_id = ? AND user_id = ?"
            .to_owned();
        let binds = [Bind::Number(community.to_sql()), Bind::Number(user.to_sql())];
        self.one_row("a member", sql, &binds, rows::member).await
    }

    async fn members(
        &self,
        community: CommunityId,
        after: Option<UserId>,
        limit: usize,
        prefix: Option<&str>,
    ) -> Result<Vec<(Member, User)>, StoreError> {
        let sql = format!(
            "SELECT m.community_id, m.user_id, m.extra_permissions, m.joined_at, {} FROM member m \
             JOIN user_account u ON u.id = m.user_id WHERE m.community_id = ?1 AND m.user_id > ?2 \
             AND (?4 = '%' OR u.name LIKE ?4 ESCAPE '\\' OR u.display LIKE ?4 ESCAPE '\\') \
             ORDER BY m.user_id LIMIT ?3",
            rows::USER
        );
        let pattern = beginning(prefix);
        let binds = [Bind::Number(community.to_sql()), after_of(after), limit_of(limit), Bind::Text(&pattern)];
        self.rows("members", sql, &binds, |row| (rows::member(row), rows::user(row, 4))).await
    }

    async fn member_count(&self, community: CommunityId) -> Result<u64, StoreError> {
        let sql = "SELECT count(*) FROM member WHERE community_id = ?";
        self.count(sql, &[Bind::Number(community.to_sql())]).await
    }

    async fn acquainted(&self, one: UserId, other: UserId) -> Result<bool, StoreError> {
        let sql = "SELECT EXISTS (SELECT 1 FROM member a JOIN member b ON b.community_id = a.community_id \
                   AND b.user_id = ?2 WHERE a.user_id = ?1) \
                   OR EXISTS (SELECT 1 FROM room_member a JOIN room_member b ON b.room_id = a.room_id \
                   AND b.user_id = ?2 JOIN room r ON r.id = a.room_id AND r.kind IN ('dm', 'group') \
                   WHERE a.user_id = ?1)";
        Ok(self.count(sql, &[Bind::Number(one.to_sql()), Bind::Number(other.to_sql())]).await? > 0)
    }

    async fn room(&self, id: RoomId) -> Result<Option<Room>, StoreError> {
        Ok(self.rooms("room r WHERE r.id = ?", &[Bind::Number(id.to_sql())]).await?.pop())
    }

    async fn rooms_of(&self, community: CommunityId, threads: bool) -> Result<Vec<Room>, StoreError> {
        let from = "room r WHERE r.community_id = ?1 AND (?2 OR r.kind <> 'thread') ORDER BY r.position, r.id";
        self.rooms(from, &[Bind::Number(community.to_sql()), Bind::Number(i64::from(threads))]).await
    }

    async fn own_rooms(&self, user: UserId) -> Result<Vec<Room>, StoreError> {
        let from = "room_member m JOIN room r ON r.id = m.room_id WHERE m.user_id = ? ORDER BY r.id";
        self.rooms(from, &[Bind::Number(user.to_sql())]).await
    }

    async fn is_room_member(&self, room: RoomId, user: UserId) -> Result<bool, StoreError> {
        let sql = "SELECT count(*) FROM room_member WHERE room_id = ? AND user_id = ?";
        Ok(self.count(sql, &[Bind::Number(room.to_sql()), Bind::Number(user.to_sql())]).await? > 0)
    }

    async fn room_members(
        &self,
        room: RoomId,
        after: Option<UserId>,
        limit: usize,
        prefix: Option<&str>,
    ) -> Result<Vec<User>, StoreError> {
        let from = "room_member m JOIN user_account u ON u.id = m.user_id WHERE m.room_id = ?1 AND m.user_id > ?2 \
                    AND (?4 = '%' OR u.name LIKE ?4 ESCAPE '\\' OR u.display LIKE ?4 ESCAPE '\\') \
                    ORDER BY m.user_id LIMIT ?3";
        let pattern = beginning(prefix);
        let binds = [Bind::Number(room.to_sql()), after_of(after), limit_of(limit), Bind::Text(&pattern)];
        self.users_by(from, &binds).await
    }

    async fn room_member_count(&self, room: RoomId) -> Result<u64, StoreError> {
        self.count("SELECT count(*) FROM room_member WHERE room_id = ?", &[Bind::Number(room.to_sql())]).await
    }

    async fn dm_of(&self, one: UserId, other: UserId) -> Result<Option<Room>, StoreError> {
        let from = "room_member a JOIN room_member b ON b.room_id = a.room_id AND b.user_id = ?2 \
                    JOIN room r ON r.id = a.room_id AND r.kind = 'dm' WHERE a.user_id = ?1 ORDER BY r.id LIMIT 1";
        Ok(self.rooms(from, &[Bind::Number(one.to_sql()), Bind::Number(other.to_sql())]).await?.pop())
    }

    async fn invite(&self, code: &str) -> Result<Option<Invite>, StoreError> {
        let sql = format!("SELECT {INVITE} FROM invite WHERE code = ?");
        self.one_row("an invite", sql, &[Bind::Text(code)], rows::invite).await
    }

    async fn invites_of(&self, community: CommunityId) -> Result<Vec<Invite>, StoreError> {
        let sql = format!(
            "SELECT {INVITE} FROM invite WHERE community_id = ? ORDER BY created_at DESC, code LIMIT {LIST_MAX}"
        );
        self.rows("invites", sql, &[Bind::Number(community.to_sql())], rows::invite).await
    }

    async fn use_invite(&self, code: &str, now: Timestamp) -> Result<Option<Invite>, StoreError> {
        self.write("an invite", UseInvite(code.to_owned(), now)).await
    }

    async fn give_back_invite(&self, code: &str) -> Result<(), StoreError> {
        self.write("an invite", GiveBackInvite(code.to_owned())).await
    }

    async fn markers(&self, user: UserId) -> Result<HashMap<RoomId, Seq>, StoreError> {
        self.read_markers(user).await
    }

    async fn mention_counts(&self, user: UserId, rooms: &[RoomId]) -> Result<HashMap<RoomId, u64>, StoreError> {
        self.read_mention_counts(user, rooms).await
    }

    async fn put_resume_states(&self, states: &[ResumeState]) -> Result<(), StoreError> {
        self.write("resume states", PutResumeStates(states.to_vec())).await
    }

    async fn resume_state(&self, session: u64) -> Result<Option<ResumeState>, StoreError> {
        let sql = "SELECT session, user_id, state, saved_at FROM resume_state WHERE session = ?".to_owned();
        let of = |row: &SqliteRow| ResumeState {
            session: row.get::<i64, _>(0).cast_unsigned(),
            user: UserId::from_sql(row.get(1)),
            state: row.get(2),
            saved_at: Timestamp(row.get(3)),
        };
        self.one_row("a resume state", sql, &[Bind::Number(session.cast_signed())], of).await
    }

    async fn forget_resume_states(&self, before: Timestamp) -> Result<u64, StoreError> {
        self.write("resume states", ForgetResumeStates(before)).await
    }

    async fn imported(
        &self,
        community: CommunityId,
        kind: ImportKind,
        exts: &[String],
    ) -> Result<HashMap<String, (u64, Seq)>, StoreError> {
        let sql = "SELECT ext, id, seq FROM imported WHERE community_id = ? AND kind = ? \
                   AND ext IN (SELECT value FROM json_each(?))"
            .to_owned();
        let exts = serde_json::to_string(exts).unwrap_or_else(|_| "[]".to_owned());
        let binds = [Bind::Number(community.to_sql()), Bind::Number(i64::from(kind as u8)), Bind::Text(&exts)];
        let of = |row: &SqliteRow| (row.get(0), (row.get::<i64, _>(1).cast_unsigned(), Seq::from_sql(row.get(2))));
        Ok(self.rows("names of an archive", sql, &binds, of).await?.into_iter().collect())
    }

    async fn imported_names(
        &self,
        community: CommunityId,
        kind: ImportKind,
        ids: &[u64],
    ) -> Result<HashMap<u64, String>, StoreError> {
        let sql = "SELECT id, ext FROM imported WHERE community_id = ? AND kind = ? AND kind <> 1 \
                   AND id IN (SELECT value FROM json_each(?))"
            .to_owned();
        let ids = numbers(ids.iter().map(|id| id.cast_signed()));
        let binds = [Bind::Number(community.to_sql()), Bind::Number(i64::from(kind as u8)), Bind::Text(&ids)];
        let of = |row: &SqliteRow| (row.get::<i64, _>(0).cast_unsigned(), row.get(1));
        Ok(self.rows("names of an archive", sql, &binds, of).await?.into_iter().collect())
    }
}
