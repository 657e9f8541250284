//! The reference: every key with its meaning, range, default and variable, as a file to begin with.
//!
//! Each key stands there commented out with its default, so the file as it is changes nothing.

use std::fmt::Write;

use serde_json::json;

use super::{
    NodeConfig,
    keys::{KEYS, Key, TABLES},
};

const HEAD: &str = "\
# Every key of Hubbub's configuration, with its meaning, its range, the environment variable that sets
# it, and its default. Written by `hubbub config reference`; a line without its `#` sets the key.
#
# A flag of the command line goes ahead of the environment, and that ahead of this file.
# Times are written \"250ms\", \"5s\", \"15min\", \"2h\", \"30 days\", or several of them: \"1h 30min\".
# Sizes are written \"64 KiB\", \"4 MiB\", \"1 GiB\"; \"kB\", \"MB\" and \"GB\" are powers of ten.
#
#   hubbub serve --config hubbub.toml          reads this file
#   hubbub config check --config hubbub.toml   says what is wrong with it
#   hubbub config show --config hubbub.toml    shows each value, and where it comes from
";

/// The reference as TOML.
#[must_use]
pub fn toml() -> String {
    let defaults = NodeConfig::default();
    let mut text = HEAD.to_owned();
    for (table, page) in TABLES {
        text.push('\n');
        page.iter().for_each(|line| push(&mut text, line));
        let _ = writeln!(text, "[{table}]");
        for key in KEYS.iter().filter(|key| table_of(key) == *table) {
            text.push('\n');
            key.meaning.iter().for_each(|line| push(&mut text, line));
            push(&mut text, &format!(" Accepts {}.", (key.accepts)()));
            if let Some((name, unit)) = key.number {
                push(&mut text, &format!(" Also as `{}`, with a plain number of {unit}.", own_name(name)));
            }
            push(&mut text, &format!(" Variable {}.", key.variable()));
            let _ = writeln!(text, "#{} = {}", own_name(key.name), key.shown(&defaults));
        }
    }
    text
}

/// The reference for programs.
#[must_use]
pub fn json() -> serde_json::Value {
    let defaults = NodeConfig::default();
    let keys = KEYS.iter().map(|key| {
        json!({
            "key": key.name,
            "meaning": key.meaning.iter().map(|line| line.trim()).collect::<Vec<_>>().join(" "),
            "accepts": (key.accepts)(),
            "default": key.shown_json(&defaults),
            "variable": key.variable(),
            "number": key.number.map(|(name, unit)| json!({"key": name, "unit": unit})),
        })
    });
    json!({ "keys": keys.collect::<Vec<_>>() })
}

/// Adds a line of a doc comment, which begins with its blank.
fn push(text: &mut String, line: &str) {
    let _ = writeln!(text, "#{line}");
}

fn table_of(key: &Key) -> &str {
    key.name.split_once('.').map_or(key.name, |(table, _)| table)
}

fn own_name(name: &str) -> &str {
    name.split_once('.').map_or(name, |(_, own)| own)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Loaded;

    fn read(text: &str) -> Result<NodeConfig, String> {
        let folder = tempfile::TempDir::new().expect("a temporary folder");
        let file = folder.path().join("hubbub.toml");
        std::fs::write(&file, text).expect("a writable folder");
        Loaded::of(Some(&file), Vec::new()).finish().map_err(|error| error.to_string())
    }

    /// The reference with each key set.
    fn live() -> String {
        let is_key =
            |line: &&str| line.starts_with('#') && line.as_bytes().get(1).is_some_and(u8::is_ascii_lowercase);
        toml().lines().map(|line| if is_key(&line) { &line[1..] } else { line }).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn the_reference_changes_nothing_and_its_lines_are_the_defaults() {
        assert_eq!(read(&toml()), Ok(NodeConfig::default()));
        assert_eq!(read(&live()), Ok(NodeConfig::default()));
        assert_eq!(
            live().lines().filter(|line| line.contains(" = ") && !line.starts_with('#')).count(),
            KEYS.len()
        );
    }

    #[test]
    fn every_key_stands_in_the_reference_with_its_variable() {
        let (toml, json) = (toml(), json());
        for key in KEYS {
            assert!(toml.contains(&key.variable()), "{}", key.name);
            assert!(json["keys"].as_array().expect("a list").iter().any(|told| told["key"] == key.name));
        }
    }

    #[test]
    fn the_example_file_is_what_the_program_prints() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/hubbub.example.toml");
        let example = std::fs::read_to_string(file).expect("deploy/hubbub.example.toml is there");
        assert!(example == toml(), "write it anew: hubbub config reference > deploy/hubbub.example.toml");
    }
}
