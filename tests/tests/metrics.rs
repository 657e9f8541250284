//! What a node under traffic tells Prometheus: true numbers, in a form that it takes, and never more of them than
//! stated, whatever clients send.

use std::{
    collections::BTreeSet,
    io::Write,
    process::{Command, Stdio},
};

use hubbub_tests::{
    Node,
    raw::{Raw, get},
};
use serde_json::{Value, json};

/// Most series of a node, as docs/metrics.md states it.
const SERIES_MAX: usize = 6_500;

fn metrics(node: &Node) -> String {
    let (head, body) = get(node.admin(), "/metrics", "");
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    body
}

/// The names of all series, with their labels.
fn series(metrics: &str) -> BTreeSet<String> {
    let rows = metrics.lines().filter(|line| !line.starts_with('#'));
    rows.filter_map(|line| line.rsplit_once(' ')).map(|(name, _)| name.to_owned()).collect()
}

fn value(metrics: &str, name: &str) -> f64 {
    let row = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    row.unwrap_or_else(|| panic!("no {name} in {metrics}")).parse().expect("a number")
}

/// What promtool says of what it is given, and whether it takes it.
fn judged(what: &[&str], given: &str) -> (bool, String) {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/promtool");
    let path = Command::new(script).arg("path").output().expect("a shell");
    assert!(path.status.success(), "{}", String::from_utf8_lossy(&path.stderr));
    let program = String::from_utf8(path.stdout).expect("a path");
    let mut promtool = Command::new(program.trim());
    promtool.arg("check").args(what).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut checking = promtool.spawn().expect("promtool starts");
    checking.stdin.take().expect("piped").write_all(given.as_bytes()).expect("it reads");
    let done = checking.wait_with_output().expect("it ends");
    let said = [done.stdout, done.stderr].concat();
    (done.status.success(), String::from_utf8_lossy(&said).into_owned())
}

/// A node on which somebody has said something, been read, and been refused something.
async fn busy() -> (Node, Raw, String) {
    let node = Node::fresh(&[]);
    let ada = node.person("ada").await;
    let community = ada.rest.create_community("testers", true).await.expect("anyone may");
    let room = ada.rest.create_room(community.id, "general", false).await.expect("its owner may").id.to_string();
    let mut raw = Raw::identified(&node, &ada);
    raw.ask(&json!({"id": 2, "op": "subscribe", "room": room}));
    assert!(raw.answer(2)["ok"].is_object());
    for id in 10..20 {
        let key = format!("00000000-0000-4000-8000-{id:012}");
        raw.ask(&json!({"id": id, "op": "send", "room": room, "key": key, "text": "hello"}));
        assert!(raw.answer(id)["ok"].is_object());
    }
    raw.ask(&json!({"id": 3, "op": "history", "room": room}));
    assert!(raw.answer(3)["ok"].is_object());
    raw.ask(&json!({"id": 4, "op": "edit", "room": room, "seq": 999, "text": "no"}));
    assert_eq!(raw.answer(4)["error"]["code"], "not_found");
    (node, raw, room)
}

#[tokio::test]
async fn a_node_under_traffic_tells_prometheus_what_it_does_in_a_form_that_it_takes() {
    let (node, mut raw, room) = busy().await;
    let metrics = metrics(&node);
    let (fine, said) = judged(&["metrics"], &metrics);
    assert!(fine && said.trim().is_empty(), "{said}");
    for (name, least) in [
        ("hubbub_ops_total{op=\"send\"}", 10.0),
        ("hubbub_op_seconds_count{op=\"send\"}", 10.0),
        ("hubbub_op_errors_total{op=\"edit\",code=\"not_found\"}", 1.0),
        ("hubbub_ack_seconds_count{stage=\"queue\"}", 10.0),
        ("hubbub_ack_seconds_count{stage=\"append\"}", 10.0),
        ("hubbub_ack_seconds_count{stage=\"fan_out\"}", 10.0),
        ("hubbub_append_batch_seconds_count", 10.0),
        ("hubbub_delivery_seconds_count", 1.0),
        ("hubbub_events_appended_total", 10.0),
        ("hubbub_subscriptions", 1.0),
        ("hubbub_cache_hits_total{cache=\"rooms\"}", 10.0),
        ("hubbub_http_requests_total{path=\"/v1/auth/register\",method=\"POST\",status=\"2xx\"}", 1.0),
        ("hubbub_http_request_seconds_count{path=\"/v1/auth/register\",method=\"POST\"}", 1.0),
        ("hubbub_outbox_dropped_total{class=\"event\"}", 0.0),
        ("process_resident_memory_bytes", 1.0),
    ] {
        assert!(value(&metrics, name) >= least, "{name} is {}", value(&metrics, name));
    }
    raw.ask(&json!({"id": 5, "op": "unsubscribe", "room": room}));
    assert!(raw.answer(5)["ok"].is_object());
    let left = std::time::Instant::now();
    while value(&self::metrics(&node), "hubbub_subscriptions") > 0.0 {
        assert!(left.elapsed().as_secs() < 20, "nobody follows any more");
    }
}

#[tokio::test]
async fn whatever_is_sent_no_series_is_added_but_those_that_are_stated() {
    let (node, mut raw, _) = busy().await;
    let address = format!("127.0.0.1:{}", node.port());
    let hostile = |raw: &mut Raw, from: u64| {
        for id in from..from + 50 {
            let (_, body) = get(&address, &format!("/v1/evil-{id}?x={id}"), &format!("X-Evil: evil-{id}"));
            assert!(body.contains("not_found"), "{body}");
            let _: (String, String) = get(&address, &format!("/v1/rooms/evil-{id}/messages"), "");
            raw.ask(&json!({"id": id, "op": format!("evil-{id}"), "room": "evil"}));
            assert_eq!(raw.answer(id)["error"]["code"], "bad_request");
            raw.ask(&json!({"id": id, "op": "send", "room": format!("evil-{id}"), "key": "evil", "text": 1}));
            assert_eq!(raw.answer(id)["error"]["code"], "not_found", "what is no id names no room");
        }
        let odd = reqwest::Method::from_bytes(b"EVIL").expect("a token");
        reqwest::Client::new().request(odd, format!("http://{address}/v1/users/me"))
    };
    hostile(&mut raw, 100).send().await.expect("answered");
    let once = series(&metrics(&node));
    hostile(&mut raw, 200).send().await.expect("answered");
    let page = metrics(&node);
    let twice = series(&page);
    assert_eq!(once.symmetric_difference(&twice).collect::<Vec<_>>(), Vec::<&String>::new());
    assert!(twice.len() <= SERIES_MAX, "{}", twice.len());
    assert!(!page.to_lowercase().contains("evil"), "{page}");
    for code in ["bad_request", "not_found"] {
        assert!(value(&page, &format!("hubbub_op_errors_total{{op=\"invalid\",code=\"{code}\"}}")) >= 100.0);
    }
    assert!(value(&page, "hubbub_http_requests_total{path=\"other\",method=\"other\",status=\"4xx\"}") >= 100.0);
    let stated = include_str!("../../docs/metrics.md");
    assert!(stated.contains(&format!("at most {SERIES_MAX}")), "the page states another number");
}

#[tokio::test]
async fn a_node_that_does_not_measure_tells_what_costs_nothing() {
    let folder = tempfile::TempDir::new().expect("a temporary folder");
    let file = folder.path().join("hubbub.toml");
    std::fs::write(&file, "metrics.enabled = false\n").expect("a writable folder");
    let node = Node::fresh(&["--config", &file.display().to_string()]);
    let ada = node.person("ada").await;
    let _raw = Raw::identified(&node, &ada);
    let page = metrics(&node);
    assert!(value(&page, "hubbub_sessions") >= 1.0);
    let counted = ["_seconds_count", "hubbub_ops_total", "hubbub_http_requests_total"];
    assert!(!counted.iter().any(|name| page.contains(name)), "{page}");
}

#[tokio::test]
async fn readiness_is_told_with_reasons_and_warnings() {
    let node = Node::fresh(&[]);
    let (head, body) = get(node.admin(), "/readyz", "");
    let ready: Value = serde_json::from_str(&body).expect("JSON");
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    assert_eq!(ready, json!({"ready": true, "reasons": [], "warnings": []}));
}

#[test]
fn the_alerts_for_operators_are_such_that_prometheus_takes_them() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/prometheus/alerts.yml");
    let (fine, said) = judged(&["rules", file], "");
    assert!(fine && said.contains("SUCCESS"), "{said}");
}
