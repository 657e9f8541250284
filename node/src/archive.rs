//! Archives: communities as lines of JSON, taken in and written out.
//!
//! An archive is a file of lines, plain or gzipped, one message each ([`line::Line`]) or one title of a
//! thread ([`line::Title`]). Importing turns it into the log and facts that would be there if it had
//! happened here, and exporting an imported community gives back the same bytes.
//!
//! * [`line`](mod@line): the form of a line. [`source`]: bytes into numbered lines.
//! * [`plan`]: lines and what is known of them, into what is to be stored (pure). [`group`]: a plan for
//!   one room, into events (pure). [`importer`]: the shell around both.
//! * [`export`]: logs into lines. [`sort`]: lines into order, in bounded memory.
//!
//! # Invariants
//!
//! * A line's message is stored together with the note that it was, so a line is taken in once,
//!   however often and wherever an import was broken off.
//! * What an archive says and the product has no place for stays with the message, so nothing is lost.

pub mod community;
pub mod export;
pub mod group;
pub mod importer;
pub mod known;
pub mod line;
pub mod names;
pub mod plan;
pub mod progress;
pub mod reactions;
pub mod sort;
pub mod source;
pub mod written;

#[cfg(test)]
mod tests;

/// The name under which a thread of an archive is noted: threads are named per room.
#[must_use]
pub fn thread_name(room: &str, thread: &str) -> String {
    format!("{room}\n{thread}")
}
