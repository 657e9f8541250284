//! The product with a Redis: whatever becomes of it, people are told the same, only sooner or later.

mod talker;

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    process::{Command, Output},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use hubbub_client::rest::{Rest, RestError};
use hubbub_protocol::{
    ids::{RoomId, Seq},
    rest::SignedIn,
};
use hubbub_tests::{
    Node, PASSWORD,
    chaos::{lab::Lab, members::Members},
    postgres, program,
    raw::get,
    redis::Server,
};
use serde_json::{Value, json};
use tempfile::TempDir;

use talker::{Talker, plain};

/// Tails are put once a second; a little later they are there.
const TAILS_PUT: Duration = Duration::from_millis(1_400);
/// What one request may take, whatever Redis does: it is asked for 50 ms at most, and the machine is busy.
const ANSWERS_WITHIN: Duration = Duration::from_secs(3);

/// What becomes of Redis while people talk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// There is none.
    Absent,
    /// Nothing.
    Well,
    /// It is killed when some have talked, and is back, empty, before somebody comes back.
    Killed,
    /// It is killed and stays away.
    Gone,
    /// It hangs, and goes on.
    Hangs,
    /// It forgets everything, again and again.
    Forgets,
}

/// What people were told, without what differs from one run to the next.
#[derive(Debug, Default, PartialEq, Eq)]
struct Told {
    log: Vec<String>,
    ada: Vec<String>,
    bob: Vec<String>,
    pages: Vec<String>,
}

/// Says so many messages, and does something about every other of them.
fn talk(talkers: &mut [&mut Talker<'_>], room: RoomId, messages: u64) -> u64 {
    let mut newest = 0;
    for at in 0..messages {
        let count = talkers.len();
        let talker = &mut talkers[usize::try_from(at).expect("few") % count];
        let seq = talker.says(room, &format!("message {at}"));
        newest = seq;
        let change = match at % 8 {
            1 => json!({"op": "edit", "room": room, "seq": seq, "text": format!("edited {at}")}),
            3 => json!({"op": "react", "room": room, "seq": seq, "emoji": "👍"}),
            5 => json!({"op": "delete", "room": room, "seq": seq}),
            7 => json!({"op": "react", "room": room, "seq": seq, "emoji": "🎉"}),
            _ => continue,
        };
        let answer = talker.ask(change);
        newest = answer["ok"]["event_seq"].as_u64().unwrap_or_else(|| panic!("{answer}"));
    }
    newest
}

fn metric(members: &Members, name: &str) -> u64 {
    let of = |node: usize| {
        let (_, text) = get(&format!("127.0.0.1:{}", members.lab.ports(node).admin), "/metrics", "");
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.and_then(|number| number.trim().parse::<u64>().ok()).unwrap_or_else(|| panic!("{name} in {text}"))
    };
    (0..members.len()).map(of).sum()
}

/// Lets Redis forget everything until it is dropped.
struct Forgetting(Arc<AtomicBool>, Option<std::thread::JoinHandle<()>>);

impl Forgetting {
    fn of(redis: &Arc<Server>) -> Self {
        let (over, redis) = (Arc::new(AtomicBool::new(false)), redis.clone());
        let until = over.clone();
        let thread = std::thread::spawn(move || {
            while !until.load(Ordering::Relaxed) {
                redis.flush();
                std::thread::park_timeout(Duration::from_millis(30));
            }
        });
        Self(over, Some(thread))
    }
}

impl Drop for Forgetting {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
        self.1.take().map(std::thread::JoinHandle::join);
    }
}

/// One conversation over both nodes, the same each time; what was told, and how long the slowest answer took.
async fn converse(members: &Members, redis: Option<&Arc<Server>>, fate: Fate) -> (Told, Duration) {
    let rest = |node: usize, signed: &SignedIn| Rest::new(&members.url(node)).with_token(&signed.access_token);
    let ports = [0, 1].map(|node| members.lab.ports(node).public);
    let mut signed = BTreeMap::new();
    let mut names = BTreeMap::new();
    for name in ["owner", "ada", "bob", "eve"] {
        let account = format!("{name}-{fate:?}").to_lowercase();
        let person = Rest::new(&members.url(0)).register(&account, PASSWORD).await.expect("anyone may register");
        names.insert(person.user.id.to_string(), name.to_owned());
        signed.insert(name, person);
    }
    let owner = rest(0, &signed["owner"]);
    let community = owner.create_community("talk", true).await.expect("anyone may");
    let room = owner.create_room(community.id, "hall", false).await.expect("its owner may").id;
    for name in ["ada", "bob", "eve"] {
        rest(1, &signed[name]).join(community.id).await.expect("it is public");
    }
    let forgetting = (fate == Fate::Forgets).then(|| Forgetting::of(redis.expect("a Redis")));
    let mut told = Told::default();

    let (mut ada, mut bob) = (Talker::at(ports[0], &names), Talker::at(ports[1], &names));
    ada.identify(&signed["ada"]);
    let session = bob.identify(&signed["bob"]);
    for talker in [&mut ada, &mut bob] {
        let answer = talker.ask(json!({"op": "subscribe", "room": room, "after": 0}));
        assert!(answer["ok"]["head"].is_u64() && answer["ok"]["gap"].is_null(), "{answer}");
    }
    talk(&mut [&mut ada, &mut bob], room, 40);
    match (fate, redis) {
        (Fate::Killed | Fate::Gone, Some(redis)) => redis.kill(),
        (Fate::Hangs, Some(redis)) => redis.pause(),
        _ => {}
    }
    let seen = talk(&mut [&mut ada, &mut bob], room, 20);
    bob.until(seen);
    told.bob.append(&mut bob.heard);
    let mut longest = bob.longest;
    drop(bob);
    let missed = talk(&mut [&mut ada], room, 40);
    if matches!(fate, Fate::Killed | Fate::Hangs) {
        // Long enough for it to be missed.
        tokio::time::sleep(TAILS_PUT).await;
    }
    match (fate, redis) {
        (Fate::Killed, Some(redis)) => redis.start_again(),
        (Fate::Hangs, Some(redis)) => redis.go_on(),
        _ => {}
    }
    tokio::time::sleep(TAILS_PUT).await;

    // Bob comes back to the other node, and is sent what was missed.
    let mut bob = Talker::at(ports[0], &names);
    let cursors = BTreeMap::from([(room.to_string(), seen)]);
    let token = &signed["bob"].access_token;
    let resumed = bob.ask(json!({"op": "resume", "token": token, "session": session, "cursors": cursors}));
    told.pages.push(plain(&resumed["ok"]["rooms"][room.to_string()], &names).to_string());
    bob.until(missed);

    // Pages, by both nodes and both ways.
    for limit in [1, 10, 50, 100] {
        told.pages.push(ada.page(room, limit));
        told.pages.push(bob.page(room, limit));
        for node in [0, 1] {
            let page = rest(node, &signed["ada"]).history(room, &format!("limit={limit}")).await.expect("a page");
            let page = serde_json::to_value(page).expect("plain data");
            told.pages.push(plain(&page, &names).to_string());
        }
    }

    // Whoever has an answer finds it on the other node at once.
    let readers = [rest(0, &signed["bob"]), rest(1, &signed["bob"])];
    for at in 0..20 {
        let text = format!("found at once {at}");
        let seq = ada.says(room, &text);
        for reader in &readers {
            let begun = Instant::now();
            let page = reader.history(room, "limit=3").await.expect("a page");
            longest = longest.max(begun.elapsed());
            let newest = page.messages.last().map(|message| (message.seq.0, message.text.clone()));
            assert_eq!((page.head.0, newest), (seq, Some((seq, text.clone()))), "{fate:?}");
        }
    }

    // Whoever is shut out is so at once, whatever is kept where.
    let eve = [rest(0, &signed["eve"]), rest(1, &signed["eve"])];
    for reader in &eve {
        reader.history(room, "limit=3").await.expect("eve is a member");
    }
    let path = format!("/v1/communities/{}/members/{}", community.id, signed["eve"].user.id);
    owner.delete(&path).await.expect("the owner may");
    for reader in &eve {
        let refused = reader.history(room, "limit=3").await.expect_err("eve is no member");
        let RestError::Refused(refusal) = refused else { panic!("{refused}") };
        told.pages.push(format!("{:?}", refusal.code));
    }
    let last = ada.says(room, "the end");
    ada.until(last);
    bob.until(last);
    drop(forgetting);

    told.ada.append(&mut ada.heard);
    told.bob.append(&mut bob.heard);
    let mut after = Seq(0);
    loop {
        let (pushes, next) = owner.events(room, after, 100).await.expect("the owner may");
        for push in pushes {
            let push: Value = serde_json::from_slice(&push).expect("JSON");
            told.log.push(plain(&push, &names).to_string());
        }
        let Some(next) = next else { break };
        after = next;
    }
    (told, longest.max(ada.longest).max(bob.longest))
}

async fn cluster(folder: &TempDir, redis: Option<&Server>) -> Members {
    let environment = redis.map(|redis| ("HUBBUB__REDIS__URL".to_owned(), redis.url().to_owned()));
    let environment = environment.into_iter().collect();
    let (lab, program) = (Lab::open(2, true), program());
    let founded = Members::found_with(lab, postgres::Server::start(), &program, folder.path(), environment);
    Box::pin(founded).await.expect("a cluster can be founded")
}

/// The first line in which two differ.
fn difference(one: &Told, other: &Told) -> String {
    let mut said = String::new();
    for (what, one, other) in [
        ("log", &one.log, &other.log),
        ("ada", &one.ada, &other.ada),
        ("bob", &one.bob, &other.bob),
        ("pages", &one.pages, &other.pages),
    ] {
        let at = one.iter().zip(other).position(|(one, other)| one != other);
        let at = at.or_else(|| (one.len() != other.len()).then(|| one.len().min(other.len())));
        if let Some(at) = at {
            let _ = write!(said, "{what} {at}:\n  {:?}\n  {:?}\n", one.get(at), other.get(at));
        }
    }
    said
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_becomes_of_redis_logs_and_what_people_are_told_are_the_same() {
    let folders = [(); 2].map(|()| TempDir::new().expect("a temporary folder"));
    let (without, _) = {
        let members = cluster(&folders[0], None).await;
        converse(&members, None, Fate::Absent).await
    };
    assert!(without.log.len() > 150 && without.bob.len() > 150, "they talked");
    let redis = Arc::new(Server::start());
    let members = cluster(&folders[1], Some(&redis)).await;
    for fate in [Fate::Well, Fate::Forgets, Fate::Hangs, Fate::Killed, Fate::Gone] {
        let [hits, failures] =
            ["hubbub_redis_hits_total", "hubbub_redis_failures_total"].map(|name| metric(&members, name));
        let (with, longest) = converse(&members, Some(&redis), fate).await;
        assert!(with == without, "{fate:?}:\n{}", difference(&without, &with));
        assert!(longest < ANSWERS_WITHIN, "{fate:?}: an answer took {longest:?}");
        match fate {
            Fate::Well => assert!(metric(&members, "hubbub_redis_hits_total") > hits, "tails were read"),
            Fate::Hangs | Fate::Killed | Fate::Gone => {
                assert!(metric(&members, "hubbub_redis_failures_total") > failures, "{fate:?}: it was missed");
            }
            Fate::Absent | Fate::Forgets => {}
        }
    }
    assert_eq!(metric(&members, "hubbub_redis_configured"), 2);
    assert!(metric(&members, "hubbub_redis_left_alone") > 0, "Redis is gone, and left alone");
}

fn hubbub(arguments: &[&str]) -> Output {
    Command::new(program()).args(arguments).output().expect("the program starts")
}

#[test]
fn a_url_that_is_none_is_refused_at_the_start_by_its_key_and_without_its_password() {
    let folder = TempDir::new().expect("a temporary folder");
    for (url, why) in
        [("redis://:secret@host:port", "redis://USER:PASSWORD@HOST"), ("rediss://:secret@host", "TLS")]
    {
        let config = folder.path().join("hubbub.toml");
        std::fs::write(&config, format!("[redis]\nurl = \"{url}\"\n")).expect("our own folder");
        let data = folder.path().join("data");
        let files = ["--config", &config.display().to_string(), "--data-dir", &data.display().to_string()];
        let done = hubbub(&[&["serve"], &files[..]].concat());
        let said = String::from_utf8_lossy(&done.stderr);
        assert_eq!(done.status.code(), Some(2), "{said}");
        assert!(said.contains("`redis.url`") && said.contains(why) && !said.contains("secret"), "{said}");
    }
}

#[tokio::test]
async fn a_node_starts_without_its_redis_says_so_and_doctor_tells_what_to_do() {
    let redis = Server::start();
    redis.kill();
    let folder = TempDir::new().expect("a temporary folder");
    let config = folder.path().join("hubbub.toml");
    std::fs::write(&config, format!("[redis]\nurl = \"{}\"\n", redis.url())).expect("our own folder");
    let config = config.display().to_string();
    let node = Node::fresh(&["--config", &config]);
    let said = node.said().join("\n");
    assert!(said.contains("Redis does not answer") && said.contains("goes on without it"), "{said}");
    let password = redis.url().split([':', '@']).nth(2).expect("it has one");
    let data = node.folder().display().to_string();
    let looks = || hubbub(&["doctor", "--json", "--data-dir", &data, "--config", &config]);
    let found = |done: Output| {
        let report: Value = serde_json::from_slice(&done.stdout).expect("a report");
        let of_redis = |finding: &&Value| finding["check"] == "redis";
        let finding = report["findings"].as_array().and_then(|all| all.iter().find(of_redis)).cloned();
        (done.status.code(), finding.unwrap_or_else(|| panic!("{report}")))
    };
    let (code, finding) = found(looks());
    assert_eq!((code, finding["state"].as_str()), (Some(0), Some("warning")), "{finding}");
    assert!(finding["remedy"].as_str().is_some_and(|remedy| remedy.contains("redis.url")), "{finding}");
    for text in [&said, &finding.to_string()] {
        assert!(!text.contains(password), "the password is in {text}");
    }
    redis.start_again();
    let (_, finding) = found(looks());
    // How soon it does so is for the machine to say.
    assert!(finding["found"].as_str().is_some_and(|found| found.contains("answers in")), "{finding}");
}
