//! Secrets that tests plant, and what nodes logged meanwhile: where both are kept, to be held against each other.
//!
//! `tests/run` names a folder in `$HUBBUB_TEST_LOGS`. While it is set, every node that a test starts logs as much as it
//! can into it, every password, token and text that is worth it is noted beside, and `tests/canaries check` fails if
//! one of them is in a log. Without it nothing is kept, and nodes log as they do for operators.

use std::{
    fs::{File, OpenOptions},
    io::Write,
    path::PathBuf,
    sync::atomic::{AtomicU32, Ordering},
};

/// What a text begins with that no log may hold.
pub const TEXT: &str = "canary-of-a-text-5e1d";

/// Levels at which a node's own modules tell all they can.
pub const ALL_LEVELS: &str = "info,openraft=warn,openraft::core::raft_core=off,hubbub=trace,hubbub_actors=trace,\
                              hubbub_cluster=trace,hubbub_protocol=trace,hubbub_storage=trace";

/// The variable of a node's environment that sets its levels.
pub const LEVELS_VARIABLE: &str = "HUBBUB__LOG__FILTER";

/// Logs of this process's nodes so far: each has a file of its own.
static LOGS: AtomicU32 = AtomicU32::new(0);

/// Where logs and secrets are kept, if they are.
#[must_use]
pub fn folder() -> Option<PathBuf> {
    std::env::var_os("HUBBUB_TEST_LOGS").filter(|folder| !folder.is_empty()).map(PathBuf::from)
}

/// The levels for a node under test, when its log is kept.
#[must_use]
pub fn levels() -> Option<&'static str> {
    folder().map(|_| ALL_LEVELS)
}

/// A file for the log of one more node.
///
/// # Panics
/// When the folder cannot be written to.
#[must_use]
pub fn log() -> Option<File> {
    let name = format!("{}-{}.log", std::process::id(), LOGS.fetch_add(1, Ordering::Relaxed));
    folder().map(|folder| File::create(folder.join(name)).expect("the folder of logs can be written to"))
}

/// Notes a secret of a kind: `password`, `access-token`, `refresh-token`, `session`, `text`.
///
/// # Panics
/// When the folder cannot be written to.
pub fn plant(kind: &str, secret: &str) {
    let Some(folder) = folder() else { return };
    let file = folder.join(format!("{}.{kind}.canaries", std::process::id()));
    let mut file = OpenOptions::new().create(true).append(true).open(file).expect("the folder can be written to");
    file.write_all(format!("{secret}\n").as_bytes()).expect("there is room");
}
