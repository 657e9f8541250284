//! A database that reads only, has no connection left or has a full disk: sends are refused in time, `/readyz` says
//! why and what to do, and when the trouble is over everything goes on by itself. Nothing acknowledged is lost,
//! nothing is there twice.
//!
//! The disk is filled for real. A small one for it has to be mounted, which needs root; where that is not allowed
//! those parts are left out with a word, and the limit on a file's size stands for them.

use std::{
    fs,
    io::{ErrorKind, Write},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use hubbub_tests::{
    Node,
    diary::{Diary, noise, says_what_to_do, serves_again},
    free_port,
    mount::Mount,
    postgres::{Server, database_of, sql},
    program,
};
use tempfile::TempDir;

/// How long a server may take to do what it is told.
const OBEYS_WITHIN: Duration = Duration::from_secs(20);
/// Connections of the server for those who are no superusers.
const SLOTS: usize = 16;
/// A text that is stored outside its row, so that every send needs room.
const LONG: usize = 7_000;

const ENDS_ALL: &str = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'chat'";

/// The URL of a database on `server` whose owner is no superuser, as a node's user should be.
fn database(server: &Server, place: &str) -> String {
    server.sql("CREATE ROLE chat LOGIN PASSWORD 'chat'");
    server.sql(&format!("CREATE DATABASE chat OWNER chat {place}"));
    let host = server.url().split_once('@').expect("a host").1;
    database_of(&format!("postgres://chat:chat@{host}"), "chat")
}

fn node_on(url: &str, folder: &TempDir) -> Node {
    Node::over(&folder.path().join("data"), free_port(), &["--store", url])
}

/// A `serve` that should end by itself.
fn served(url: &str, folder: &Path) -> Output {
    let folder = folder.display().to_string();
    let free = "127.0.0.1:0";
    let flags = ["serve", "--data-dir", &folder, "--store", url, "--listen", free, "--admin-listen", free];
    Command::new(program()).args(flags).output().expect("the program starts")
}

fn assert_refused(done: &Output, remedy: &str) {
    let said = String::from_utf8_lossy(&done.stderr);
    assert_eq!(done.status.code(), Some(1), "{said}");
    let sentences: Vec<&str> = said.lines().filter(|line| line.starts_with("hubbub: ")).collect();
    assert!(sentences.len() == 1 && sentences[0].contains(remedy), "{remedy:?} in {said}");
}

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < OBEYS_WITHIN, "never: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// After the trouble: all goes on by itself, and all is there, for a node that starts anew as well.
async fn all_is_well(node: Node, url: &str, mut diary: Diary, text: &str) {
    let (before, refused) = diary.counts();
    diary.repeats_the_refused(text).await;
    serves_again(&node).await;
    assert!(diary.sends("after"), "sends go on");
    assert_eq!(diary.counts(), (before + refused + 1, 0));
    diary.assert_all_there(&node.signs_in("ada").await).await;
    assert!(!node.log().contains("panicked"), "{}", node.log());
    let node = node.killed_and_started_again(&["--store", url]);
    diary.assert_all_there(&node.signs_in("ada").await).await;
}

#[tokio::test]
async fn a_database_that_turns_read_only_takes_nothing_says_so_and_goes_on_when_it_writes() {
    let (server, folder) = (Server::start(), TempDir::new().expect("a temporary folder"));
    let url = database(&server, "");
    let node = node_on(&url, &folder);
    let mut diary = Diary::of(&node, &node.person("ada").await).await;
    for _ in 0..20 {
        assert!(diary.sends("before"));
    }
    server.sql("ALTER SYSTEM SET default_transaction_read_only = on");
    server.sql("SELECT pg_reload_conf()");
    until("read-only", || sql(&url, "SHOW transaction_read_only") == "on").await;
    server.sql(ENDS_ALL);
    diary.sends_until_refused("meanwhile", 3, 0);
    says_what_to_do(&node, "set `store.url` to the primary server, or its `default_transaction_read_only` to off")
        .await;
    assert_refused(&served(&url, &folder.path().join("other")), "is read-only, as a standby is: set `store.url`");
    server.sql("ALTER SYSTEM RESET default_transaction_read_only");
    server.sql("SELECT pg_reload_conf()");
    until("writable", || sql(&url, "SHOW transaction_read_only") == "off").await;
    all_is_well(node, &url, diary, "meanwhile").await;
}

/// Somebody who has a connection and keeps it.
struct Hog(Child);

impl Hog {
    fn of(url: &str) -> Self {
        let mut psql = Command::new("psql");
        let psql = psql.args([url, "-q"]).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        Self(psql.spawn().expect("psql runs"))
    }

    /// Whether it was let in, as far as is known.
    fn stays(&mut self) -> bool {
        matches!(self.0.try_wait(), Ok(None))
    }
}

impl Drop for Hog {
    fn drop(&mut self) {
        // One that was not let in has ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Takes every connection that is no superuser's, also those that the node has.
async fn takes_every_connection(server: &Server, url: &str) -> Vec<Hog> {
    let mut hogs: Vec<Hog> = Vec::new();
    let count = |of: &str| server.sql(&format!("SELECT count(*) FROM pg_stat_activity WHERE usename = 'chat'{of}"));
    until("every connection is taken", || {
        hogs.retain_mut(Hog::stays);
        while hogs.len() < SLOTS {
            hogs.push(Hog::of(url));
        }
        server.sql(&format!("{ENDS_ALL} AND application_name LIKE 'hubbub %'"));
        count(" AND application_name = 'psql'") == SLOTS.to_string() && count("") == SLOTS.to_string()
    })
    .await;
    hogs
}

#[tokio::test]
async fn a_database_without_a_connection_left_takes_nothing_says_so_and_goes_on_when_it_has_some() {
    let (server, folder) = (Server::start(), TempDir::new().expect("a temporary folder"));
    let url = database(&server, "");
    let all: usize = server.sql("SHOW max_connections").parse().expect("a number");
    server.sql(&format!("ALTER SYSTEM SET superuser_reserved_connections = {}", all - SLOTS));
    server.stop();
    server.start_again();
    let node = node_on(&url, &folder);
    let mut diary = Diary::of(&node, &node.person("ada").await).await;
    for _ in 0..20 {
        assert!(diary.sends("before"));
    }
    let hogs = takes_every_connection(&server, &url).await;
    diary.sends_until_refused("meanwhile", 3, 0);
    let remedy = "raise the server's max_connections, or lower `store.lanes`, `store.readers` and `store.writers`";
    says_what_to_do(&node, remedy).await;
    assert_refused(&served(&url, &folder.path().join("other")), remedy);
    drop(hogs);
    all_is_well(node, &url, diary, "meanwhile").await;
}

/// Writes into `folder` until its disk is full; gives the file that does it.
fn ballast(folder: &Path) -> PathBuf {
    let path = folder.join("ballast");
    let mut file = fs::File::create(&path).expect("a writable folder");
    for size in [64 * 1024, 512] {
        loop {
            match file.write_all(&vec![7; size]) {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::StorageFull => break,
                Err(error) => panic!("{error}"),
            }
        }
    }
    path
}

#[tokio::test]
async fn a_database_whose_disk_is_full_loses_nothing_says_so_and_goes_on_when_there_is_room() {
    let (server, folder) = (Server::start(), TempDir::new().expect("a temporary folder"));
    let Some(mount) = Mount::tmpfs(server.place(), "size=48m") else { return };
    let place = mount.path.join("tables");
    fs::create_dir(&place).expect("a disk with room");
    server.give(&place);
    server.sql(&format!("CREATE TABLESPACE small LOCATION '{}'", place.display()));
    let url = database(&server, "TABLESPACE small");
    let node = node_on(&url, &folder);
    let (mut diary, text) = (Diary::of(&node, &node.person("ada").await).await, noise(LONG));
    for _ in 0..20 {
        assert!(diary.sends(&text));
    }
    let ballast = ballast(&mount.path);
    diary.sends_until_refused(&text, 3, 50);
    says_what_to_do(&node, "the disk of the database is full: make room on its server").await;
    fs::remove_file(ballast).expect("our own file");
    all_is_well(node, &url, diary, &text).await;
}

/// The server gives up when it cannot write its journal, and does not start before there is room.
#[tokio::test]
async fn a_database_whose_journal_finds_no_room_loses_nothing_and_goes_on_when_it_is_started_again() {
    let (server, folder) = (Server::start(), TempDir::new().expect("a temporary folder"));
    let Some(mount) = Mount::tmpfs(server.place(), "size=100m") else { return };
    server.stop();
    let journal = server.place().join("data/pg_wal");
    let elsewhere = mount.path.join("pg_wal");
    let moved = Command::new("mv").args([&journal, &elsewhere]).status();
    assert!(moved.is_ok_and(|moved| moved.success()), "the journal moves to the small disk");
    std::os::unix::fs::symlink(&elsewhere, &journal).expect("the server's folder is writable");
    server.start_again();
    let url = database(&server, "");
    let node = node_on(&url, &folder);
    let (mut diary, text) = (Diary::of(&node, &node.person("ada").await).await, noise(LONG));
    for _ in 0..20 {
        assert!(diary.sends(&text));
    }
    let ballast = ballast(&mount.path);
    server.sql("SELECT pg_switch_wal()");
    diary.sends_until_refused(&text, 3, 10_000);
    says_what_to_do(&node, "the database cannot be reached: start it, or mend the way to it").await;
    let said = fs::read_to_string(server.place().join("data/server.log")).expect("the server's log");
    assert!(said.contains("No space left on device"), "{said}");
    fs::remove_file(ballast).expect("our own file");
    server.start_again();
    all_is_well(node, &url, diary, &text).await;
}

/// Needs no right to mount: a file that may not grow finds no more room than one on a full disk.
#[tokio::test]
async fn a_database_whose_files_may_not_grow_loses_nothing_says_so_and_goes_on_when_they_may() {
    // More than a segment of the journal, 16 MiB, and not at the end of a page, so that half a page is written.
    const FILE_BYTES_MAX: usize = 17 * 1024 * 1024 + 4_096;
    let (server, folder) = (Server::start(), TempDir::new().expect("a temporary folder"));
    let url = database(&server, "");
    let node = node_on(&url, &folder);
    let (mut diary, text) = (Diary::of(&node, &node.person("ada").await).await, noise(LONG));
    for _ in 0..20 {
        assert!(diary.sends(&text));
    }
    let limit = |bytes: &str| {
        server.limit_files(bytes);
        server.sql(ENDS_ALL);
    };
    limit(&FILE_BYTES_MAX.to_string());
    diary.sends_until_refused(&text, 3, FILE_BYTES_MAX / LONG + 100);
    says_what_to_do(&node, "make room").await;
    limit("unlimited");
    all_is_well(node, &url, diary, &text).await;
}
