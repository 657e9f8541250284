//! What does not fit, end to end: a client that wants too much, and an operator whose disk, directory,
//! port or file is not as it must be. The others notice nothing; who caused it gets one clear sentence.

use std::{
    fs,
    io::Write,
    net::TcpListener,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use hubbub_protocol::ids::RoomId;
use hubbub_tests::{
    Node, Person, free_port, program,
    raw::{Raw, Said, get},
};
use serde_json::{Value, json};
use tempfile::TempDir;
use uuid::Uuid;

/// Rooms that the greedy client wants to follow.
const WANTED: usize = 40_000;
/// Rooms that a session may follow.
const FOLLOWED_MAX: usize = 16_384;
/// Memory that a room in use may cost: its actor, its relay and what one follower adds.
const ROOM_BYTES_MAX: u64 = 24 * 1024;

/// Exit code and what was said by a command that should fail.
fn refused(arguments: &[&str]) -> (Option<i32>, String) {
    let done = Command::new(program()).args(arguments).output().expect("the program starts");
    (done.status.code(), String::from_utf8_lossy(&done.stderr).into_owned())
}

/// The same of a `serve` on free ports; of what it says one line tells why it ends, and is the last.
fn not_served(data_dir: &Path, further: &[&str]) -> (Option<i32>, String) {
    let data_dir = data_dir.display().to_string();
    let begin = ["serve", "--data-dir", &data_dir, "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"];
    let (exit, said) = refused(&[&begin, further].concat());
    assert_eq!(said.lines().filter(|line| line.starts_with("hubbub: ")).count(), 1, "one sentence: {said}");
    assert!(said.lines().last().is_some_and(|line| line.starts_with("hubbub: ")), "{said}");
    (exit, said)
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

/// Brings in a public community with one message in each of `rooms` rooms, by its owner.
fn import_rooms(node: &Node, rooms: usize) {
    let data_dir = node.folder().display().to_string();
    let mut import = Command::new(program())
        .args(["import", "jsonl", "-", "--community", "many", "--data-dir", &data_dir])
        .stdin(Stdio::piped())
        .stderr(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .expect("the program starts");
    let mut archive = std::io::BufWriter::new(import.stdin.take().expect("it is piped"));
    for room in 0..rooms {
        let line = json!({"id": room.to_string(), "room": format!("room{room}"), "user": "ada",
            "ts": "2024-01-01T00:00:00Z", "text": "hi"});
        writeln!(archive, "{line}").expect("it reads to the end");
    }
    drop(archive);
    assert!(import.wait().expect("it ends").success(), "the archive is taken in");
}

#[tokio::test]
async fn a_client_that_wants_forty_thousand_rooms_is_refused_at_the_limit_and_costs_a_bounded_amount() {
    let node = Node::fresh(&[]);
    let greedy = owner(&node).await;
    import_rooms(&node, FOLLOWED_MAX + 16);
    let person = node.person("bob").await;
    let quiet = room_of(&person).await;
    let mut raw = Raw::greeted(&node);
    raw.ask(&json!({"id": 1, "op": "identify", "token": greedy.signed.access_token, "device": "greedy"}));
    let answer = raw.answer(1);
    let rooms = answer["ok"]["rooms"].as_array().expect("one's own");
    let rooms: Vec<&str> = rooms.iter().filter_map(|room| room["room"].as_str()).collect();
    assert!(rooms.len() >= FOLLOWED_MAX + 16, "{}", rooms.len());
    let before = node.memory_bytes();
    let (mut followed, mut too_large, mut unknown) = (0, 0, 0);
    // What is there first, then rooms that nobody ever made.
    let wanted = rooms.iter().map(|room| (*room).to_owned()).chain((0..).map(|at| format!("{:013}", at + 1)));
    let wanted: Vec<String> = wanted.take(WANTED).collect();
    for (at, some) in wanted.chunks(32).enumerate() {
        for (beside, room) in some.iter().enumerate() {
            raw.ask(&json!({"id": at * 32 + beside + 10, "op": "subscribe", "room": room}));
        }
        for _ in some {
            let answer = next_answer(&mut raw);
            match answer["error"]["code"].as_str() {
                None => followed += 1,
                Some("too_large") => too_large += 1,
                Some("not_found") => unknown += 1,
                Some(other) => panic!("{other}: {answer}"),
            }
        }
    }
    assert_eq!(followed, FOLLOWED_MAX);
    assert_eq!(followed + too_large + unknown, WANTED);
    assert!(too_large >= 16, "the limit is told: {too_large}");
    let grown = node.memory_bytes().saturating_sub(before);
    assert!(grown < FOLLOWED_MAX as u64 * ROOM_BYTES_MAX, "{grown} bytes for {FOLLOWED_MAX} rooms");
    let mut other = Raw::identified(&node, &person);
    let asked = Instant::now();
    assert_eq!(send(&mut other, quiet, Uuid::now_v7(), "undisturbed")["ok"]["seq"], 1);
    assert!(asked.elapsed() < Duration::from_secs(2), "{:?}", asked.elapsed());
    assert!(get(node.admin(), "/readyz", "").0.starts_with("HTTP/1.1 200"));
}

fn next_answer(raw: &mut Raw) -> Value {
    loop {
        match raw.hear() {
            Said::Json(value) if value["re"].is_u64() => return value,
            Said::Json(_) => {}
            other => panic!("no answer but {other:?}"),
        }
    }
}

/// The installation's owner, whose imported communities are.
async fn owner(node: &Node) -> Person {
    let folder = TempDir::new().expect("a temporary folder");
    let file = folder.path().join("password");
    fs::write(&file, hubbub_tests::PASSWORD).expect("a writable folder");
    let (file, data_dir) = (file.display().to_string(), node.folder().display().to_string());
    let (exit, said) =
        refused(&["user", "create", "root", "--owner", "--password-file", &file, "--data-dir", &data_dir]);
    assert_eq!(exit, Some(0), "{said}");
    node.signs_in("root").await
}

#[test]
fn a_directory_of_a_newer_version_is_left_as_it_is() {
    let folder = TempDir::new().expect("a temporary folder");
    let data = folder.path().join("data");
    drop(Node::over(&data, free_port(), &[]));
    let store = data.join("hubbub.sqlite");
    // A schema of the future in a directory whose layout we know: byte 60 of an SQLite file counts it.
    let mut bytes = fs::read(&store).expect("the store");
    bytes[60..64].copy_from_slice(&9_999_u32.to_be_bytes());
    fs::write(&store, &bytes).expect("a writable folder");
    for journal in ["hubbub.sqlite-wal", "hubbub.sqlite-shm"] {
        // A store that was closed well has none.
        let _ = fs::remove_file(data.join(journal));
    }
    let (exit, said) = not_served(&data, &[]);
    assert_eq!(exit, Some(7), "{said}");
    assert!(said.contains("newer version") && said.contains("start that version"), "{said}");
    assert_eq!(fs::read(&store).expect("the store"), bytes, "not a byte was changed");
    fs::write(data.join("format"), "99\n").expect("a writable folder");
    let (exit, said) = not_served(&data, &[]);
    assert_eq!(exit, Some(7), "{said}");
    assert!(said.contains("newer version") && said.contains("start that version"), "{said}");
}

#[test]
fn a_directory_that_cannot_be_written_is_named_with_the_remedy() {
    let folder = TempDir::new().expect("a temporary folder");
    // Nobody, not even root, makes a directory below a file.
    fs::write(folder.path().join("file"), "").expect("a writable folder");
    for path in ["file", "file/data"] {
        let (exit, said) = not_served(&folder.path().join(path), &[]);
        assert_eq!(exit, Some(1), "{said}");
        assert!(said.contains("data directory") && said.contains("--data-dir"), "{said}");
    }
    // A process file system takes no directory from anyone.
    let (exit, said) = not_served(Path::new("/proc/hubbub-data"), &[]);
    assert_eq!(exit, Some(1), "{said}");
    assert!(said.contains("/proc/hubbub-data"), "{said}");
}

#[test]
fn a_port_that_is_taken_is_named_with_the_remedy() {
    let folder = TempDir::new().expect("a temporary folder");
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("an address").to_string();
    for flag in ["--listen", "--admin-listen"] {
        let data_dir = folder.path().join("data").display().to_string();
        let other = if flag == "--listen" { "--admin-listen" } else { "--listen" };
        let (exit, said) = refused(&["serve", "--data-dir", &data_dir, flag, &address, other, "127.0.0.1:0"]);
        assert_eq!(exit, Some(6), "{said}");
        let sentence = format!("{address} is in use: stop what listens there, or choose another address");
        assert!(said.lines().last().is_some_and(|line| line.contains(&sentence)), "{said}");
    }
}

#[test]
fn a_second_node_on_the_same_data_is_kept_out_and_the_first_goes_on() {
    let node = Node::fresh(&[]);
    let (exit, said) = not_served(node.folder(), &[]);
    assert_eq!(exit, Some(6), "{said}");
    assert!(said.contains(&format!("process {}", node.pid())), "{said}");
    assert!(said.contains("stop that node first, or choose another --data-dir"), "{said}");
    assert!(get(node.admin(), "/readyz", "").0.starts_with("HTTP/1.1 200"));
}

#[test]
fn a_configuration_file_of_garbage_is_refused_with_its_place_and_the_remedy() {
    let folder = TempDir::new().expect("a temporary folder");
    let file = folder.path().join("hubbub.toml");
    for (garbage, place) in [
        (&b"\x7fELF\x02\x01\x01\0\0\0"[..], "line 1"),
        (b"\xff\xfe[edge]", "UTF-8"),
        (b"[edge]\nheartbeat = ", "line 2"),
        (b"{\"edge\": {}}", "line 1"),
    ] {
        fs::write(&file, garbage).expect("a writable folder");
        let (exit, said) = not_served(&folder.path().join("data"), &["--config", &file.display().to_string()]);
        assert_eq!(exit, Some(2), "{said}");
        assert!(said.contains("hubbub.toml") && said.contains(place), "{said}");
        assert!(said.contains("`hubbub config reference`"), "{said}");
    }
    assert!(!folder.path().join("data").exists(), "nothing was begun");
}
