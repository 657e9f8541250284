//! The tidy test: what the repository promises about itself, held by reading its files.
//!
//! # Invariants
//!
//! * Each check is a function from the tree to a list of findings; a finding is one line that names the place.
//! * A test asserts that the list is empty and prints all of it, so one run shows everything there is to mend.
//! * The tree is what git would commit: tracked files, and new ones that no ignore rule covers.

#![allow(clippy::unwrap_used, reason = "a test stops at the first thing that is not as it must be")]

mod asyncapi;
mod contract;
mod error_codes;
mod layers;
mod links;
mod repository;
mod sources;

use repository::Repository;

fn assert_none(findings: &[String], promise: &str) {
    assert!(findings.is_empty(), "{promise}; {} findings:\n  {}\n", findings.len(), findings.join("\n  "));
}

#[test]
fn each_source_file_opens_with_its_page() {
    assert_none(&sources::without_a_page(&Repository::open()), "a .rs file starts with `//!`");
}

#[test]
fn no_source_file_is_too_long_to_read() {
    assert_none(&sources::too_long(&Repository::open()), "a .rs file holds one idea");
}

#[test]
fn no_file_names_a_machine_or_a_registry() {
    assert_none(&sources::places_of_one_machine(&Repository::open()), "the tree is the same on every machine");
}

#[test]
fn no_link_between_documents_is_dead() {
    assert_none(&links::dead(&Repository::open()), "a relative link leads to a file and a heading that exist");
}

#[test]
fn each_error_code_has_its_section() {
    assert_none(&error_codes::without_a_section(&Repository::open()), "docs/errors.md explains every code");
}

#[test]
fn each_word_of_the_wire_is_in_the_published_contract() {
    assert_none(&contract::unpublished(&Repository::open()), "docs/protocol.md is complete");
}

#[test]
fn the_description_of_the_socket_knows_what_the_code_knows() {
    assert_none(&asyncapi::unlike_the_code(&Repository::open()), "docs/asyncapi.yaml is the code's contract");
}

#[test]
fn no_crate_knows_what_its_layer_may_not_know() {
    assert_none(&layers::broken(), "layers of ARCHITECTURE.md");
}
