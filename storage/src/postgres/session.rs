//! One connection to the server, set up the way we rely on.

use std::time::{Duration, Instant};

use sqlx::{Connection, PgConnection, postgres::PgConnectOptions};
use uuid::Uuid;

/// Longest that the server works on one statement of ours, and waits for one lock.
const STATEMENT_TIMEOUT: &str = "5s";
const LOCK_TIMEOUT: &str = "2s";
/// Longest that a transaction of ours stands idle before the server ends it.
const IDLE_IN_TRANSACTION_TIMEOUT: &str = "10s";
/// Prepared statements kept; there are about 80 different ones.
const STATEMENTS_MAX: usize = 200;
/// Longest that making a connection may take.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);

/// A connection, and the name the server knows it by.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) connection: PgConnection,
    pub(super) name: String,
    /// When it last answered.
    pub(super) answered: Instant,
}

/// Sets up a session. Another isolation level would break activations, see the page of the store; a
/// lower `synchronous_commit` than `on` would acknowledge what a crash can take back.
const SET_UP: &str = "SELECT set_config('application_name', $1, false), \
     set_config('default_transaction_isolation', 'read committed', false), \
     set_config('synchronous_commit', CASE WHEN current_setting('synchronous_commit') IN ('off', 'local') \
     THEN 'on' ELSE current_setting('synchronous_commit') END, false), \
     set_config('statement_timeout', $2, false), set_config('lock_timeout', $3, false), \
     set_config('idle_in_transaction_session_timeout', $4, false)";

/// Ends what an earlier connection left at work, and waits until it is gone.
const END_OTHERS: &str = "SELECT count(*) FROM (SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity \
     WHERE application_name = ANY($1) AND pid <> pg_backend_pid()) AS ended";

impl Session {
    /// Connects. `purpose` shows in the server's list of sessions.
    pub(super) async fn connect(options: &PgConnectOptions, purpose: &str) -> Result<Self, sqlx::Error> {
        let options = &options.clone().statement_cache_capacity(STATEMENTS_MAX);
        let name = format!("hubbub {purpose} {}", Uuid::new_v4().simple());
        let connecting = async {
            let mut connection = PgConnection::connect_with(options).await?;
            sqlx::query(SET_UP)
                .bind(&name)
                .bind(STATEMENT_TIMEOUT)
                .bind(LOCK_TIMEOUT)
                .bind(IDLE_IN_TRANSACTION_TIMEOUT)
                .execute(&mut connection)
                .await?;
            Ok::<_, sqlx::Error>(connection)
        };
        let connection = tokio::time::timeout(CONNECT_WITHIN, connecting).await.map_err(|_| silent())??;
        Ok(Self { connection, name, answered: Instant::now() })
    }

    /// Makes sure that sessions of these names do nothing more.
    pub(super) async fn end_others(&mut self, names: &[String]) -> Result<(), sqlx::Error> {
        if names.is_empty() {
            return Ok(());
        }
        sqlx::query(END_OTHERS).bind(names).execute(&mut self.connection).await.map(drop)
    }
}

/// The failure of a server that says nothing.
pub(super) fn silent() -> sqlx::Error {
    sqlx::Error::Io(std::io::Error::new(std::io::ErrorKind::TimedOut, "the server does not answer"))
}
