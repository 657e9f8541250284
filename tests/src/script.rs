//! The scripts of `tests/` that start servers, and the servers that tests share.

use std::{
    path::Path,
    process::{Command, Output},
    sync::OnceLock,
};

/// Runs the script `name` with a further variable, if one is given; returns what it printed.
pub(crate) fn run(name: &str, arguments: &[&str], variable: Option<(&str, String)>) -> String {
    let mut script = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join(name));
    let done = script.args(arguments).envs(variable).output();
    let done = done.unwrap_or_else(|error| panic!("the script tests/{name} does not run: {error}"));
    told(&format!("tests/{name} {arguments:?}"), &done)
}

/// What `command` printed, which must have gone well.
pub(crate) fn told(command: &str, done: &Output) -> String {
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{command} failed: {said}");
    String::from_utf8_lossy(&done.stdout).trim().to_owned()
}

/// The URL that the variable `given` names, or else that of a server which the script `name` starts for this process.
pub(crate) fn shared(url: &'static OnceLock<String>, given: &str, name: &str) -> &'static str {
    url.get_or_init(|| {
        let given = std::env::var(given).ok().filter(|url| !url.is_empty());
        given.unwrap_or_else(|| run(name, &["serve", &std::process::id().to_string()], None))
    })
}
