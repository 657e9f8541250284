//! Holds what clients recorded of a run against what the product promises, after the run.
//!
//! A history is lines of JSON, one [`Record`] a line. The lines of one client stand in the order in which things
//! happened to it; how the lines of different clients lie among each other says nothing, so files may be joined end to
//! end. A client is one session over its successive connections. Keys are UUIDs that no two messages share.
//!
//! | `op` | fields besides `client`, `room` | written when |
//! |---|---|---|
//! | `send` | `key` | before a message is sent, and again before each repeat |
//! | `ack` | `key`, `seq` | its answer has come |
//! | `fail`, `unknown` | `key` | it was refused, or nobody answered; what became of it the log tells |
//! | `begin` | `seq` | the client follows the room, from after `seq` |
//! | `event` | `seq`, `key` or none | an event was handed on; events that are no message have no key |
//! | `gap` | `from`, `to` | the client was told that it was not sent these |
//! | `resume` | `seq` | a new connection goes on after `seq` |
//! | `read` | | before a read of history that runs to the room's head |
//! | `history` | `from`, `to`, `events`: `[seq, key]` | its answer: all messages of that range |
//! | `quiet` | | at the end, still following, when nothing more comes |
//! | `log` | `seq`, `key` or none | once for each event of the room, read at the end from the store |
//!
//! `ts`, in Unix milliseconds, may stand on any line; it is for people.
//!
//! # Invariants that are checked
//!
//! Numbered as in `docs/verification.md`: 3 what was acknowledged or seen stays; 4 seqs are dense and name one
//! event; 5 a key has one seq; 8 events come in order without an untold hole; 9 sends of one client to one room are
//! stored in the order sent; 10 a read begun after an ack contains it; 26 the same as 8 over a resume.
//!
//! This knows nothing of the product's crates, so that one mistake cannot be in both.

use std::fmt;

use serde::{Deserialize, Serialize};

mod check;

pub use check::check;

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the table of the page tells each")]
pub enum Op {
    Send,
    Ack,
    Fail,
    Unknown,
    Begin,
    Event,
    Gap,
    Resume,
    Read,
    History,
    Quiet,
    Log,
}

/// One line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// Whose it is. Lines of `log` have one as well: who read it.
    pub client: String,
    /// What happened.
    pub op: Op,
    /// In which room.
    pub room: String,
    /// See the page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// See the page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seq: Option<u64>,
    /// The first of a range.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<u64>,
    /// The last of a range.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<u64>,
    /// Messages of a range.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<(u64, String)>,
    /// When, in Unix milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ts: Option<u64>,
}

/// A promise that was broken.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// The invariant's number.
    pub invariant: u8,
    /// Who saw what.
    pub story: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "invariant {}: {}", self.invariant, self.story)
    }
}

/// Reads a history, all of it into memory: a line of 150 bytes takes about as much.
///
/// # Errors
/// The number of the line that is none, and why.
pub fn read(text: &str) -> Result<Vec<Record>, String> {
    let lines = (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty());
    lines
        .map(|(number, line)| serde_json::from_str(line).map_err(|error| format!("line {number}: {error}")))
        .collect()
}
