//! docs/asyncapi.yaml describes every request, push, event, error code and close code of the socket that
//! the code knows, and none that it does not.
//!
//! The file is read line by line: a word of the wire stands in it as the `const` of `op`, `ev` or `type`,
//! or as an entry of a list.

use std::collections::BTreeSet;

use hubbub_protocol::{error::ErrorCode, event::EventKind};

use crate::{contract, repository::Repository};

const PAGE: &str = "docs/asyncapi.yaml";

type Words = BTreeSet<String>;

/// Words that stand in one of the two alone.
pub(crate) fn unlike_the_code(repository: &Repository) -> Vec<String> {
    let page = repository.text(PAGE).expect("docs/asyncapi.yaml is there");
    let source = |path: &str| repository.text(path).expect(path);
    let closes = source("protocol/src/error.rs");
    let mut findings = Vec::new();
    let mut compare = |what: &str, described: Words, known: Words| {
        assert!(known.len() > 5, "{what} of the code are found: {known:?}");
        let missing = known.difference(&described).map(|word| format!("{PAGE}: no {what} `{word}`"));
        let stale =
            described.difference(&known).map(|word| format!("{PAGE}: {what} `{word}` is unknown to the code"));
        findings.extend(missing.chain(stale));
    };
    compare(
        "request",
        constants(&page, "op"),
        contract::ops(&source("protocol/src/op/read.rs")).into_iter().collect(),
    );
    // `room` is the push that carries events.
    let pushes = constants(&page, "ev").into_iter().filter(|ev| ev != "room").collect();
    compare("push", pushes, contract::pushes(&source("protocol/src/push.rs")).into_iter().collect());
    let events = EventKind::ALL.iter().map(|kind| kind.as_str().to_owned()).collect();
    compare("event", constants(&page, "type"), events);
    let codes = ErrorCode::ALL.iter().map(|code| code.as_str().to_owned()).collect();
    compare("error code", listed(&page, "    ErrorCode:", "        - "), codes);
    compare("close code", listed(&page, "    x-close-codes:", "      "), close_codes(&closes));
    findings
}

/// The words of lines like `op: {const: send}`.
fn constants(page: &str, property: &str) -> Words {
    let begins = format!("{property}: {{const: ");
    let words = page.lines().filter_map(|line| line.trim_start().strip_prefix(&begins)?.strip_suffix('}'));
    words.map(str::to_owned).collect()
}

/// The words of the lines below `heading` that begin with `indent`, up to a line less indented than it.
fn listed(page: &str, heading: &str, indent: &str) -> Words {
    let depth = heading.len() - heading.trim_start().len();
    let below = page.lines().skip_while(|line| *line != heading).skip(1);
    let below = below.take_while(|line| line.len() - line.trim_start().len() > depth);
    let words = below.filter_map(|line| line.strip_prefix(indent));
    words
        .filter(|word| !word.starts_with(' '))
        .map(|word| word.split(':').next().unwrap_or(word).trim_matches('"').to_owned())
        .collect()
}

/// The numbers of `enum CloseCode`.
fn close_codes(source: &str) -> Words {
    let body = source.lines().skip_while(|line| !line.starts_with("pub enum CloseCode ")).skip(1);
    let numbers =
        body.take_while(|line| *line != "}").filter_map(|line| line.split_once(" = ")?.1.strip_suffix(','));
    numbers.map(str::to_owned).collect()
}

#[test]
fn words_are_found_where_the_description_has_them() {
    let page = "    x-close-codes:\n      \"1000\": bye\n      4001: \"bad: frame\"\n    messages:\n      A: 1\n    ErrorCode:\n      \
                type: string\n      enum:\n        - busy\n        - empty\n";
    let words = |listed: Words| listed.into_iter().collect::<Vec<_>>();
    assert_eq!(words(listed(page, "    x-close-codes:", "      ")), ["1000", "4001"]);
    assert_eq!(words(listed(page, "    ErrorCode:", "        - ")), ["busy", "empty"]);
    assert_eq!(words(constants("  op: {const: send}\n  ev: {const: gap}\n", "op")), ["send"]);
    assert_eq!(words(close_codes("pub enum CloseCode {\n    /// Doc.\n    Normal = 1000,\n}\n")), ["1000"]);
}
