//! Archives for tests: real ones where they are, and made-up ones.

use std::{
    fs::File,
    io::{BufRead, BufReader},
    path::PathBuf,
};

use flate2::read::MultiGzDecoder;
use serde_json::{Value, json};

/// Where real archives are: `$HUBBUB_CORPORA`, or beside the repository.
#[must_use]
pub fn corpora() -> Option<PathBuf> {
    let near = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/data");
    let folder = std::env::var_os("HUBBUB_CORPORA").map_or(near, PathBuf::from);
    [folder.join("chat"), folder].into_iter().find(|folder| folder.join("small.jsonl.gz").is_file())
}

/// The lines of a real archive that `wanted` takes, at most `most`; none where there are no real ones.
///
/// # Panics
/// When the archive is there and cannot be read.
#[must_use]
pub fn real(name: &str, most: usize, wanted: impl Fn(&Value) -> bool) -> Option<Vec<Value>> {
    let file = File::open(corpora()?.join(name)).expect("a readable archive");
    let lines = BufReader::new(MultiGzDecoder::new(file)).lines();
    let lines = lines.map(|line| serde_json::from_str(&line.expect("UTF-8")).expect("JSON"));
    Some(lines.filter(wanted).take(most).collect())
}

/// An archive of so many lines in four rooms by twenty people, with answers, threads, reactions and a
/// text that is longer than a client may send.
#[must_use]
pub fn made_up(lines: usize) -> Vec<Value> {
    let line = |number: usize| {
        let mut line = json!({
            "id": format!("up:{number:06}"),
            "room": format!("room {}", number * number % 4),
            "user": format!("Person {}", number * 7 % 20),
            "ts": format!("2020-01-01T{:02}:{:02}:{:02}Z", number / 3_600, number / 60 % 60, number % 60),
            "text": format!("message {number}"),
        });
        let fields = line.as_object_mut().expect("an object");
        if number % 97 == 96 {
            fields.insert("text".into(), "long ".repeat(2_000).into());
        }
        if number % 5 == 4 {
            fields.insert("reply_to".into(), format!("up:{:06}", number - 4).into());
        }
        if number.is_multiple_of(6) {
            fields.insert("thread".into(), format!("t{}", number % 48).into());
        }
        if number.is_multiple_of(9) {
            let reactions = json!([{"emoji": "tada", "user": "Person 1"}, {"emoji": "+1", "user": "Person 2"}]);
            fields.insert("reactions".into(), reactions);
        }
        line
    };
    (0..lines).map(line).collect()
}

/// The lines as a file holds them.
#[must_use]
pub fn written(lines: &[Value]) -> Vec<u8> {
    lines.iter().flat_map(|line| format!("{line}\n").into_bytes()).collect()
}
