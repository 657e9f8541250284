//! Who may know whom: the layering of ARCHITECTURE.md, read from what cargo resolves.
//!
//! Development dependencies are left out: a crate's own tests may use more than the crate.

use crate::repository::root;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

/// How far down a rule looks.
#[derive(Clone, Copy, Debug)]
enum Reach {
    /// What the crate names in its own Cargo.toml.
    Direct,
    /// Also what comes in through others.
    Anywhere,
}

/// `(crate, reach, what it may not know)`.
const RULES: [(&str, Reach, &[&str]); 6] = [
    ("hubbub-protocol", Reach::Anywhere, &["tokio", "sqlx", "quinn", "openraft", "ractor", "axum", "hyper"]),
    ("hubbub-storage", Reach::Anywhere, &["ractor", "axum", "hyper", "quinn", "openraft"]),
    ("hubbub-cluster", Reach::Anywhere, &["ractor", "axum", "sqlx"]),
    ("hubbub-actors", Reach::Direct, &["sqlx"]),
    ("hubbub-actors", Reach::Anywhere, &["axum", "hyper", "quinn", "openraft"]),
    ("hubbub-client", Reach::Anywhere, &["ractor", "axum", "sqlx"]),
];

/// `(crate, the crates of ours that it may name)`. Those of tests and benches are free.
const OURS: [(&str, &[&str]); 5] = [
    ("hubbub-protocol", &[]),
    ("hubbub-storage", &["hubbub-protocol"]),
    ("hubbub-cluster", &["hubbub-protocol"]),
    ("hubbub-actors", &["hubbub-protocol", "hubbub-storage"]),
    ("hubbub-client", &["hubbub-protocol"]),
];

type Graph = BTreeMap<String, BTreeSet<String>>;

/// Dependencies that the layering rules out.
pub(crate) fn broken() -> Vec<String> {
    let graph = graph();
    let mut findings = Vec::new();
    for (name, reach, forbidden) in RULES {
        let known = known_to(&graph, name, reach);
        findings.extend(
            forbidden.iter().filter(|f| known.contains(**f)).map(|f| format!("{name} knows {f} ({reach:?})")),
        );
    }
    for (name, allowed) in OURS {
        let ours = known_to(&graph, name, Reach::Anywhere).into_iter().filter(|n| n.starts_with("hubbub"));
        findings.extend(ours.filter(|n| !allowed.contains(&n.as_str())).map(|n| format!("{name} knows {n}")));
    }
    findings
}

fn known_to(graph: &Graph, name: &str, reach: Reach) -> BTreeSet<String> {
    let direct = graph.get(name).unwrap_or_else(|| panic!("{name} is a package of the workspace")).clone();
    match reach {
        Reach::Direct => direct,
        Reach::Anywhere => {
            let mut known = BTreeSet::new();
            let mut open: Vec<String> = direct.into_iter().collect();
            while let Some(next) = open.pop() {
                if known.insert(next.clone()) {
                    open.extend(graph.get(&next).into_iter().flatten().cloned());
                }
            }
            known
        }
    }
}

/// Each package's dependencies by name, versions of one name taken together, for the machine the test runs on.
fn graph() -> Graph {
    let metadata = cargo_metadata();
    let name_of: BTreeMap<&str, &str> =
        array(&metadata, "packages").map(|p| (text(p, "id"), text(p, "name"))).collect();
    let mut graph = Graph::new();
    for node in array(&metadata["resolve"], "nodes") {
        let dependencies =
            array(node, "deps").filter(|d| is_shipped(d)).map(|d| name_of[text(d, "pkg")].to_owned());
        graph.entry(name_of[text(node, "id")].to_owned()).or_default().extend(dependencies);
    }
    graph
}

fn is_shipped(dependency: &Value) -> bool {
    array(dependency, "dep_kinds").any(|kind| kind["kind"] != "dev")
}

fn cargo_metadata() -> Value {
    let host = target_of_this_machine();
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked", "--offline", "--filter-platform", &host])
        .current_dir(root())
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("cargo metadata prints JSON")
}

fn target_of_this_machine() -> String {
    let output = Command::new("rustc").arg("-vV").current_dir(root()).output().expect("rustc runs");
    let version = String::from_utf8(output.stdout).expect("rustc prints UTF-8");
    version.lines().find_map(|line| line.strip_prefix("host: ")).expect("rustc tells its host").to_owned()
}

fn array<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    value[key].as_array().into_iter().flatten()
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

#[test]
fn what_comes_in_through_others_is_known_too() {
    let edge = |from: &str, to: &str| (from.to_owned(), BTreeSet::from([to.to_owned()]));
    let graph = Graph::from([edge("a", "b"), edge("b", "c")]);
    assert!(known_to(&graph, "a", Reach::Anywhere).contains("c"));
    assert!(!known_to(&graph, "a", Reach::Direct).contains("c"));
}
