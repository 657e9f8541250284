//! The bound on connections: who finds no place is told so, and operators always find one.

use std::{fs, net::TcpStream, time::Duration};

use hubbub_tests::{Node, raw::get};
use serde_json::Value;
use tempfile::TempDir;

fn gauge(node: &Node, name: &str) -> u64 {
    let (_, metrics) = get(node.admin(), "/metrics", "");
    let line = metrics.lines().find_map(|line| line.strip_prefix(&format!("{name} ")));
    line.expect(name).parse().expect("a number")
}

#[tokio::test]
async fn one_client_too_many_is_told_to_come_back_and_finds_a_place_when_one_is_free() {
    let folder = TempDir::new().expect("a temporary folder");
    let file = folder.path().join("hubbub.toml");
    fs::write(&file, "[limits]\nconnections = 3\n").expect("a writable folder");
    let node = Node::fresh(&["--config", &file.display().to_string()]);
    let address = format!("127.0.0.1:{}", node.port());
    let person = node.person("ada").await;
    let (client, updates) = person.connects().await;
    // Whatever REST left open is closed; the WebSocket keeps the place it was accepted with.
    drop(person);
    let others: Vec<TcpStream> =
        (0..3).map(|_| TcpStream::connect(&address).expect("the backlog takes it")).collect();
    wait_for("all places are taken", || gauge(&node, "hubbub_connections_public") == 3).await;
    let (head, body) = get(&address, "/healthz", "");
    assert!(head.starts_with("HTTP/1.1 503"), "{head}");
    assert!(head.to_lowercase().contains("retry-after: 5"), "{head}");
    let error = &serde_json::from_str::<Value>(&body).expect("JSON")["error"];
    assert_eq!((&error["code"], &error["retryable"]), (&"busy".into(), &true.into()), "{body}");
    assert!(gauge(&node, "hubbub_connections_refused_total") >= 1);
    assert_eq!(gauge(&node, "hubbub_connections_max"), 3);
    drop((client, updates, others));
    wait_for("a place is free", || get(&address, "/healthz", "").0.starts_with("HTTP/1.1 200")).await;
}

async fn wait_for(what: &str, holds: impl Fn() -> bool) {
    for _ in 0..500 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("not within ten seconds: {what}");
}
