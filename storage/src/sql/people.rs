//! Statements about accounts, signed-in devices, secrets and what sessions resume from.

use std::collections::BTreeMap;

use hubbub_protocol::{
    ids::{SessionId, UserId},
    time::Timestamp,
};

use super::{
    effects, rows,
    statement::{Statement, Value},
};
use crate::facts::{ResumeState, Session, User};

/// Resume states put by one statement, largest first: three statements to prepare, whatever their number. `SQLite`'s
/// driver looks for the names of parameters one after the other, so that many cost more than they save.
const RESUME_ROWS: [usize; 3] = [64, 8, 1];

pub(super) fn create_user(user: &User, password_hash: Option<&str>) -> Vec<Statement> {
    let password = password_hash.map(|hash| set_password(user.id, hash));
    std::iter::once(effects::insert_user(user)).chain(password).collect()
}

pub(super) fn set_password(user: UserId, hash: &str) -> Statement {
    let sql = "INSERT INTO user_password (user_id, hash) VALUES ($1, $2) \
               ON CONFLICT (user_id) DO UPDATE SET hash = excluded.hash";
    Statement::of(sql).bind(user.to_sql()).bind(hash)
}

pub(super) fn create_session(session: &Session) -> Statement {
    let sql = format!("INSERT INTO session ({}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)", rows::SESSION);
    let statement = Statement::of(sql).bind(session.id.to_sql()).bind(session.user.to_sql());
    let statement = statement.bind(session.device.as_str()).bind(session.refresh_hash.as_slice());
    let statement = statement.bind(session.previous.as_ref().map(|(hash, _)| hash.as_slice()));
    let statement = statement.bind(session.previous.map(|(_, at)| at.0)).bind(session.created_at.0);
    let statement = statement.bind(session.used_at.0).bind(session.expires_at.0);
    statement.bind(session.ended_at.map(|at| at.0))
}

pub(super) fn rotate_session(
    id: SessionId,
    old_hash: &[u8; 32],
    new_hash: &[u8; 32],
    now: Timestamp,
    expires_at: Timestamp,
) -> Statement {
    let sql = "UPDATE session SET previous_hash = refresh_hash, previous_at = $1, refresh_hash = $2, used_at = $1, \
               expires_at = $3 WHERE id = $4 AND refresh_hash = $5 AND ended_at IS NULL";
    let statement = Statement::of(sql).bind(now.0).bind(new_hash.as_slice()).bind(expires_at.0);
    statement.bind(id.to_sql()).bind(old_hash.as_slice())
}

pub(super) fn end_session(id: SessionId, now: Timestamp) -> Statement {
    let sql = "UPDATE session SET ended_at = $1 WHERE id = $2 AND ended_at IS NULL";
    Statement::of(sql).bind(now.0).bind(id.to_sql())
}

pub(super) fn secret_or(name: &str, fresh: &[u8]) -> Vec<Statement> {
    let keep = "INSERT INTO secret (name, bytes) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING";
    let find = Statement::of("SELECT bytes FROM secret WHERE name = $1").bind(name);
    vec![Statement::of(keep).bind(name).bind(fresh), find]
}

pub(super) fn put_resume_states(states: &[ResumeState]) -> Vec<Statement> {
    // One statement cannot put a row twice.
    let newest: BTreeMap<u64, &ResumeState> = states.iter().map(|state| (state.session, state)).collect();
    let newest: Vec<&ResumeState> = newest.into_values().collect();
    let (mut rest, mut statements) = (newest.as_slice(), Vec::new());
    for rows in RESUME_ROWS {
        while rest.len() >= rows {
            let (some, after) = rest.split_at(rows);
            statements.push(put_some_resume_states(some));
            rest = after;
        }
    }
    statements
}

fn put_some_resume_states(states: &[&ResumeState]) -> Statement {
    let row = |at: usize| format!("(${}, ${}, ${}, ${})", 4 * at + 1, 4 * at + 2, 4 * at + 3, 4 * at + 4);
    let values = (0..states.len()).map(row).collect::<Vec<_>>().join(", ");
    let sql = format!(
        "INSERT INTO resume_state (session, user_id, state, saved_at) VALUES {values} ON CONFLICT (session) \
         DO UPDATE SET user_id = excluded.user_id, state = excluded.state, saved_at = excluded.saved_at"
    );
    states.iter().fold(Statement::of(sql), |statement, state| {
        let statement = statement.bind(state.session.cast_signed()).bind(state.user.to_sql());
        statement.bind(state.state.as_slice()).bind(state.saved_at.0)
    })
}

pub(super) fn use_invite(code: &str, now: Timestamp) -> Statement {
    let sql = format!(
        "UPDATE invite SET uses = uses + 1 WHERE code = $1 AND (max_uses IS NULL OR uses < max_uses) \
         AND (expires_at IS NULL OR expires_at > $2) RETURNING {}",
        rows::INVITE
    );
    Statement::of(sql).bind(code).bind(now.0)
}

/// Numbers to look for, as one parameter.
pub(super) fn numbers(numbers: impl Iterator<Item = i64>) -> Value {
    Value::Numbers(numbers.collect())
}

/// A pattern for `LIKE … ESCAPE '\'` that takes `prefix` to the letter, in small ASCII letters.
pub(super) fn beginning(prefix: Option<&str>) -> String {
    let prefix = prefix.unwrap_or_default().to_ascii_lowercase();
    let escaped = prefix.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
    format!("{escaped}%")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_taken_to_the_letter() {
        assert_eq!(beginning(None), "%");
        assert_eq!(beginning(Some("Ada_%\\Ö")), "ada\\_\\%\\\\Ö%");
    }
}
