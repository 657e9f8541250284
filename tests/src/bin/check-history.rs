//! Checks recorded histories: `check-history FILE…`. The files of one run are read as one history.
//!
//! Prints each broken promise, then one line that counts; ends with 1 when there is a finding, 2 when a file cannot be
//! read.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command line tool")]

use std::process::ExitCode;

use hubbub_tests::history::{check, read};

fn main() -> ExitCode {
    let mut records = Vec::new();
    for file in std::env::args().skip(1) {
        let text = std::fs::read_to_string(&file).map_err(|error| error.to_string());
        match text.and_then(|text| read(&text)) {
            Ok(more) => records.extend(more),
            Err(error) => {
                eprintln!("{file}: {error}");
                return ExitCode::from(2);
            }
        }
    }
    let findings = check(&records);
    findings.iter().for_each(|finding| println!("{finding}"));
    println!("{} records, {} findings", records.len(), findings.len());
    ExitCode::from(u8::from(!findings.is_empty()))
}
