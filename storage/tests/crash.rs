//! What was acknowledged is there after `kill -9` at any moment.
//!
//! The test starts itself again as a child that appends and says what was committed; the child is
//! killed, and its store opened. The next child goes on in the same file.

use std::{
    env,
    io::Write,
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use hubbub_protocol::{
    event::{Created, Event, EventBody},
    ids::{Epoch, NodeId, RoomId, Seq, ShardSeq, UserId},
    shard::ShardId,
    time::Timestamp,
};
use hubbub_storage::{
    Activation, AppendBatch, AppendOutcome, Effect, LogStore, MetaStore, NewEvent, ShardAppend, SqliteStore,
};
use sqlx::Row;
use tempfile::TempDir;

/// Where a child finds the store; unset in the parent.
const CHILDS_FILE: &str = "HUBBUB_CRASH_TEST_FILE";
const NAME: &str = "what_was_acknowledged_survives_kill_9";
const KILLS: u64 = 12;
const USER: UserId = UserId::from_raw(9);
const SHARDS: [ShardId; 2] = [ShardId(1), ShardId(2)];
/// Events of each shard in a batch: enough for a transaction of several statements and pages.
const EVENTS: u64 = 40;

/// A shard has one room here, so a head is the seq of its newest event too.
fn room_of(shard: ShardId) -> RoomId {
    RoomId::from_raw(100 + u64::from(shard.0))
}

fn part(shard: ShardId, epoch: Epoch, head: u64) -> ShardAppend {
    let room = room_of(shard);
    let message = |seq| {
        let body = EventBody::MessageCreated(Box::new(Created { text: format!("{seq}"), ..Created::default() }));
        let ts = Timestamp(1_795_435_200_000);
        let event = Event { room, seq: Seq(seq), ts, by: USER, key: None, body };
        NewEvent::of(&event, ShardSeq(seq), event.encode())
    };
    let events = (head + 1..=head + EVENTS).map(message).collect();
    let effects = vec![Effect::PutMarker { user: USER, room, seq: Seq(head + EVENTS) }];
    ShardAppend { shard, epoch, old_head: ShardSeq(head), events, effects }
}

/// The child: appends until it is killed, and says the head of both shards after each commit.
async fn append_for_ever(file: &Path) {
    let store = SqliteStore::open(file).await.expect("the store opens after a crash");
    let (epoch, _) = store.fences(&SHARDS).await.expect("a read")[0];
    let epoch = epoch.next();
    let activated = store.activate(&SHARDS.map(|shard| (shard, epoch)), NodeId(1)).await.expect("a write");
    let Activation::Active { head } = activated[0] else { panic!("{activated:?}") };
    let mut head = head.0;
    loop {
        let batch = AppendBatch { shards: SHARDS.map(|shard| part(shard, epoch, head)).to_vec() };
        let outcomes = store.append(&batch).await.expect("the store appends");
        assert_eq!(outcomes, [AppendOutcome::Committed; 2]);
        head += EVENTS;
        let mut out = std::io::stdout().lock();
        writeln!(out, "committed {head}").and_then(|()| out.flush()).expect("the parent listens");
    }
}

/// Runs a child for a while; returns the last head it said was committed.
async fn run_and_kill(file: &Path, after: Duration) -> u64 {
    let mut child = Command::new(env::current_exe().expect("this test"))
        .args([NAME, "--exact", "--nocapture"])
        .env(CHILDS_FILE, file)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("this test starts again");
    tokio::time::sleep(after).await;
    assert!(child.try_wait().expect("our child").is_none(), "the child ended by itself");
    child.kill().expect("the child was running");
    let output = child.wait_with_output().expect("the child has ended");
    let output = String::from_utf8_lossy(&output.stdout);
    let whole = output.rsplit_once('\n').map_or("", |(lines, _)| lines);
    let said = whole.lines().rev().find_map(|line| line.strip_prefix("committed "));
    said.map_or(0, |head| head.parse().expect("a number"))
}

/// Opens what a child left; returns the head, which is the same for both shards.
async fn check(file: &Path, acknowledged: u64) -> u64 {
    let store = SqliteStore::open(file).await.expect("the store opens after a crash");
    let fences = store.fences(&SHARDS).await.expect("a read");
    let head = fences[0].1.0;
    assert_eq!(fences[1].1.0, head, "a batch is there whole or not at all");
    assert!(head >= acknowledged, "{acknowledged} was acknowledged, {head} is there");
    let markers = store.markers(USER).await.expect("a read");
    for shard in SHARDS {
        let events = store.events(room_of(shard), Seq(0), usize::MAX).await.expect("a read");
        assert!(events.iter().map(|event| event.seq.0).eq(1..=head), "the room is dense up to {head}");
        assert_eq!(markers.get(&room_of(shard)).map_or(0, |seq| seq.0), head, "effects come with their events");
    }
    store.close().await;
    let url = format!("sqlite://{}", file.display());
    let mut raw = <sqlx::SqliteConnection as sqlx::Connection>::connect(&url).await.expect("plain SQLite");
    let row = sqlx::query("PRAGMA integrity_check").fetch_one(&mut raw).await.expect("a row");
    assert_eq!(row.get::<String, _>(0), "ok");
    head
}

#[tokio::test]
async fn what_was_acknowledged_survives_kill_9() {
    if let Some(file) = env::var_os(CHILDS_FILE) {
        return append_for_ever(Path::new(&file)).await;
    }
    let folder = TempDir::new().expect("a temporary folder");
    let file = folder.path().join("hubbub.sqlite");
    let mut head = 0;
    for kill in 0..KILLS {
        let acknowledged = run_and_kill(&file, Duration::from_millis(40 + 37 * kill % 210)).await;
        head = check(&file, acknowledged.max(head)).await;
    }
    assert!(head > 0, "no child lived long enough to append");
}
