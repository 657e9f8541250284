//! Every error code a client can be sent has a section of its own in docs/errors.md, which tells the
//! same status as the code does.

use hubbub_protocol::error::ErrorCode;

use crate::repository::Repository;

const PAGE: &str = "docs/errors.md";

/// Codes without a section, or with one that tells something else.
pub(crate) fn without_a_section(repository: &Repository) -> Vec<String> {
    let page = repository.text(PAGE).expect("docs/errors.md is there");
    let explained = |code: ErrorCode| section(&page, code.as_str()).contains(&promise(code).as_str());
    let missing = ErrorCode::ALL.iter().copied().filter(|code| !explained(*code));
    missing.map(|code| format!("{PAGE}: a section `{code}` with the line \"{}\"", promise(code))).collect()
}

/// The line that each section starts with.
fn promise(code: ErrorCode) -> String {
    format!("HTTP {}, {}.", code.status(), if code.retryable() { "retryable" } else { "final" })
}

/// The lines from a code's heading to the next heading.
fn section<'a>(page: &'a str, code: &str) -> Vec<&'a str> {
    let heading = format!("### `{code}`");
    let below = page.lines().skip_while(|line| *line != heading).skip(1);
    below.take_while(|line| !line.starts_with('#')).collect()
}

#[test]
fn a_section_ends_at_the_next_heading() {
    let page = "### `busy`\n\nHTTP 503, retryable.\n\n### `empty`\n\nHTTP 422, final.\n";
    assert!(section(page, "busy").contains(&promise(ErrorCode::Busy).as_str()));
    assert!(!section(page, "busy").contains(&"HTTP 422, final."));
    assert!(section(page, "moving").is_empty());
}
