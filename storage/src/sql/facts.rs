//! [`MetaStore`] for a database that carries out our statements.

use std::collections::HashMap;

use async_trait::async_trait;
use hubbub_protocol::{
    ids::{CommunityId, RoomId, Seq, SessionId, UserId},
    time::Timestamp,
};

use super::{Database, ListOf, columns::Columns, limit_of, people, people::numbers, rows, statement::Statement};
use crate::{
    effect::{Effect, ImportKind},
    error::StoreError,
    facts::{Community, Invite, Member, ResumeState, Room, Session, User},
    meta::MetaStore,
};

/// Most sessions or invites told of at once.
const LIST_MAX: usize = 1_000;
/// Whether a listed account begins as `$4` says; both databases fold ASCII letters alone here.
const BEGINS: &str = "($4 = '%' OR lower(u.name) LIKE $4 ESCAPE '\\' OR lower(u.display) LIKE $4 ESCAPE '\\')";

async fn communities<D: Database>(database: &D, from: Statement) -> Result<Vec<Community>, StoreError> {
    let found = database.read("communities", selecting(rows::COMMUNITY, from)).await?;
    Ok(found.iter().map(rows::community).collect())
}

async fn rooms<D: Database>(database: &D, from: Statement) -> Result<Vec<Room>, StoreError> {
    let found = database.read("rooms", selecting(rows::ROOM, from)).await?;
    Ok(found.iter().map(rows::room).collect())
}

async fn users<D: Database>(database: &D, from: Statement) -> Result<Vec<User>, StoreError> {
    let found = database.read("users", selecting(rows::USER, from)).await?;
    Ok(found.iter().map(|row| rows::user(row, 0)).collect())
}

async fn sessions<D: Database>(database: &D, from: Statement) -> Result<Vec<Session>, StoreError> {
    let found = database.read("sessions", selecting(rows::SESSION, from)).await?;
    Ok(found.iter().map(rows::session).collect())
}

async fn count<D: Database>(database: &D, statement: Statement) -> Result<u64, StoreError> {
    let found = database.read("a count", statement).await?;
    Ok(found.first().map_or(0, |row| row.count(0)))
}

/// `from`, a statement without its head, with `columns` to select.
fn selecting(columns: &str, from: Statement) -> Statement {
    let sql = format!("SELECT {columns} FROM {}", from.sql).into();
    Statement { sql, ..from }
}

fn from(sql: &'static str) -> Statement {
    Statement::of(sql)
}

/// `sql`, which ends with a column, for those rows in which it is one of `ids`.
fn among<D: Database>(sql: &str, ids: impl Iterator<Item = i64>) -> Statement {
    let list = D::list(1, ListOf::Numbers);
    Statement::of(format!("{sql} IN (SELECT wanted.value FROM {list})")).bind(numbers(ids))
}

/// The user and the room at the beginning of a row.
fn whose(row: &impl Columns) -> (UserId, RoomId) {
    (UserId::from_sql(row.number(0)), RoomId::from_sql(row.number(1)))
}

fn after_of(after: Option<UserId>) -> i64 {
    after.map_or(-1, UserId::to_sql)
}

#[async_trait]
impl<D: Database> MetaStore for D {
    async fn apply(&self, effects: &[Effect]) -> Result<(), StoreError> {
        self.write("facts", D::effects(effects)).await.map(drop)
    }

    async fn create_user(&self, user: &User, password_hash: Option<&str>) -> Result<(), StoreError> {
        self.write("a user", people::create_user(user, password_hash)).await.map(drop)
    }

    async fn password_hash(&self, user: UserId) -> Result<Option<String>, StoreError> {
        let statement = from("SELECT hash FROM user_password WHERE user_id = $1").bind(user.to_sql());
        Ok(self.read("a password hash", statement).await?.first().map(|row| row.text(0)))
    }

    async fn set_password_hash(&self, user: UserId, hash: &str) -> Result<(), StoreError> {
        self.write("a password hash", vec![people::set_password(user, hash)]).await.map(drop)
    }

    async fn users(&self, ids: &[UserId]) -> Result<Vec<User>, StoreError> {
        users(self, among::<D>("user_account u WHERE u.id", ids.iter().map(|id| id.to_sql()))).await
    }

    async fn user_by_name(&self, name: &str) -> Result<Option<User>, StoreError> {
        Ok(users(self, from("user_account u WHERE u.name = $1").bind(name)).await?.pop())
    }

    async fn list_users(&self, after: Option<UserId>, limit: usize) -> Result<Vec<User>, StoreError> {
        let found = from("user_account u WHERE u.id > $1 ORDER BY u.id LIMIT $2");
        users(self, found.bind(after_of(after)).bind(limit_of(limit))).await
    }

    async fn count_users(&self) -> Result<u64, StoreError> {
        count(self, from("SELECT count(*) FROM user_account WHERE NOT imported")).await
    }

    async fn create_session(&self, session: &Session) -> Result<(), StoreError> {
        self.write("a session", vec![people::create_session(session)]).await.map(drop)
    }

    async fn sessions(&self, ids: &[SessionId]) -> Result<Vec<Session>, StoreError> {
        sessions(self, among::<D>("session WHERE id", ids.iter().map(|id| id.to_sql()))).await
    }

    async fn sessions_of(&self, user: UserId) -> Result<Vec<Session>, StoreError> {
        let newest = "session WHERE user_id = $1 AND ended_at IS NULL ORDER BY created_at DESC, id DESC LIMIT $2";
        sessions(self, from(newest).bind(user.to_sql()).bind(limit_of(LIST_MAX))).await
    }

    async fn rotate_session(
        &self,
        id: SessionId,
        old_hash: &[u8; 32],
        new_hash: &[u8; 32],
        now: Timestamp,
        expires_at: Timestamp,
    ) -> Result<bool, StoreError> {
        let rotate = people::rotate_session(id, old_hash, new_hash, now, expires_at);
        Ok(self.write("a session", vec![rotate]).await?.affected == 1)
    }

    async fn end_session(&self, id: SessionId, now: Timestamp) -> Result<(), StoreError> {
        self.write("a session", vec![people::end_session(id, now)]).await.map(drop)
    }

    async fn secret_or(&self, name: &str, fresh: &[u8]) -> Result<Vec<u8>, StoreError> {
        let written = self.write("a secret", people::secret_or(name, fresh)).await?;
        Ok(written.rows.first().map(|row| row.bytes(0).to_vec()).unwrap_or_default())
    }

    async fn secret(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let found = self.read("a secret", from("SELECT bytes FROM secret WHERE name = $1").bind(name)).await?;
        Ok(found.first().map(|row| row.bytes(0).to_vec()))
    }

    async fn forget_secret(&self, name: &str) -> Result<bool, StoreError> {
        let forget = from("DELETE FROM secret WHERE name = $1").bind(name);
        Ok(self.write("a secret", vec![forget]).await?.affected > 0)
    }

    async fn communities(&self, ids: &[CommunityId]) -> Result<Vec<Community>, StoreError> {
        communities(self, among::<D>("community c WHERE c.id", ids.iter().map(|id| id.to_sql()))).await
    }

    async fn community_by_name(&self, name: &str) -> Result<Option<Community>, StoreError> {
        let oldest = from("community c WHERE c.name = $1 ORDER BY c.id LIMIT 1").bind(name);
        Ok(communities(self, oldest).await?.pop())
    }

    async fn communities_of(&self, user: UserId) -> Result<Vec<Community>, StoreError> {
        let of = "member m JOIN community c ON c.id = m.community_id WHERE m.user_id = $1 ORDER BY c.id";
        communities(self, from(of).bind(user.to_sql())).await
    }

    async fn memberships(&self, users: &[UserId]) -> Result<Vec<Member>, StoreError> {
        let theirs = among::<D>("member WHERE user_id", users.iter().map(|user| user.to_sql()));
        let found =
            self.read("memberships", selecting(rows::MEMBER, theirs.then(" ORDER BY community_id"))).await?;
        Ok(found.iter().map(rows::member).collect())
    }

    async fn member(&self, community: CommunityId, user: UserId) -> Result<Option<Member>, StoreError> {
        let one = from("member WHERE community_id = $1 AND user_id = $2");
        let one = selecting(rows::MEMBER, one.bind(community.to_sql()).bind(user.to_sql()));
        let found = self.read("a member", one).await?;
        Ok(found.first().map(rows::member))
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
             JOIN user_account u ON u.id = m.user_id WHERE m.community_id = $1 AND m.user_id > $2 AND {BEGINS} \
             ORDER BY m.user_id LIMIT $3",
            rows::USER
        );
        let page = Statement::of(sql).bind(community.to_sql()).bind(after_of(after)).bind(limit_of(limit));
        let found = self.read("members", page.bind(people::beginning(prefix).as_str())).await?;
        Ok(found.iter().map(|row| (rows::member(row), rows::user(row, 4))).collect())
    }

    async fn member_count(&self, community: CommunityId) -> Result<u64, StoreError> {
        count(self, from("SELECT count(*) FROM member WHERE community_id = $1").bind(community.to_sql())).await
    }

    async fn acquainted(&self, one: UserId, other: UserId) -> Result<bool, StoreError> {
        let sql = "SELECT CAST(CASE WHEN EXISTS (SELECT 1 FROM member a JOIN member b \
                   ON b.community_id = a.community_id AND b.user_id = $2 WHERE a.user_id = $1) \
                   OR EXISTS (SELECT 1 FROM room_member a JOIN room_member b ON b.room_id = a.room_id \
                   AND b.user_id = $2 JOIN room r ON r.id = a.room_id AND r.kind IN ('dm', 'group') \
                   WHERE a.user_id = $1) THEN 1 ELSE 0 END AS bigint)";
        Ok(count(self, from(sql).bind(one.to_sql()).bind(other.to_sql())).await? > 0)
    }

    async fn rooms(&self, ids: &[RoomId]) -> Result<Vec<Room>, StoreError> {
        rooms(self, among::<D>("room r WHERE r.id", ids.iter().map(|id| id.to_sql()))).await
    }

    async fn rooms_of(&self, community: CommunityId, threads: bool) -> Result<Vec<Room>, StoreError> {
        let of = "room r WHERE r.community_id = $1 AND ($2 OR r.kind <> 'thread') ORDER BY r.position, r.id";
        rooms(self, from(of).bind(community.to_sql()).bind(threads)).await
    }

    async fn own_rooms(&self, user: UserId) -> Result<Vec<Room>, StoreError> {
        let of = "room_member m JOIN room r ON r.id = m.room_id WHERE m.user_id = $1 ORDER BY r.id";
        rooms(self, from(of).bind(user.to_sql())).await
    }

    async fn own_rooms_of(&self, users: &[UserId]) -> Result<Vec<(UserId, RoomId)>, StoreError> {
        let theirs = among::<D>("room_member WHERE user_id", users.iter().map(|user| user.to_sql()));
        let found = self.read("rooms", selecting("user_id, room_id", theirs.then(" ORDER BY room_id"))).await?;
        Ok(found.iter().map(|row| (UserId::from_sql(row.number(0)), RoomId::from_sql(row.number(1)))).collect())
    }

    async fn is_room_member(&self, room: RoomId, user: UserId) -> Result<bool, StoreError> {
        let sql = "SELECT count(*) FROM room_member WHERE room_id = $1 AND user_id = $2";
        Ok(count(self, from(sql).bind(room.to_sql()).bind(user.to_sql())).await? > 0)
    }

    async fn room_members(
        &self,
        room: RoomId,
        after: Option<UserId>,
        limit: usize,
        prefix: Option<&str>,
    ) -> Result<Vec<User>, StoreError> {
        let page = Statement::of(format!(
            "room_member m JOIN user_account u ON u.id = m.user_id WHERE m.room_id = $1 AND m.user_id > $2 \
             AND {BEGINS} ORDER BY m.user_id LIMIT $3"
        ));
        let page = page.bind(room.to_sql()).bind(after_of(after)).bind(limit_of(limit));
        users(self, page.bind(people::beginning(prefix).as_str())).await
    }

    async fn room_member_count(&self, room: RoomId) -> Result<u64, StoreError> {
        count(self, from("SELECT count(*) FROM room_member WHERE room_id = $1").bind(room.to_sql())).await
    }

    async fn dm_of(&self, one: UserId, other: UserId) -> Result<Option<Room>, StoreError> {
        let of = "room_member a JOIN room_member b ON b.room_id = a.room_id AND b.user_id = $2 \
                  JOIN room r ON r.id = a.room_id AND r.kind = 'dm' WHERE a.user_id = $1 ORDER BY r.id LIMIT 1";
        Ok(rooms(self, from(of).bind(one.to_sql()).bind(other.to_sql())).await?.pop())
    }

    async fn invite(&self, code: &str) -> Result<Option<Invite>, StoreError> {
        let found = self.read("an invite", selecting(rows::INVITE, from("invite WHERE code = $1").bind(code)));
        Ok(found.await?.first().map(rows::invite))
    }

    async fn invites_of(&self, community: CommunityId) -> Result<Vec<Invite>, StoreError> {
        let newest = from("invite WHERE community_id = $1 ORDER BY created_at DESC, code LIMIT $2");
        let newest = newest.bind(community.to_sql()).bind(limit_of(LIST_MAX));
        Ok(self.read("invites", selecting(rows::INVITE, newest)).await?.iter().map(rows::invite).collect())
    }

    async fn use_invite(&self, code: &str, now: Timestamp) -> Result<Option<Invite>, StoreError> {
        let written = self.write("an invite", vec![people::use_invite(code, now)]).await?;
        Ok(written.rows.first().map(rows::invite))
    }

    async fn give_back_invite(&self, code: &str) -> Result<(), StoreError> {
        let give_back = from("UPDATE invite SET uses = uses - 1 WHERE code = $1 AND uses > 0").bind(code);
        self.write("an invite", vec![give_back]).await.map(drop)
    }

    async fn markers_of(&self, users: &[UserId]) -> Result<HashMap<(UserId, RoomId), Seq>, StoreError> {
        let theirs = among::<D>("user_room WHERE user_id", users.iter().map(|user| user.to_sql()));
        let found = self.read("markers", selecting("user_id, room_id, read_seq", theirs)).await?;
        Ok(found.iter().map(|row| (whose(row), Seq::from_sql(row.number(2)))).collect())
    }

    async fn mentions_of(&self, asked: &[(UserId, RoomId)]) -> Result<HashMap<(UserId, RoomId), u64>, StoreError> {
        // One who is named and meant by everyone at once is mentioned once.
        let sql = format!(
            "SELECT wanted.value, wanted.other, count(DISTINCT m.seq) FROM {} \
             CROSS JOIN (SELECT 0 AS everyone UNION ALL SELECT 1) who CROSS JOIN mention m \
             LEFT JOIN user_room r ON r.user_id = wanted.value AND r.room_id = wanted.other \
             WHERE m.user_id = CASE who.everyone WHEN 1 THEN 0 ELSE wanted.value END \
             AND m.room_id = wanted.other AND m.seq > coalesce(r.read_seq, 0) \
             GROUP BY wanted.value, wanted.other",
            D::pairs(1)
        );
        let counts =
            D::bind_pairs(Statement::of(sql), asked.iter().map(|(user, room)| (user.to_sql(), room.to_sql())));
        let found = self.read("mentions", counts).await?;
        Ok(found.iter().map(|row| (whose(row), row.count(2))).collect())
    }

    async fn put_resume_states(&self, states: &[ResumeState]) -> Result<(), StoreError> {
        if states.is_empty() {
            return Ok(());
        }
        self.write("resume states", people::put_resume_states(states)).await.map(drop)
    }

    async fn resume_states(&self, sessions: &[u64]) -> Result<Vec<ResumeState>, StoreError> {
        let kept = among::<D>("resume_state WHERE session", sessions.iter().map(|session| session.cast_signed()));
        let found = self.read("resume states", selecting("session, user_id, state, saved_at", kept)).await?;
        Ok(found.iter().map(rows::resume_state).collect())
    }

    async fn forget_resume_states(&self, before: Timestamp) -> Result<u64, StoreError> {
        let forget = from("DELETE FROM resume_state WHERE saved_at < $1").bind(before.0);
        Ok(self.write("resume states", vec![forget]).await?.affected)
    }

    async fn imported(
        &self,
        community: CommunityId,
        kind: ImportKind,
        exts: &[String],
    ) -> Result<HashMap<String, (u64, Seq)>, StoreError> {
        let sql = format!(
            "SELECT ext, id, seq FROM imported WHERE community_id = $1 AND kind = $2 \
             AND ext IN (SELECT wanted.value FROM {})",
            D::list(3, ListOf::Texts)
        );
        let names = Statement::of(sql).bind(community.to_sql()).bind(i64::from(kind as u8)).bind(exts);
        let found = self.read("names of an archive", names).await?;
        let name = |row: &D::Row| (row.text(0), (row.number(1).cast_unsigned(), Seq::from_sql(row.number(2))));
        Ok(found.iter().map(name).collect())
    }

    async fn imported_names(
        &self,
        community: CommunityId,
        kind: ImportKind,
        ids: &[u64],
    ) -> Result<HashMap<u64, String>, StoreError> {
        let sql = format!(
            "SELECT id, ext FROM imported WHERE community_id = $1 AND kind = $2 AND kind <> 1 \
             AND id IN (SELECT wanted.value FROM {})",
            D::list(3, ListOf::Numbers)
        );
        let names = Statement::of(sql).bind(community.to_sql()).bind(i64::from(kind as u8));
        let ids = numbers(ids.iter().map(|id| id.cast_signed()));
        let found = self.read("names of an archive", names.bind(ids)).await?;
        Ok(found.iter().map(|row| (row.number(0).cast_unsigned(), row.text(1))).collect())
    }
}
