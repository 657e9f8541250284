//! The product on PostgreSQL: a node that rides out a restart of its server, the move from the embedded
//! store, and one clear sentence for what does not fit.

use std::{
    collections::BTreeMap,
    path::Path,
    process::{Command, Output},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use hubbub_protocol::{
    event::{Event, EventBody},
    ids::{MessageKey, RoomId, Seq},
};
use hubbub_tests::{
    Node, PASSWORD, Person, free_port,
    postgres::{Server, database_of, fresh_database, sql},
    program,
    raw::get,
};
use tempfile::TempDir;
use uuid::Uuid;

/// Messages of each sender while the server restarts.
const MESSAGES: usize = 300;

fn node_on(url: &str, folder: &Path) -> Node {
    Node::over(folder, free_port(), &["--store", url])
}

fn hubbub(arguments: &[&str]) -> Output {
    Command::new(program()).args(arguments).output().expect("the program starts")
}

fn said(done: &Output) -> String {
    String::from_utf8_lossy(&done.stderr).into_owned()
}

/// Every message of a room by its key, and the room's head; the log has no hole.
async fn stored(person: &Person, room: RoomId) -> (BTreeMap<MessageKey, Vec<Seq>>, Seq) {
    let mut stored: BTreeMap<MessageKey, Vec<Seq>> = BTreeMap::new();
    let mut after = Seq(0);
    loop {
        let (pushes, next) = person.rest.events(room, after, 100).await.expect("a member may");
        for push in pushes {
            let event = Event::decode(&push).expect("our own form");
            assert_eq!(event.seq, after.next(), "a hole in room {room}");
            after = event.seq;
            if let (EventBody::MessageCreated(_), Some(key)) = (&event.body, event.key) {
                stored.entry(key).or_default().push(event.seq);
            }
        }
        if next.is_none() {
            return (stored, after);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_of_the_server_under_load_loses_and_doubles_nothing() {
    let server = Arc::new(Server::start());
    let folder = TempDir::new().expect("a temporary folder");
    let node = node_on(server.url(), &folder.path().join("data"));
    let owner = node.person("owner").await;
    let community = owner.rest.create_community("testers", true).await.expect("anyone may");
    let room = owner.rest.create_room(community.id, "hall", false).await.expect("its owner may").id;
    let told = Arc::new(AtomicUsize::new(0));
    let mut senders = Vec::new();
    for number in 0..3 {
        let person = node.person(&format!("person-{number}")).await;
        person.rest.join(community.id).await.expect("it is public");
        let (client, mut quiet) = person.connects().await;
        tokio::spawn(async move { while quiet.next().await.is_some() {} });
        let told = told.clone();
        senders.push(tokio::spawn(async move {
            let mut acknowledged = Vec::new();
            for count in 0..MESSAGES {
                let key = MessageKey(Uuid::now_v7());
                let sent = client.send_as(room, key, &format!("{count}"), None).await.expect("sent in the end");
                acknowledged.push((key, sent.seq));
                told.fetch_add(1, Ordering::Relaxed);
            }
            acknowledged
        }));
    }
    for stop in [Server::stop, Server::crash] {
        let before = told.load(Ordering::Relaxed);
        while told.load(Ordering::Relaxed) < (before + 60).min(3 * MESSAGES) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let server = server.clone();
        let stopped = tokio::task::spawn_blocking(move || {
            stop(&server);
            server.start_again();
        });
        stopped.await.expect("the server stops and starts");
    }
    assert!(told.load(Ordering::Relaxed) < 3 * MESSAGES, "the server was stopped while they sent");
    let mut acknowledged = Vec::new();
    for sender in senders {
        acknowledged.extend(sender.await.expect("no sender panicked"));
    }
    let (stored, head) = stored(&owner, room).await;
    assert_eq!(acknowledged.len(), 3 * MESSAGES);
    for (key, seq) in acknowledged {
        assert_eq!(stored.get(&key), Some(&vec![seq]), "acknowledged once, stored once");
    }
    assert!(head.0 >= 3 * MESSAGES as u64);
    let (_, metrics) = get(node.admin(), "/metrics", "");
    let lost =
        metrics.lines().find_map(|line| line.strip_prefix("hubbub_store_connections_lost_total{pool=\"lanes\"} "));
    assert!(lost.is_some_and(|lost| lost != "0"), "{metrics}");
    for line in
        ["hubbub_store_connections_max{pool=\"readers\"} 8", "hubbub_store_connections_idle{pool=\"writers\"}"]
    {
        assert!(metrics.contains(line), "{line} in {metrics}");
    }
}

fn export(folder: &Path, flags: &[&str]) -> Vec<u8> {
    let folder = folder.display().to_string();
    let first = ["export", "jsonl", "--community", "testers", "--private", "--data-dir", folder.as_str()];
    let done = hubbub(&[&first, flags].concat());
    assert!(done.status.success(), "{}", said(&done));
    done.stdout
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_moves_from_the_embedded_store_to_postgres() {
    let folder = TempDir::new().expect("a temporary folder");
    let data = folder.path().join("data");
    let mut node = Node::over(&data, free_port(), &[]);
    let owner = node.person("owner").await;
    let community = owner.rest.create_community("testers", true).await.expect("anyone may");
    for name in ["hall", "garden"] {
        let room = owner.rest.create_room(community.id, name, name == "garden").await.expect("its owner may");
        for number in 0..80 {
            let text = format!("message {number} of {name} — ünï\u{E000}cödé");
            owner.rest.send_message(room.id, MessageKey(Uuid::now_v7()), &text).await.expect("a member may");
        }
    }
    assert_eq!(node.stop(), Some(0));
    let before = export(&data, &[]);
    assert_eq!(before.split(|byte| *byte == b'\n').count(), 161, "two rooms are in it");

    let url = fresh_database();
    let place = data.display().to_string();
    let migrate = ["store", "migrate", "--from", "sqlite", "--to", &url, "--data-dir", &place];
    let done = hubbub(&migrate);
    assert_eq!(done.status.code(), Some(0), "{}", said(&done));
    let told = String::from_utf8_lossy(&done.stdout).into_owned();
    assert!(told.starts_with("moved ") && told.contains("start the node with the store postgres://"), "{told}");
    let password = url.split_once("hubbub:").and_then(|(_, rest)| rest.split_once('@')).expect("a password").0;
    assert!(!told.contains(password), "{told}");
    let again = hubbub(&migrate);
    assert_eq!(again.status.code(), Some(6), "{}", said(&again));
    assert!(said(&again).contains("is not empty") && said(&again).lines().count() == 1, "{}", said(&again));

    // A command on a stopped node reads where the configuration says.
    let set = [("HUBBUB__STORE__URL", url.as_str())];
    let mut command = Command::new(program());
    command.args(["export", "jsonl", "--community", "testers", "--private", "--data-dir", &place]).envs(set);
    let after = command.output().expect("the program starts");
    assert!(after.status.success(), "{}", said(&after));
    assert!(after.stdout == before, "the export of the moved store is the same, byte for byte");

    let node = node_on(&url, &data);
    assert!(!node.said().iter().any(|line| line.contains(password)), "{:?}", node.said());
    node.rest().login("owner", PASSWORD).await.expect("the account moved");
    let kept = node.rest().with_token(&owner.signed.access_token);
    let hall = kept.rooms(community.id).await.expect("keys and sessions moved, so the token still counts");
    let hall = hall.iter().find(|room| room.name == "hall").expect("the room moved").id;
    let sent = kept.send_message(hall, MessageKey(Uuid::now_v7()), "after the move").await.expect("a member may");
    assert_eq!(kept.history(hall, "limit=1").await.expect("a member may").head, sent.seq);
    let epochs = sql(&url, "SELECT max(epoch) > 1 FROM shard_fence");
    assert_eq!(epochs, "t", "the shard was taken over at a fresh epoch");
}

#[test]
fn what_does_not_fit_is_refused_in_one_sentence_without_the_password() {
    let folder = TempDir::new().expect("a temporary folder");
    let path = |name: &str| folder.path().join(name).display().to_string();
    let good = fresh_database();
    let password = good.split_once("hubbub:").and_then(|(_, rest)| rest.split_once('@')).expect("a password").0;
    let wrong = good.replace(password, "guessed-wrong");
    let gone = "postgres://chat:hunter22@127.0.0.1:1/chat";
    let newer = fresh_database();
    sql(&newer, "CREATE TABLE schema_version (version bigint, made_at timestamptz)");
    sql(&newer, "INSERT INTO schema_version VALUES (9999, now())");
    let serve = |name: &str, url: &str| {
        let free = "127.0.0.1:0";
        hubbub(&["serve", "--data-dir", &path(name), "--store", url, "--listen", free, "--admin-listen", free])
    };
    let migrate = |name: &str, url: &str| {
        hubbub(&["store", "migrate", "--from", "sqlite", "--to", url, "--data-dir", &path(name)])
    };
    let cases = [
        (serve("a", &wrong), 1, "correct user name and password in `store.url`"),
        (serve("b", gone), 1, "cannot reach postgres://chat@127.0.0.1:1/chat: start the server"),
        (serve("c", &database_of(&good, "missing")), 1, "make it with `createdb missing`"),
        (serve("d", &newer), 7, "was written by a newer version of Hubbub (schema 9999"),
        (serve("e", "postgres://chat:hunter22@host/chat?sslmod=require"), 2, "must be \"sqlite\", or a URL"),
        (migrate("f", &good), 5, "there is no embedded store in"),
        (migrate("g", "postgres:/chat:hunter22@nowhere"), 2, "write it as postgres://USER:PASSWORD@HOST"),
    ];
    for (done, code, sentence) in cases {
        let text = said(&done);
        assert_eq!(done.status.code(), Some(code), "{text}");
        assert!(text.contains(sentence), "{sentence} in {text}");
        let sentences = text.lines().filter(|line| line.starts_with("hubbub: ")).count();
        assert_eq!(sentences, 1, "{text}");
        for secret in [password, "guessed-wrong", "hunter22"] {
            assert!(!text.contains(secret), "{text}");
        }
    }
}
