//! Links of the Markdown files to other files and headings of the repository.
//!
//! A crate's README is also its rustdoc page: links to items in it (`event::Event`) are rustdoc's to check.

use crate::repository::Repository;
use std::path::{Component, Path, PathBuf};

/// Relative links that lead nowhere.
pub(crate) fn dead(repository: &Repository) -> Vec<String> {
    let mut findings = Vec::new();
    for path in repository.ending(&[".md"]) {
        let text = repository.text(path).unwrap_or_default();
        for target in targets(&text).iter().filter(|target| is_ours(target)) {
            if !leads_somewhere(repository, path, &text, target) {
                findings.push(format!("{path}: {target}"));
            }
        }
    }
    findings
}

fn leads_somewhere(repository: &Repository, from: &str, from_text: &str, target: &str) -> bool {
    let (file, heading) = target.split_once('#').unwrap_or((target, ""));
    let path = beside(from, file);
    let text = if file.is_empty() {
        Some(from_text.to_owned())
    } else if !repository.has(&path) {
        return false;
    } else {
        repository.text(&path.to_string_lossy())
    };
    heading.is_empty() || text.is_some_and(|text| slugs(&text).iter().any(|slug| slug == heading))
}

/// The path that `target` means in the file `from`, without `.` and `..`.
fn beside(from: &str, target: &str) -> PathBuf {
    let mut path = Path::new(from).parent().unwrap_or(Path::new("")).to_owned();
    for part in Path::new(target).components() {
        match part {
            Component::ParentDir => {
                path.pop();
            }
            Component::Normal(name) => path.push(name),
            Component::CurDir | Component::RootDir | Component::Prefix(_) => {}
        }
    }
    path
}

/// A link into the repository, and neither an address nor an item of a crate.
fn is_ours(target: &str) -> bool {
    let is_address = target.contains("://") || target.starts_with("mailto:");
    let is_item = !target.contains(['/', '.', '#']) && target != "LICENSE" || target.contains("::");
    !is_address && !is_item
}

/// What stands in `](...)` outside code.
fn targets(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for line in outside_fences(text) {
        let prose: String = line.split('`').step_by(2).collect();
        for rest in prose.split("](").skip(1) {
            let target = rest.split([')', ' ']).next().unwrap_or_default();
            found.push(target.to_owned());
        }
    }
    found
}

/// The anchors that the headings of a page get: lower case, hyphens for blanks, other signs left out.
fn slugs(text: &str) -> Vec<String> {
    outside_fences(text)
        .filter(|line| line.starts_with('#'))
        .map(|line| slug(line.trim_start_matches('#').trim()))
        .collect()
}

fn slug(heading: &str) -> String {
    heading
        .to_lowercase()
        .chars()
        .filter(|c| c.is_alphanumeric() || " -_".contains(*c))
        .map(|c| if c == ' ' { '-' } else { c })
        .collect()
}

fn outside_fences(text: &str) -> impl Iterator<Item = &str> {
    let mut in_fence = false;
    text.lines().filter(move |line| {
        let is_fence = line.trim_start().starts_with("```");
        in_fence ^= is_fence;
        !in_fence && !is_fence
    })
}

#[test]
fn links_are_found_in_prose_and_not_in_code() {
    let text = "see [a](b.md#c) and `[x](y.md)`\n```\n[z](w.md)\n```\n[`Seq`](ids::Seq)";
    assert_eq!(targets(text), ["b.md#c", "ids::Seq"]);
    assert!(is_ours("b.md#c"));
    assert!(!is_ours("ids::Seq"));
    assert!(!is_ours("https://example.org/a.md"));
}

#[test]
fn a_heading_is_known_by_its_anchor() {
    assert_eq!(
        slugs("# The client contract, version 1\n## `rate_limited`"),
        ["the-client-contract-version-1", "rate_limited"]
    );
    assert_eq!(beside("docs/decisions/README.md", "../protocol.md"), Path::new("docs/protocol.md"));
}
