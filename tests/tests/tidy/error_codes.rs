//! Every error code a client can be sent has a section of its own in docs/errors.md, and every section has a code.

use crate::repository::Repository;

const CODES: &str = "protocol/src/error.rs";
const PAGE: &str = "docs/errors.md";

/// Codes without a section.
pub(crate) fn without_a_section(repository: &Repository) -> Vec<String> {
    let source = repository
        .text(CODES)
        .expect("the error codes are in protocol/src/error.rs");
    let page = repository.text(PAGE).expect("docs/errors.md is there");
    let codes = codes(&source);
    assert!(!codes.is_empty(), "{CODES} has an enum that ends in `Code`");
    codes
        .into_iter()
        .filter(|code| !has_section(&page, code))
        .map(|code| format!("{PAGE}: `{code}`"))
        .collect()
}

fn has_section(page: &str, code: &str) -> bool {
    page.lines()
        .any(|line| line.starts_with('#') && line.ends_with(&format!(" `{code}`")))
}

/// The variants of the first public enum named `…Code`, as they are written on the wire.
fn codes(source: &str) -> Vec<String> {
    source
        .lines()
        .skip_while(|line| !(line.starts_with("pub enum ") && line.ends_with("Code {")))
        .skip(1)
        .take_while(|line| !line.starts_with('}'))
        .map(str::trim)
        .filter(|line| line.starts_with(char::is_uppercase))
        .map(|line| snake_case(line.split([',', ' ', '(', '{']).next().unwrap_or_default()))
        .collect()
}

fn snake_case(name: &str) -> String {
    let mut code = String::new();
    for letter in name.chars() {
        if letter.is_uppercase() && !code.is_empty() {
            code.push('_');
        }
        code.extend(letter.to_lowercase());
    }
    code
}

#[test]
fn codes_are_read_as_the_wire_has_them() {
    let source = "pub enum ErrorCode {\n    /// Doc.\n    BadRequest,\n    #[x]\n    Busy,\n}\n";
    assert_eq!(codes(source), ["bad_request", "busy"]);
    assert!(has_section("## `busy`", "busy"));
    assert!(!has_section("`busy` in passing", "busy"));
}
