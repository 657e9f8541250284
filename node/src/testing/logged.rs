//! What these tests log, and the secrets they plant, kept for `tests/canaries` while `$HUBBUB_TEST_LOGS` names a folder.

use std::{
    fs::{File, OpenOptions},
    io::Write,
    path::PathBuf,
    sync::{Mutex, Once},
};

use tracing_subscriber::EnvFilter;

/// Levels at which our modules tell all they can.
const ALL_LEVELS: &str = "info,hubbub=trace,hubbub_actors=trace,hubbub_protocol=trace,hubbub_storage=trace";

static BEGUN: Once = Once::new();

fn folder() -> Option<PathBuf> {
    std::env::var_os("HUBBUB_TEST_LOGS").filter(|folder| !folder.is_empty()).map(PathBuf::from)
}

/// Logs into the folder from now on, if there is one.
pub(crate) fn begin() {
    let Some(folder) = folder() else { return };
    BEGUN.call_once(|| {
        let file = File::create(folder.join(format!("{}-unit.log", std::process::id())));
        let lines = tracing_subscriber::fmt().with_ansi(false).with_env_filter(EnvFilter::new(ALL_LEVELS));
        // Somebody else logs already; then that is where the lines are.
        let _ = lines.with_writer(Mutex::new(file.expect("the folder can be written to"))).try_init();
    });
}

/// Notes a secret.
pub(crate) fn plant(kind: &str, secret: &str) {
    let Some(folder) = folder() else { return };
    let file = folder.join(format!("{}.{kind}.canaries", std::process::id()));
    let mut file = OpenOptions::new().create(true).append(true).open(file).expect("the folder can be written to");
    file.write_all(format!("{secret}\n").as_bytes()).expect("there is room");
}
