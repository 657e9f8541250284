//! `hubbub config` as an operator meets it: the reference, a check with its exit code, and what is set.

use std::{fs, path::Path, process::Command};

use hubbub_tests::program;
use serde_json::Value;
use tempfile::TempDir;

struct Said {
    exit: Option<i32>,
    out: String,
    err: String,
}

fn config(arguments: &[&str], variables: &[(&str, &str)]) -> Said {
    let mut command = Command::new(program());
    command.arg("config").args(arguments).envs(variables.iter().copied());
    let done = command.output().expect("the program starts");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    Said { exit: done.status.code(), out: text(done.stdout), err: text(done.stderr) }
}

fn json(said: &Said) -> Value {
    serde_json::from_str(&said.out).expect("JSON")
}

#[test]
fn the_reference_is_the_example_file_and_can_be_used_as_it_is() {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/hubbub.example.toml");
    let said = config(&["reference"], &[]);
    assert_eq!(said.exit, Some(0));
    assert!(said.out == fs::read_to_string(&example).expect("the example is there"), "write the example anew");
    let checked = config(&["check", "--config", &example.display().to_string()], &[]);
    assert_eq!((checked.exit, checked.out.trim()), (Some(0), "the configuration can be used"));
    let keys = json(&config(&["reference", "--json"], &[]));
    let heartbeat = keys["keys"].as_array().expect("keys").iter().find(|key| key["key"] == "edge.heartbeat");
    assert_eq!(heartbeat.expect("a key")["variable"], "HUBBUB__EDGE__HEARTBEAT");
}

#[test]
fn a_check_ends_with_2_and_names_all_that_is_wrong() {
    let folder = TempDir::new().expect("a temporary folder");
    let file = folder.path().join("hubbub.toml");
    fs::write(&file, "[edge]\nheartbeat = 5\n[auth]\nacces_ttl = \"1h\"\n").expect("a writable folder");
    let file = file.display().to_string();
    let variables = [("HUBBUB__LOG__FORMAT", "maybe")];
    let said = config(&["check", "--config", &file], &variables);
    assert_eq!(said.exit, Some(2));
    for part in ["`edge.heartbeat` is 5", "did you mean `auth.access_ttl`?", "HUBBUB__LOG__FORMAT", "\"maybe\""] {
        assert!(said.err.contains(part), "{part} in {}", said.err);
    }
    assert_eq!(said.err.lines().count(), 1, "{}", said.err);
    let said = config(&["check", "--json", "--config", &file], &variables);
    assert_eq!(said.exit, Some(2));
    assert_eq!(json(&said)["good"], false);
    assert_eq!(json(&said)["problems"].as_array().expect("a list").len(), 3);
}

#[test]
fn what_is_set_is_shown_with_where_it_comes_from_and_without_passwords() {
    let folder = TempDir::new().expect("a temporary folder");
    let file = folder.path().join("hubbub.toml");
    fs::write(&file, "[edge]\nheartbeat_ms = 5000\n[edge2]\n").expect("a writable folder");
    let file = file.display().to_string();
    let said = config(&["show", "--config", &file], &[("HUBBUB__AUTH__ACCESS_TTL", "60s")]);
    let line = |name: &str| said.out.lines().find(|line| line.starts_with(name)).expect(name).to_owned();
    assert!(line("edge.heartbeat").contains("\"5s\"") && line("edge.heartbeat").ends_with("hubbub.toml"));
    let words = line("auth.access_ttl").split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(words, "auth.access_ttl \"1min\" environment variable HUBBUB__AUTH__ACCESS_TTL");
    assert!(line("log.format").ends_with("default"));
    assert_eq!(said.exit, Some(2), "it is shown all the same, and so is what is wrong: {}", said.err);
    let secret = config(&["show", "--json"], &[("HUBBUB__STORE__URL", "postgres://chat:hunter22@db/chat")]);
    assert!(!secret.out.contains("hunter22") && !secret.err.contains("hunter22"), "{} {}", secret.out, secret.err);
}
