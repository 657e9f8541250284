//! Accounts, signed-in devices, secrets and markers.

use std::collections::HashMap;

use hubbub_protocol::{
    ids::{RoomId, Seq, SessionId, UserId},
    time::Timestamp,
};
use sqlx::{AssertSqlSafe, Row, SqliteConnection, sqlite::SqliteRow};

use super::{AsyncWork, SqliteStore, Stop, effects, read_failed, rows};
use crate::{
    effect::Effect,
    error::StoreError,
    facts::{ResumeState, Session, User},
};

/// Columns of a session, in the order of [`rows::session`].
const SESSION: &str =
    "id, user_id, device, refresh_hash, previous_hash, previous_at, created_at, used_at, expires_at, ended_at";

pub(super) struct CreateUser(pub(super) User, pub(super) Option<String>);

impl AsyncWork<()> for CreateUser {
    async fn run(self, c: &mut SqliteConnection) -> Result<(), Stop> {
        let known = sqlx::query("SELECT 1 FROM user_account WHERE id = ? OR name = ?")
            .bind(self.0.id.to_sql())
            .bind(&self.0.name)
            .fetch_optional(&mut *c)
            .await?;
        if known.is_some() {
            return Err(Stop::Refused(StoreError::Taken { what: "the user's name" }));
        }
        let id = self.0.id;
        effects::apply(c, &[Effect::PutUser(Box::new(self.0))]).await?;
        if let Some(hash) = self.1 {
            SetPassword(id, hash).run(c).await?;
        }
        Ok(())
    }
}

pub(super) struct SetPassword(pub(super) UserId, pub(super) String);

impl AsyncWork<()> for SetPassword {
    async fn run(self, c: &mut SqliteConnection) -> Result<(), Stop> {
        let sql = "INSERT INTO user_password (user_id, hash) VALUES (?, ?) \
                   ON CONFLICT (user_id) DO UPDATE SET hash = excluded.hash";
        sqlx::query(sql).bind(self.0.to_sql()).bind(self.1).execute(c).await?;
        Ok(())
    }
}

pub(super) struct CreateSession(pub(super) Session);

impl AsyncWork<()> for CreateSession {
    async fn run(self, c: &mut SqliteConnection) -> Result<(), Stop> {
        let session = self.0;
        let sql = format!("INSERT INTO session ({SESSION}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)");
        let query = sqlx::query(AssertSqlSafe(sql)).bind(session.id.to_sql()).bind(session.user.to_sql());
        let query = query.bind(session.device).bind(session.refresh_hash.to_vec());
        let query = query.bind(session.previous.map(|(hash, _)| hash.to_vec()));
        let query = query.bind(session.previous.map(|(_, at)| at.0)).bind(session.created_at.0);
        let query = query.bind(session.used_at.0).bind(session.expires_at.0);
        query.bind(session.ended_at.map(|at| at.0)).execute(c).await?;
        Ok(())
    }
}

pub(super) struct RotateSession {
    pub(super) id: SessionId,
    pub(super) old_hash: [u8; 32],
    pub(super) new_hash: [u8; 32],
    pub(super) now: Timestamp,
    pub(super) expires_at: Timestamp,
}

impl AsyncWork<bool> for RotateSession {
    async fn run(self, c: &mut SqliteConnection) -> Result<bool, Stop> {
        let sql = "UPDATE session SET previous_hash = refresh_hash, previous_at = ?, refresh_hash = ?, used_at = ?, \
                   expires_at = ? WHERE id = ? AND refresh_hash = ? AND ended_at IS NULL";
        let query = sqlx::query(sql).bind(self.now.0).bind(self.new_hash.to_vec()).bind(self.now.0);
        let query = query.bind(self.expires_at.0).bind(self.id.to_sql()).bind(self.old_hash.to_vec());
        Ok(query.execute(c).await?.rows_affected() == 1)
    }
}

pub(super) struct EndSession(pub(super) SessionId, pub(super) Timestamp);

impl AsyncWork<()> for EndSession {
    async fn run(self, c: &mut SqliteConnection) -> Result<(), Stop> {
        let sql = "UPDATE session SET ended_at = ? WHERE id = ? AND ended_at IS NULL";
        sqlx::query(sql).bind(self.1.0).bind(self.0.to_sql()).execute(c).await?;
        Ok(())
    }
}

pub(super) struct SecretOr(pub(super) String, pub(super) Vec<u8>);

impl AsyncWork<Vec<u8>> for SecretOr {
    async fn run(self, c: &mut SqliteConnection) -> Result<Vec<u8>, Stop> {
        let sql = "INSERT INTO secret (name, bytes) VALUES (?, ?) ON CONFLICT (name) DO NOTHING";
        sqlx::query(sql).bind(&self.0).bind(self.1).execute(&mut *c).await?;
        let row = sqlx::query("SELECT bytes FROM secret WHERE name = ?").bind(self.0).fetch_one(c).await?;
        Ok(row.get(0))
    }
}

pub(super) struct ForgetSecret(pub(super) String);

impl AsyncWork<bool> for ForgetSecret {
    async fn run(self, c: &mut SqliteConnection) -> Result<bool, Stop> {
        let done = sqlx::query("DELETE FROM secret WHERE name = ?").bind(self.0).execute(c).await?;
        Ok(done.rows_affected() > 0)
    }
}

pub(super) struct PutResumeStates(pub(super) Vec<ResumeState>);

impl AsyncWork<()> for PutResumeStates {
    async fn run(self, c: &mut SqliteConnection) -> Result<(), Stop> {
        let sql = "INSERT INTO resume_state (session, user_id, state, saved_at) VALUES (?, ?, ?, ?) \
                   ON CONFLICT (session) DO UPDATE SET user_id = excluded.user_id, state = excluded.state, \
                   saved_at = excluded.saved_at";
        for state in self.0 {
            let query = sqlx::query(sql).bind(state.session.cast_signed()).bind(state.user.to_sql());
            query.bind(state.state).bind(state.saved_at.0).execute(&mut *c).await?;
        }
        Ok(())
    }
}

pub(super) struct ForgetResumeStates(pub(super) Timestamp);

impl AsyncWork<u64> for ForgetResumeStates {
    async fn run(self, c: &mut SqliteConnection) -> Result<u64, Stop> {
        let done = sqlx::query("DELETE FROM resume_state WHERE saved_at < ?").bind(self.0.0).execute(c).await?;
        Ok(done.rows_affected())
    }
}

pub(super) struct Apply(pub(super) Vec<Effect>);

impl AsyncWork<()> for Apply {
    async fn run(self, c: &mut SqliteConnection) -> Result<(), Stop> {
        effects::apply(c, &self.0).await
    }
}

impl SqliteStore {
    /// Reads at most one row.
    pub(super) async fn one_row<T>(
        &self,
        what: &'static str,
        sql: String,
        binds: &[Bind<'_>],
        of: impl Fn(&SqliteRow) -> T,
    ) -> Result<Option<T>, StoreError> {
        Ok(self.rows(what, sql, binds, of).await?.pop())
    }

    /// Reads rows. `sql` is made of our own constants; whatever comes from outside is bound.
    pub(super) async fn rows<T>(
        &self,
        what: &'static str,
        sql: String,
        binds: &[Bind<'_>],
        of: impl Fn(&SqliteRow) -> T,
    ) -> Result<Vec<T>, StoreError> {
        let failed = read_failed(what);
        let mut connection = self.reader().await.map_err(&failed)?;
        let mut query = sqlx::query(AssertSqlSafe(sql));
        for value in binds {
            query = match value {
                Bind::Number(number) => query.bind(*number),
                Bind::Text(text) => query.bind((*text).to_owned()),
            };
        }
        let rows = query.fetch_all(&mut *connection).await.map_err(&failed)?;
        Ok(rows.iter().map(of).collect())
    }

    pub(super) async fn read_users(&self, ids: &[UserId]) -> Result<Vec<User>, StoreError> {
        let ids = numbers(ids.iter().map(|id| id.to_sql()));
        let sql =
            format!("SELECT {} FROM user_account u WHERE u.id IN (SELECT value FROM json_each(?))", rows::USER);
        self.rows("users", sql, &[Bind::Text(&ids)], |row| rows::user(row, 0)).await
    }

    pub(super) async fn read_sessions(&self, filter: &str, id: i64) -> Result<Vec<Session>, StoreError> {
        let sql = format!("SELECT {SESSION} FROM session WHERE {filter}");
        self.rows("sessions", sql, &[Bind::Number(id)], rows::session).await
    }

    pub(super) async fn read_markers(&self, user: UserId) -> Result<HashMap<RoomId, Seq>, StoreError> {
        let sql = "SELECT room_id, read_seq FROM user_room WHERE user_id = ?".to_owned();
        let of = |row: &SqliteRow| (RoomId::from_sql(row.get(0)), Seq::from_sql(row.get(1)));
        Ok(self.rows("markers", sql, &[Bind::Number(user.to_sql())], of).await?.into_iter().collect())
    }

    pub(super) async fn read_mention_counts(
        &self,
        user: UserId,
        rooms: &[RoomId],
    ) -> Result<HashMap<RoomId, u64>, StoreError> {
        // One who is named and meant by everyone at once is mentioned once.
        let sql = "SELECT m.room_id, count(DISTINCT m.seq) FROM json_each(?1) wanted \
                   CROSS JOIN (SELECT ?2 AS user_id UNION ALL SELECT 0) who \
                   CROSS JOIN mention m ON m.user_id = who.user_id AND m.room_id = wanted.value \
                   LEFT JOIN user_room r ON r.user_id = ?2 AND r.room_id = m.room_id \
                   WHERE m.seq > coalesce(r.read_seq, 0) GROUP BY m.room_id"
            .to_owned();
        let rooms = numbers(rooms.iter().map(|room| room.to_sql()));
        let binds = [Bind::Text(&rooms), Bind::Number(user.to_sql())];
        let of = |row: &SqliteRow| (RoomId::from_sql(row.get(0)), u64::try_from(row.get::<i64, _>(1)).unwrap_or(0));
        Ok(self.rows("mentions", sql, &binds, of).await?.into_iter().collect())
    }
}

/// A value from outside, bound to a statement.
#[derive(Debug, Clone, Copy)]
pub(super) enum Bind<'a> {
    Number(i64),
    Text(&'a str),
}

/// A list of numbers for `json_each`, so that one statement serves lists of every length.
pub(super) fn numbers(numbers: impl Iterator<Item = i64>) -> String {
    serde_json::to_string(&numbers.collect::<Vec<_>>()).unwrap_or_else(|_| "[]".to_owned())
}
