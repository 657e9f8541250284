//! An archive replayed through clients while two hundred others look on, some of them cut off again and
//! again: each is shown every event of its rooms once, in order and as the log has it.
//!
//! That the ledgers find a lost, a doubled and a misplaced event is tested beside them, in the client.

#![expect(clippy::print_stdout, reason = "tells what was replayed and what was seen")]

use std::{
    collections::BTreeMap,
    path::Path,
    process::{Output, Stdio},
    time::Duration,
};

use hubbub_client::{
    Config,
    ledger::{Ledger, Verdict, Witness},
    rest::Rest,
};
use hubbub_protocol::{
    event::{Event, EventBody},
    ids::{CommunityId, RoomId, Seq},
};
use hubbub_tests::{Node, Person, archive, cut::Line, program};
use serde_json::Value;
use tokio::{process::Command, time::Instant};

/// Clients that look on.
const WITNESSES: usize = 200;
/// Accounts they belong to; each has ten devices.
const ACCOUNTS: usize = 20;
/// One client in so many is cut off now and then.
const CUT_ONE_IN: usize = 5;
/// Time between two cuts.
const CUT_EVERY: Duration = Duration::from_millis(700);
/// How long the last events may be under way on a busy machine.
const SEEN_WITHIN: Duration = Duration::from_secs(60);
const COMMUNITY: &str = "Replayed";

/// Four hundred lines of two communities: one with reactions, one with threads.
fn corpus() -> Vec<Value> {
    let from = |prefix: &'static str| {
        archive::real("small.jsonl.gz", 200, move |line| {
            line["id"].as_str().is_some_and(|id| id.starts_with(prefix))
        })
    };
    let real = from("htx:").and_then(|first| Some([first, from("dd:")?].concat()));
    real.unwrap_or_else(|| {
        println!("no real archives: set HUBBUB_CORPORA; a made-up one is replayed in their place");
        archive::made_up(400)
    })
}

fn text<'a>(line: &'a Value, field: &str) -> &'a str {
    line[field].as_str().unwrap_or_default()
}

/// All that each room and thread should say: a thread begins in its room.
fn wanted(lines: &[Value]) -> Vec<String> {
    let mut rooms: BTreeMap<(&str, Option<&str>), Vec<String>> = BTreeMap::new();
    // What has no text is not sent, and begins no thread.
    for line in lines.iter().filter(|line| !text(line, "text").trim().is_empty()) {
        let (room, thread) = (text(line, "room"), line["thread"].as_str());
        let place = match thread {
            Some(thread) if rooms.contains_key(&(room, Some(thread))) => Some(thread),
            Some(thread) => {
                rooms.insert((room, Some(thread)), Vec::new());
                None
            }
            None => None,
        };
        rooms.entry((room, place)).or_default().push(text(line, "text").to_owned());
    }
    sorted(rooms.into_values())
}

/// Each room's texts as one, since a long one is sent in parts.
fn sorted(rooms: impl Iterator<Item = Vec<String>>) -> Vec<String> {
    let mut rooms: Vec<_> = rooms.map(|texts| texts.concat()).filter(|text| !text.is_empty()).collect();
    rooms.sort();
    rooms
}

async fn replay(node: &Node, file: &Path) -> Output {
    let import = Command::new(program())
        .args(["import", "jsonl"])
        .arg(file)
        .args(["--community", COMMUNITY, "--clients", "16", "--json", "--data-dir"])
        .arg(node.folder())
        .stderr(Stdio::piped())
        .output();
    import.await.expect("the program runs")
}

fn summary(output: &Output) -> Value {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("a summary in JSON")
}

/// The log of every room and thread, in a ledger, and what each says.
async fn logs(rest: &Rest, rooms: &[RoomId]) -> (Ledger, Vec<String>) {
    let (mut log, mut texts, mut open) = (Ledger::default(), Vec::new(), rooms.to_vec());
    while let Some(room) = open.pop() {
        let (mut said, mut after) = (Vec::new(), Some(Seq(0)));
        log.begin(room, Seq(0));
        while let Some(from) = after {
            let (pushes, next) = rest.events(room, from, 100).await.expect("a member reads the log");
            for push in pushes {
                let event: Event = Event::decode(&push).expect("an event");
                log.note(room, event.seq, &push);
                match event.body {
                    EventBody::MessageCreated(created) => said.push(created.text),
                    EventBody::ThreadCreated { room, .. } => open.push(room),
                    _ => {}
                }
            }
            after = next;
        }
        texts.push(said);
    }
    (log, sorted(texts.into_iter()))
}

async fn people(node: &Node, owner: &Person, community: CommunityId) -> Vec<String> {
    let mut tokens = vec![owner.signed.access_token.clone()];
    for number in 1..ACCOUNTS {
        let person = node.person(&format!("witness{number}")).await;
        person.rest.join(community).await.expect("a public community");
        tokens.push(person.signed.access_token);
    }
    tokens
}

async fn witnesses(node: &Node, line: &Line, tokens: &[String], rooms: &[RoomId]) -> Vec<Witness> {
    let mut witnesses = Vec::with_capacity(WITNESSES);
    for number in 0..WITNESSES {
        let url = if number % CUT_ONE_IN == 0 { line.url() } else { node.url() };
        let mut config = Config::new(&url, &tokens[number % tokens.len()]);
        config.backoff.first = Duration::from_millis(20);
        // Every other one follows threads too, and every third only half of the rooms.
        let rooms = if number % 3 == 0 { &rooms[..rooms.len() / 2] } else { rooms };
        let witness = Witness::follow(config, rooms, number % 2 == 0).await;
        witnesses.push(witness.expect("a member follows its rooms"));
    }
    witnesses
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_who_look_on_are_shown_every_event_of_a_replay_once_and_in_order() {
    let lines = corpus();
    let folder = tempfile::TempDir::new().expect("a temporary folder");
    let file = folder.path().join("archive.jsonl");
    std::fs::write(&file, archive::written(&lines)).expect("a writable folder");
    let node = Node::fresh(&[]);
    let owner = node.person("owner").await;
    let community = owner.rest.create_community(COMMUNITY, true).await.expect("anyone may make one").id;
    let tokens = people(&node, &owner, community).await;
    let mut rooms = Vec::new();
    for name in lines.iter().map(|line| text(line, "room")).collect::<std::collections::BTreeSet<_>>() {
        // Every community begins with a room `general`, which an archive of that name goes on in.
        let there = owner.rest.rooms(community).await.expect("an owner sees rooms");
        let there = there.into_iter().find(|room| room.name == name);
        rooms.push(match there {
            Some(room) => room.id,
            None => owner.rest.create_room(community, name, false).await.expect("an owner makes rooms").id,
        });
    }
    let line = Line::to(node.port()).await;
    let witnesses = witnesses(&node, &line, &tokens, &rooms).await;

    let replaying = replay(&node, &file);
    tokio::pin!(replaying);
    let mut cuts = 0;
    let output = loop {
        tokio::select! {
            output = &mut replaying => break output,
            () = tokio::time::sleep(CUT_EVERY) => {
                line.cut();
                cuts += 1;
            }
        }
    };
    let said = summary(&output);
    assert!(cuts > 1, "nobody was cut off: the replay took less than {CUT_EVERY:?}");
    let texts = lines.iter().filter(|line| !text(line, "text").trim().is_empty()).count();
    assert_eq!(said["messages"], texts, "{said}");
    assert_eq!(said["refused"], 0, "{said}");

    let (log, texts) = logs(&owner.rest, &rooms).await;
    let wanted = wanted(&lines);
    let odd: Vec<_> = texts.iter().zip(&wanted).filter(|(got, wanted)| got != wanted).take(2).collect();
    assert!(texts.len() == wanted.len() && odd.is_empty(), "the archive's texts, room by room: {odd:#?}");

    let until = Instant::now() + SEEN_WITHIN;
    while !witnesses.iter().all(|witness| witness.has_all_of(&log)) && Instant::now() < until {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let mut all = Verdict::default();
    for witness in witnesses {
        all += witness.end().await.expect("it looked on to the end").verdict(&log);
    }
    println!("{WITNESSES} clients, {} of them cut off {cuts} times, saw {all}", WITNESSES / CUT_ONE_IN);
    assert!(all.is_clean(), "{all}");

    let again = summary(&replay(&node, &file).await);
    assert_eq!((&again["messages"], &again["threads"], &again["reactions"]), (&0.into(), &0.into(), &0.into()));
    assert_eq!(again["repeated"], said["messages"]);
    let (after, _) = logs(&owner.rest, &rooms).await;
    assert!(log.lines().eq(after.lines()), "a second replay changed a log");
}

#[tokio::test]
async fn a_replay_into_a_stopped_node_says_what_to_do() {
    let folder = tempfile::TempDir::new().expect("a temporary folder");
    let file = folder.path().join("archive.jsonl");
    std::fs::write(&file, archive::written(&archive::made_up(1))).expect("a writable folder");
    let output = Command::new(program())
        .args(["import", "jsonl"])
        .arg(&file)
        .args(["--community", COMMUNITY, "--data-dir"])
        .arg(folder.path().join("data"))
        .output()
        .await
        .expect("the program runs");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.contains("hubbub serve") && said.contains("--direct"), "{said}");
}
