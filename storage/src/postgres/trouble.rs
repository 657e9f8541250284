//! What keeps a database from its work, named for an operator.

use std::io::ErrorKind;

use super::failure::code;
use crate::error::{Cause, Trouble};

/// The failure of a server whose disk is full.
pub(super) const DISK_FULL: &str = "53100";

/// `cause` below the sentence for it, if there is one.
pub(super) fn named(cause: Cause) -> Cause {
    let sentence = cause.downcast_ref().and_then(sentence);
    match sentence {
        Some(sentence) => Box::new(Trouble { sentence, source: cause }),
        None => cause,
    }
}

/// The sentence for `cause`, or its own words.
pub(super) fn sentence_of(cause: &Cause) -> String {
    cause.downcast_ref().and_then(sentence).map_or_else(|| cause.to_string(), str::to_owned)
}

fn sentence(error: &sqlx::Error) -> Option<&'static str> {
    Some(match (code(error), error) {
        ("25006", _) => {
            "the database is read-only, as a standby is: set `store.url` to the primary server, or its \
             `default_transaction_read_only` to off"
        }
        (DISK_FULL, _) => "the disk of the database is full: make room on its server",
        ("53300", _) => {
            "the database has no connection left: raise the server's max_connections, or lower `store.lanes`, \
             `store.readers` and `store.writers`"
        }
        ("28P01" | "28000", _) => {
            "the database refuses this node's user: correct it in `store.url`, or the server's pg_hba.conf"
        }
        (code, _) if code.starts_with("57P") => "the database is starting or stopping: it is asked again by itself",
        ("", sqlx::Error::Io(error)) if error.kind() == ErrorKind::InvalidData => {
            "the database's certificate is not believed: see `sslrootcert` in `store.url`"
        }
        ("", sqlx::Error::Io(_)) => "the database cannot be reached: start it, or mend the way to it",
        _ => return None,
    })
}
