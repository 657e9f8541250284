//! The command line as people and operators use it, against the real program: talking from a
//! terminal, archives in and out, and the exit codes that scripts rely on.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Command, Output, Stdio},
};

use hubbub_tests::{Node, PASSWORD, Person, program};
use serde_json::{Value, json};
use tempfile::TempDir;

fn hubbub(arguments: &[&str]) -> Output {
    let mut command = Command::new(program());
    command.args(arguments).env_remove("HUBBUB_TOKEN").stdin(Stdio::null()).output().expect("the program starts")
}

/// What a command prints that ends well.
fn printed(arguments: &[&str]) -> String {
    let output = hubbub(arguments);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{arguments:?}: {said}");
    String::from_utf8(output.stdout).expect("it prints text")
}

/// A person with a community `Lab`, and its room `general`.
async fn with_a_room(node: &Node) -> (Person, String) {
    let ada = node.person("ada").await;
    let lab: Value = ada.rest.post("/v1/communities", &json!({"name": "Lab"})).await.expect("a community");
    let path = format!("/v1/communities/{}/rooms", lab["id"].as_str().expect("an id"));
    let rooms: Value = ada.rest.get(&path).await.expect("its rooms");
    (ada, rooms["items"][0]["id"].as_str().expect("an id").to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn people_talk_from_a_terminal() {
    let mut node = Node::fresh(&[]);
    let (ada, room) = with_a_room(&node).await;
    let (url, token) = (node.url(), ada.signed.access_token.clone());
    let reach = ["--url", url.as_str(), "--token", token.as_str()];
    let chat = |rest: &[&str]| printed(&[&["chat"], rest, &reach].concat());
    let rooms = chat(&["rooms"]);
    assert!(rooms.contains(&room) && rooms.contains("Lab") && rooms.contains("general"), "{rooms}");
    assert_eq!(chat(&["send", "general", "from a script"]), format!("sent as message 1 of {room}\n"));
    let sent: Value = serde_json::from_str(&chat(&["send", &room, "another", "--json"])).expect("JSON");
    assert_eq!(sent["seq"], 2);
    let shown = chat(&["messages", "general"]);
    let texts: Vec<&str> = shown.lines().filter_map(|line| line.rsplit_once(": ")).map(|(_, text)| text).collect();
    assert_eq!(texts, ["from a script", "another"]);
    let newest: Value =
        serde_json::from_str(&chat(&["messages", "general", "--limit", "1", "--json"])).expect("JSON");
    assert_eq!((&newest["seq"], &newest["text"]), (&json!(2), &json!("another")));

    let mut live = Command::new(program())
        .args(["chat", "live", "general", "--url", &url])
        .env("HUBBUB_TOKEN", &token)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut typing = live.stdin.take().expect("standard input is piped");
    let mut lines = BufReader::new(live.stdout.take().expect("standard output is piped")).lines();
    writeln!(typing, "typed").expect("it reads");
    let mut next = || lines.next().expect("a line").expect("text");
    let told = next();
    assert!(told.starts_with("3 ") && told.ends_with(": typed"), "{told}");
    chat(&["send", "general", "heard"]);
    let told = next();
    assert!(told.ends_with(": heard"), "{told}");
    drop(typing);
    assert_eq!(live.wait().expect("it ends").code(), Some(0), "the end of the input ends it");
    assert_eq!(node.stop(), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_script_knows_by_the_exit_code_what_went_wrong() {
    let node = Node::fresh(&[]);
    let (ada, _) = with_a_room(&node).await;
    let (url, token) = (node.url(), ada.signed.access_token.clone());
    let folder = TempDir::new().expect("a temporary folder");
    let data = folder.path().join("data").display().to_string();
    let cases: [(&[&str], i32, &str); 6] = [
        (&["chat", "rooms", "--url", &url], 2, "--token"),
        (&["chat", "rooms", "--url", &url, "--token", "made.up.token"], 4, "not valid"),
        (&["chat", "send", "nowhere", "x", "--url", &url, "--token", &token], 5, "no room `nowhere`"),
        (&["chat", "rooms", "--url", "http://127.0.0.1:1", "--token", &token], 3, ""),
        (&["export", "jsonl", "--community", "Lab", "--url", &url, "--token", &token], 4, ""),
        (&["export", "jsonl", "--community", "None", "--data-dir", &data], 5, "community"),
    ];
    for (arguments, code, sentence) in cases {
        let output = hubbub(arguments);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
        assert!(said.contains(sentence), "{arguments:?}: {said}");
        assert_eq!(output.stdout, b"", "{arguments:?}");
    }
}

/// An archive with a thread, a reaction, an answer and a title.
fn archive(file: &Path) {
    let lines = [
        json!({"id": "1", "room": "help", "user": "ann", "ts": "2015-06-06T10:00:00Z", "text": "how?"}),
        json!({"id": "2", "room": "help", "user": "ben", "ts": "2015-06-06T10:01:00Z", "text": "so", "reply_to": "1"}),
        json!({"id": "3", "room": "help", "user": "ann", "ts": "2015-06-06T10:02:00Z", "text": "thanks", "thread": "1",
               "reactions": [{"emoji": "+1", "user": "ben"}]}),
        json!({"id": "4", "room": "talk", "user": "ben", "ts": "2015-06-06T10:03:00Z", "text": "a\nb"}),
    ];
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    fs::write(file, text).expect("a writable folder");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_archive_goes_in_and_out_of_running_and_stopped_nodes_unchanged() {
    let folder = TempDir::new().expect("a temporary folder");
    let path = |name: &str| folder.path().join(name).display().to_string();
    archive(&folder.path().join("in.jsonl"));
    fs::write(folder.path().join("password"), PASSWORD).expect("a writable folder");
    let (data, password) = (path("data"), path("password"));
    printed(&["--data-dir", &data, "user", "create", "root", "--owner", "--password-file", &password]);
    let import = |more: &[&str]| -> Value {
        let all = [&["import", "jsonl", "--json", "--direct", "--community"], more].concat();
        serde_json::from_str(&printed(&all)).expect("JSON")
    };
    let done = import(&["Old", &path("in.jsonl"), "--data-dir", &data]);
    assert_eq!((&done["messages"], &done["skipped"], &done["users"]), (&json!(4), &json!(0), &json!(2)), "{done}");
    let again = import(&["Old", &path("in.jsonl"), "--data-dir", &data]);
    assert_eq!((&again["messages"], &again["skipped"]), (&json!(0), &json!(4)), "{again}");
    printed(&["export", "jsonl", "--community", "Old", "-o", &path("stopped.jsonl"), "--data-dir", &data]);

    let mut node = Node::over(Path::new(&data), hubbub_tests::free_port(), &[]);
    let url = node.url();
    let token = printed(&["--data-dir", &data, "token", "root"]);
    fs::write(folder.path().join("token"), &token).expect("a writable folder");
    let token = path("token");
    let reach = ["--url", url.as_str(), "--token-file", token.as_str()];
    let out = printed(&[&["export", "jsonl", "--community", "Old"][..], &reach].concat());
    let stopped = fs::read_to_string(path("stopped.jsonl")).expect("the file is whole");
    assert_eq!(out, stopped, "running or not, over the network or not");
    assert_eq!(out.lines().count(), 4, "{out}");

    let done = import(&[&["New", &path("stopped.jsonl")][..], &reach].concat());
    assert_eq!(done["messages"], 4, "{done}");
    let new = printed(&[&["export", "jsonl", "--community", "New"][..], &reach].concat());
    assert_eq!(new, out, "import, export, import, export ends in equal bytes");

    fs::write(folder.path().join("bad.jsonl"), format!("{out}{{\"id\":\"5\"}}\n")).expect("a writable folder");
    let bad = path("bad.jsonl");
    let output = hubbub(&[&["import", "jsonl", "--community", "Bad", &bad][..], &reach].concat());
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("bad.jsonl") && said.contains('5'), "names the file and the line: {said}");
    assert_eq!(node.stop(), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_tells_how_it_is_and_what_it_counts() {
    let mut node = Node::fresh(&[]);
    let (ada, room) = with_a_room(&node).await;
    let (client, _updates) = ada.connects().await;
    client.send(room.parse().expect("an id"), "counted", None).await.expect("stored");
    let get = async |url: String| {
        let answer = reqwest::get(&url).await.expect("it answers");
        (answer.status().as_u16(), answer.text().await.expect("text"))
    };
    let admin = format!("http://{}", node.admin());
    for base in [node.url(), admin.clone()] {
        assert_eq!(get(format!("{base}/healthz")).await, (200, r#"{"status":"ok"}"#.to_owned()));
        let (status, ready) = get(format!("{base}/readyz")).await;
        let ready: Value = serde_json::from_str(&ready).expect("JSON");
        assert_eq!((status, &ready["ready"], &ready["reasons"]), (200, &json!(true), &json!([])));
    }
    let (status, metrics) = get(format!("{admin}/metrics")).await;
    assert_eq!(status, 200);
    let value = |name: &str| metrics.lines().find_map(|line| line.strip_prefix(&format!("{name} ")));
    assert_eq!((value("hubbub_connections"), value("hubbub_sessions")), (Some("1"), Some("1")), "{metrics}");
    assert_eq!(
        (value("hubbub_actors_failed_total"), value("hubbub_actors_passivated_total")),
        (Some("0"), Some("0"))
    );
    assert!(
        value("hubbub_events_appended_total").and_then(|count| count.parse::<u64>().ok()) >= Some(1),
        "{metrics}"
    );
    let (status, _) = get(format!("{}/metrics", node.url())).await;
    assert_eq!(status, 404, "not for everyone");
    assert_eq!(node.stop(), Some(0));
}
