//! What a failure of the server's means: whether the connection is of further use, whether waiting
//! helps, and the sentence for an operator.

use std::io::ErrorKind;

use sqlx::postgres::PgDatabaseError;

use super::{PostgresUrl, trouble::DISK_FULL};
use crate::error::{Cause, StoreError};

/// What the driver says of a server that does not take the request for TLS.
const WITHOUT_TLS: &str = "server does not support TLS";

/// Why work on a connection came to nothing.
#[derive(Debug)]
pub(crate) enum Stop {
    /// For a reason that the caller is told.
    Refused(StoreError),
    /// The database failed.
    Failed(Cause),
}

impl From<sqlx::Error> for Stop {
    fn from(error: sqlx::Error) -> Self {
        Self::Failed(error.into())
    }
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Self {
        Self::Refused(error)
    }
}

impl Stop {
    fn driver(&self) -> Option<&sqlx::Error> {
        match self {
            Self::Failed(cause) => cause.downcast_ref(),
            Self::Refused(_) => None,
        }
    }

    /// Whether the connection it happened on must not be used again.
    pub(super) fn breaks(&self) -> bool {
        match self {
            Self::Refused(_) => false,
            Self::Failed(_) => self.driver().is_none_or(breaks),
        }
    }

    /// Whether the same may go well in a moment: the server restarts, or is short of connections.
    pub(super) fn passes(&self) -> bool {
        self.driver().is_some_and(passes)
    }

    /// Whether the server rolled back and asks for another try: a deadlock, or a serialisation failure.
    pub(super) fn asks_again(&self) -> bool {
        self.driver().is_some_and(|error| matches!(code(error), "40001" | "40P01"))
    }
}

/// The five characters by which PostgreSQL names a failure; empty for those of the way there.
pub(super) fn code(error: &sqlx::Error) -> &str {
    error.as_database_error().and_then(|error| error.try_downcast_ref::<PgDatabaseError>()).map_or("", |e| e.code())
}

fn breaks(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Database(_) => {
            let code = code(error);
            // The session is being ended (57P..), was never made (08, 53300), or is on a standby, which
            // a new connection may not be.
            code.starts_with("57P") || code.starts_with("08") || matches!(code, "53300" | "25006")
        }
        sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) | sqlx::Error::RowNotFound => false,
        _ => true,
    }
}

fn passes(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_) => true,
        sqlx::Error::Database(_) => {
            let code = code(error);
            code.starts_with("57P") || code.starts_with("08") || code == "53300"
        }
        _ => false,
    }
}

/// What is wrong with the database at `url`, and what to do.
pub(super) fn sentence(url: &PostgresUrl, error: &sqlx::Error) -> String {
    let options = &url.options;
    let user = options.get_username();
    match (code(error), error) {
        ("28P01", _) => format!(
            "{url} refuses the user {user}: correct user name and password in `store.url`, or the server's \
             pg_hba.conf"
        ),
        // Its words tell whether it was for want of TLS.
        ("28000", error) => format!(
            "{url} refuses the user {user}: correct user name and `sslmode` in `store.url`, or the server's \
             pg_hba.conf ({error})"
        ),
        ("3D000", _) => {
            let database = options.get_database().unwrap_or(user);
            format!("{url}: there is no database {database}: make it with `createdb {database}`")
        }
        ("53300", _) => format!(
            "{url} has no connection left: raise the server's max_connections, or lower `store.lanes`, \
             `store.readers` and `store.writers`"
        ),
        ("57P03", _) => format!("{url} is starting or stopping: try again in a moment"),
        ("25006", _) => read_only(url),
        ("42501" | "3F000", _) => format!(
            "the user {user} may not make tables in {url}: make it the database's owner, or grant it CREATE on \
             the schema"
        ),
        (DISK_FULL, _) => format!("the disk of {url} is full: make room on the server and start again"),
        ("", sqlx::Error::Io(error)) if error.kind() == ErrorKind::InvalidData => not_believed(url, error),
        ("", sqlx::Error::Io(error)) if error.kind() == ErrorKind::NotFound => format!(
            "cannot speak TLS with {url}: a file that `store.url` names in `sslrootcert`, `sslcert` or `sslkey` is \
             not there ({error})"
        ),
        ("", sqlx::Error::Tls(error)) if error.to_string() == WITHOUT_TLS => format!(
            "{url} does not speak TLS: set `ssl = on` and a certificate in the server's postgresql.conf, or, on a \
             network of your own, `sslmode=disable` in `store.url`"
        ),
        ("", sqlx::Error::Io(error)) => {
            format!("cannot reach {url}: start the server, or correct `store.url` ({error})")
        }
        ("", sqlx::Error::Tls(error)) => {
            format!("cannot speak TLS with {url}: correct `sslmode` or `sslrootcert` in `store.url` ({error})")
        }
        ("", error) => format!("cannot open {url}: {error}"),
        (code, error) => format!("cannot open {url}: {error} ({code})"),
    }
}

/// The sentence for a handshake that failed: mostly a certificate that `sslmode` does not let pass.
fn not_believed(url: &PostgresUrl, error: &std::io::Error) -> String {
    format!(
        "cannot speak TLS with {url}: its certificate must end in the file `sslrootcert` in `store.url`, or in a \
         public authority, and with `sslmode=verify-full` name the host of `store.url` ({error})"
    )
}

/// The sentence for a server that only reads.
pub(super) fn read_only(url: &PostgresUrl) -> String {
    format!("{url} is read-only, as a standby is: set `store.url` to the primary server")
}
