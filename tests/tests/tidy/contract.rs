//! docs/protocol.md names every word of the wire: ops, pushes, events and rights.
//!
//! Events and rights are asked of the protocol crate itself. Ops and pushes are read from its source,
//! where each stands on a line of its own.

use hubbub_protocol::{event::EventKind, permissions::Permissions};

use crate::repository::Repository;

const PAGE: &str = "docs/protocol.md";

/// Words of the wire that the published contract leaves out.
pub(crate) fn unpublished(repository: &Repository) -> Vec<String> {
    let page = repository.text(PAGE).expect("docs/protocol.md is there");
    let ops = ops(&repository.text("protocol/src/op/read.rs").expect("ops are in protocol/src/op/read.rs"));
    let pushes = pushes(&repository.text("protocol/src/push.rs").expect("pushes are in protocol/src/push.rs"));
    assert!(ops.iter().any(|op| op == "send"), "ops are found: {ops:?}");
    assert!(pushes.iter().any(|push| push == "gap"), "pushes are found: {pushes:?}");

    let mut findings = Vec::new();
    let events = EventKind::ALL.iter().map(|kind| kind.as_str().to_owned());
    for word in ops.into_iter().chain(pushes).chain(events) {
        if !page.contains(&format!("`{word}`")) && !page.contains(&format!("\"ev\":\"{word}\"")) {
            findings.push(format!("{PAGE}: `{word}`"));
        }
    }
    for (right, name) in Permissions::NAMES {
        let bit = right.0.trailing_zeros();
        if !page.contains(&format!("| {bit} | {name} |")) {
            findings.push(format!("{PAGE}: bit {bit} is {name}"));
        }
    }
    findings
}

/// The arms `"send" =>` of the function that reads requests.
pub(crate) fn ops(source: &str) -> Vec<String> {
    let body = source.lines().skip_while(|line| !line.contains("fn read(op: &str")).skip(1);
    body.take_while(|line| *line != "    }")
        .filter_map(|line| line.trim_start().strip_prefix('"')?.split_once("\" =>"))
        .map(|(op, _)| op.to_owned())
        .collect()
}

/// The variants of `enum Push`, in the lower case they have on the wire.
pub(crate) fn pushes(source: &str) -> Vec<String> {
    let body = source.lines().skip_while(|line| !line.starts_with("pub enum Push ")).skip(1);
    body.take_while(|line| *line != "}")
        .filter_map(|line| line.strip_prefix("    "))
        .filter(|line| line.starts_with(char::is_uppercase))
        .map(|line| line.chars().take_while(|c| c.is_alphanumeric()).collect::<String>().to_lowercase())
        .collect()
}

#[test]
fn words_are_found_where_the_source_has_them() {
    let source = "    fn read(op: &str) {\n        \"send\" => 1,\n        other => 2,\n    }\n    \"no\" => 3\n";
    assert_eq!(ops(source), ["send"]);
    assert_eq!(
        pushes("pub enum Push {\n    /// Doc.\n    Gap { to: Seq },\n    Resumed,\n}\n"),
        ["gap", "resumed"]
    );
}
