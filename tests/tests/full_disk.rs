//! A disk that is full or may not be written: nothing acknowledged is lost, everyone is told, and what
//! stopped goes on by itself when there is room.
//!
//! Parts that mount a small disk need root, and are left out with a word where that is not allowed.

use std::{
    fs,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use hubbub_protocol::ids::RoomId;
use hubbub_tests::{
    Node, Person, free_port,
    mount::Mount,
    program,
    raw::{Raw, get},
};
use serde_json::{Value, json};
use tempfile::TempDir;
use uuid::Uuid;

/// Exit code and what was said by a `serve` that should not start.
fn not_served(data_dir: &Path) -> (Option<i32>, String) {
    let data_dir = data_dir.display().to_string();
    let free = ["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"];
    let done = Command::new(program()).args(["serve", "--data-dir", &data_dir]).args(free).output();
    let done = done.expect("the program starts");
    (done.status.code(), String::from_utf8_lossy(&done.stderr).into_owned())
}

async fn room_of(owner: &Person) -> RoomId {
    let community = owner.rest.create_community("c", true).await.expect("anyone may");
    owner.rest.rooms(community.id).await.expect("one's own")[0].id
}

/// Sends a text by the socket; the whole answer.
fn send(raw: &mut Raw, room: RoomId, key: Uuid, text: &str) -> Value {
    raw.ask(&json!({"id": 9, "op": "send", "room": room, "key": key, "text": text, "retry": true}));
    raw.answer(9)
}

/// Fills the disk below a running node, frees it, and looks at every promise on the way.
async fn survives_a_full_disk(node: Node, make_room: impl FnOnce()) {
    let person = node.person("ada").await;
    let room = room_of(&person).await;
    let mut raw = Raw::identified(&node, &person);
    let text = "x".repeat(7_000);
    let (mut acknowledged, mut refused) = (Vec::new(), Vec::new());
    while refused.len() < 8 {
        assert!(acknowledged.len() < 3_000, "the disk is never full");
        let key = Uuid::now_v7();
        let answer = send(&mut raw, room, key, &text);
        if answer["ok"].is_object() {
            acknowledged.push(answer["ok"]["seq"].as_u64().expect("a seq"));
            continue;
        }
        assert_eq!(answer["error"]["code"], "unavailable", "{answer}");
        assert_eq!(answer["error"]["retryable"], true, "{answer}");
        refused.push(key);
    }
    let (head, body) = get(node.admin(), "/readyz", "");
    assert!(head.starts_with("HTTP/1.1 503"), "{head} {body}");
    assert!(body.contains("make room"), "{body}");
    let newest = person.rest.history(room, "limit=1").await.expect("reading goes on");
    assert_eq!(newest.messages.len(), 1);
    make_room();
    let key = refused[0];
    let since = Instant::now();
    let again = loop {
        let answer = send(&mut raw, room, key, &text);
        if answer["ok"].is_object() {
            break answer;
        }
        assert!(since.elapsed() < Duration::from_secs(10), "sends work again, not {answer}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    let last = again["ok"]["seq"].as_u64().expect("a seq");
    assert!(get(node.admin(), "/readyz", "").0.starts_with("HTTP/1.1 200"), "it serves again");
    assert_all_there(&person, room, &acknowledged, last).await;
    let node = node.killed_and_started_again(&[]);
    let person = node.signs_in("ada").await;
    assert_all_there(&person, room, &acknowledged, last).await;
}

/// Every message that was acknowledged is there once, and nothing after the last.
async fn assert_all_there(person: &Person, room: RoomId, acknowledged: &[u64], last: u64) {
    let (mut found, mut after) = (Vec::new(), 0);
    loop {
        let page = person.rest.history(room, &format!("limit=100&after={after}")).await.expect("reading goes on");
        found.extend(page.messages.iter().map(|message| message.seq.0));
        after = *found.last().expect("there is one");
        if !page.more_after {
            break;
        }
    }
    let wanted: Vec<u64> = acknowledged.iter().copied().chain([last]).collect();
    assert_eq!(found, wanted, "acknowledged and found");
}

#[tokio::test]
async fn a_node_on_a_full_disk_loses_nothing_says_so_and_goes_on_when_there_is_room() {
    let folder = TempDir::new().expect("a temporary folder");
    let Some(mount) = Mount::tmpfs(folder.path(), "size=6m") else { return };
    let node = Node::over(&mount.path.join("data"), free_port(), &[]);
    survives_a_full_disk(node, || mount.again("size=64m")).await;
}

#[tokio::test]
async fn a_node_whose_files_may_not_grow_loses_nothing_and_goes_on_when_they_may() {
    let folder = TempDir::new().expect("a temporary folder");
    let node = Node::over(&folder.path().join("data"), free_port(), &[]);
    let pid = node.pid().to_string();
    let limit = |bytes: &str| {
        let limit = format!("--fsize={bytes}:unlimited");
        let done = Command::new("prlimit").args(["--pid", &pid, &limit]).status();
        assert!(done.is_ok_and(|done| done.success()), "prlimit is a program of every Linux");
    };
    limit("3000000");
    survives_a_full_disk(node, || limit("unlimited")).await;
}

#[test]
fn a_disk_that_is_full_at_the_start_is_told_with_the_remedy() {
    let folder = TempDir::new().expect("a temporary folder");
    let Some(mount) = Mount::tmpfs(folder.path(), "size=64k") else { return };
    fs::write(mount.path.join("ballast"), vec![0; 60 * 1024]).expect("there is so much room");
    let (exit, said) = not_served(&mount.path.join("data"));
    assert_eq!(exit, Some(1), "{said}");
    assert!(said.contains("is full: make room and start again"), "{said}");
}

#[test]
fn a_disk_that_may_only_be_read_is_told_with_the_remedy() {
    let folder = TempDir::new().expect("a temporary folder");
    let Some(mount) = Mount::tmpfs(folder.path(), "size=4m") else { return };
    mount.again("ro");
    let (exit, said) = not_served(&mount.path.join("data"));
    assert_eq!(exit, Some(1), "{said}");
    assert!(said.contains("make it writable"), "{said}");
}
