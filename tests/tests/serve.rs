//! `hubbub serve` as its operator meets it: the first start, the page, health, and one clear sentence
//! for whatever does not fit.

use std::{fs, net::TcpListener, path::Path, process::Command};

use hubbub_tests::{Node, program, raw::get};
use serde_json::Value;
use tempfile::TempDir;

fn address(node: &Node) -> String {
    format!("127.0.0.1:{}", node.port())
}

/// Exit code and what was said by a `serve` that should not start.
fn refused(arguments: &[&str]) -> (Option<i32>, String) {
    let done = Command::new(program()).arg("serve").args(arguments).output().expect("the program starts");
    (done.status.code(), String::from_utf8_lossy(&done.stderr).into_owned())
}

#[tokio::test]
async fn the_first_start_gives_one_link_that_makes_the_owner() {
    let node = Node::fresh(&[]);
    let begins = format!("make the owner account at http://127.0.0.1:{}/setup#", node.port());
    let links = node.said().iter().filter(|line| line.starts_with(&begins)).count();
    assert_eq!(links, 1, "{:?}", node.said());
    let again = node.killed_and_started_again(&[]);
    let kept = again.said().iter().any(|line| line.starts_with(&begins));
    assert!(kept, "nobody has used it, so it still stands: {:?}", again.said());
}

#[tokio::test]
async fn the_page_is_served_with_its_policy_and_fetched_once() {
    let node = Node::fresh(&[]);
    for path in ["/", "/setup", "/style.css", "/js/app.js"] {
        let (head, body) = get(&address(&node), path, "");
        assert!(head.starts_with("HTTP/1.1 200") && !body.is_empty(), "{path}: {head}");
        let tag = head.lines().find_map(|line| line.strip_prefix("etag: ")).expect("a tag");
        let (head, body) = get(&address(&node), path, &format!("If-None-Match: {tag}"));
        assert!(head.starts_with("HTTP/1.1 304") && body.is_empty(), "{path}: {head}");
    }
    let (head, _) = get(&address(&node), "/", "");
    assert!(head.contains("content-security-policy: default-src 'self'"), "{head}");
    assert!(head.contains("x-content-type-options: nosniff"), "{head}");
}

#[tokio::test]
async fn operators_read_health_and_metrics_that_others_do_not_see() {
    let node = Node::fresh(&[]);
    let person = node.person("ada").await;
    let (_client, _updates) = person.connects().await;
    let (head, body) = get(node.admin(), "/readyz", "");
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    assert_eq!(serde_json::from_str::<Value>(&body).expect("JSON")["ready"], true);
    let (_, metrics) = get(node.admin(), "/metrics", "");
    for line in ["hubbub_connections 1", "hubbub_sessions 1", "# TYPE hubbub_rooms_active gauge"] {
        assert!(metrics.contains(line), "{line} in {metrics}");
    }
    assert!(get(&address(&node), "/healthz", "").0.starts_with("HTTP/1.1 200"));
    assert!(get(&address(&node), "/metrics", "").0.starts_with("HTTP/1.1 404"));
}

#[test]
fn what_cannot_be_used_is_refused_in_one_sentence_and_with_its_exit_code() {
    let folder = TempDir::new().expect("a temporary folder");
    let path = |name: &str| folder.path().join(name).display().to_string();
    fs::create_dir(folder.path().join("newer")).expect("a writable folder");
    fs::write(folder.path().join("newer/format"), "99\n").expect("a writable folder");
    fs::write(folder.path().join("file"), "").expect("a writable folder");
    fs::write(folder.path().join("hubbub.toml"), "[edge]\nheartbeat_mss = 1\n").expect("a writable folder");
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let taken = taken.local_addr().expect("an address").to_string();
    let free = "127.0.0.1:0";
    let cases: [(&[&str], i32, &str); 6] = [
        (&["--data-dir", &path("newer")], 7, "newer version"),
        (&["--data-dir", &path("file")], 1, "data directory"),
        (&["--data-dir", &path("a"), "--config", &path("hubbub.toml")], 2, "did you mean `edge.heartbeat_ms`?"),
        (&["--data-dir", &path("b"), "--config", &path("none.toml")], 2, "no configuration file"),
        (
            &["--data-dir", &path("c"), "--heartbeat-ms", "1"],
            2,
            "`edge.heartbeat_ms` is 1, and must be a time from 100ms",
        ),
        (&["--data-dir", &path("d"), "--store", "mysql://localhost/chat"], 2, "must be \"sqlite\", or a URL"),
    ];
    for (arguments, code, sentence) in cases {
        let all = [arguments, &["--listen", free, "--admin-listen", free]].concat();
        let (exit, said) = refused(&all);
        assert_eq!(exit, Some(code), "{arguments:?}: {said}");
        assert!(said.contains(sentence), "{arguments:?}: {said}");
        assert_eq!(said.lines().count(), 1, "{said}");
    }
    let (exit, said) = refused(&["--data-dir", &path("e"), "--listen", &taken, "--admin-listen", free]);
    assert_eq!(exit, Some(6), "{said}");
    assert!(said.contains("is in use: stop what listens there"), "{said}");
    assert!(!Path::new(&path("e")).join("admin.sock").exists());
}
