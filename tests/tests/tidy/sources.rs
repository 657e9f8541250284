//! What each file looks like on its own: its page, its length, and nothing in it that belongs to one machine.

use crate::repository::Repository;

/// Ours are mostly 60 to 250 lines; past this a second idea has moved in.
const LINES_MAX: usize = 400;

/// Written in halves, since this file is read by its own check.
const REGISTRY_HOSTS: [&str; 5] = [
    concat!("index.", "crates.io"),
    concat!("static.", "crates.io"),
    concat!("registry.", "npmjs.org"),
    concat!("files.", "pythonhosted.org"),
    concat!("deb.", "debian.org"),
];
const MACHINE_FOLDERS: [&str; 2] = [concat!("/", "work/"), concat!("/", "root/")];

/// Source files whose first line is not the start of a page.
pub(crate) fn without_a_page(repository: &Repository) -> Vec<String> {
    repository
        .ending(&[".rs"])
        .filter(|path| !has_page(&repository.text(path).unwrap_or_default()))
        .map(str::to_owned)
        .collect()
}

/// A page is written in the file, or is the README beside it.
fn has_page(text: &str) -> bool {
    text.starts_with("//!") || text.starts_with("#![doc = include_str!(")
}

/// Source files with more lines than a reader takes in at once.
pub(crate) fn too_long(repository: &Repository) -> Vec<String> {
    let lengths =
        repository.ending(&[".rs"]).map(|path| (path, repository.text(path).unwrap_or_default().lines().count()));
    lengths.filter_map(|(path, lines)| length_finding(path, lines)).collect()
}

fn length_finding(path: &str, lines: usize) -> Option<String> {
    (lines > LINES_MAX).then(|| format!("{path}: {lines} lines, at most {LINES_MAX}"))
}

/// Lines that name a folder of one machine or the host of a package registry. The lock file names its registry.
pub(crate) fn places_of_one_machine(repository: &Repository) -> Vec<String> {
    let texts = repository
        .all()
        .filter(|path| *path != "Cargo.lock")
        .filter_map(|path| repository.text(path).map(|text| (path, text)));
    let mut findings = Vec::new();
    for (path, text) in texts {
        for (index, line) in text.lines().enumerate() {
            if let Some(place) = place_in(line) {
                findings.push(format!("{path}:{}: {place}", index + 1));
            }
        }
    }
    findings
}

fn place_in(line: &str) -> Option<&'static str> {
    let host = REGISTRY_HOSTS.into_iter().find(|host| line.contains(host));
    host.or_else(|| MACHINE_FOLDERS.into_iter().find(|folder| starts_a_path(line, folder)))
}

/// Whether `folder` stands where an absolute path begins: `a/x/b` is a relative path through a folder of that name.
fn starts_a_path(line: &str, folder: &str) -> bool {
    line.match_indices(folder).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        before.is_none_or(|c| !(c.is_alphanumeric() || "._-/}~*".contains(c)))
    })
}

#[test]
fn an_absolute_folder_is_told_from_a_part_of_a_path() {
    let folder = MACHINE_FOLDERS[0];
    assert!(starts_a_path(&format!("cd {folder}main"), folder));
    assert!(starts_a_path(&format!("\"{folder}main\""), folder));
    assert!(!starts_a_path(&format!("src{folder}main"), folder));
    assert_eq!(place_in(&format!("https://{}/x", REGISTRY_HOSTS[2])), Some(REGISTRY_HOSTS[2]));
    assert_eq!(place_in("cargo add serde"), None);
}

#[test]
fn a_file_may_be_as_long_as_the_bound_and_no_longer() {
    assert!(length_finding("any/file.rs", LINES_MAX + 1).is_some());
    assert!(length_finding("any/file.rs", LINES_MAX).is_none());
}
