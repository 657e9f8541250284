//! What a replay did, and what a client cannot do and so was left out.

use serde::Serialize;

/// Counts of a replay.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Tally {
    /// Lines dealt with, titles among them.
    pub lines: u64,
    /// Messages sent; a text in parts counts once.
    pub messages: u64,
    /// Messages that had been sent before, by the key they have from the archive.
    pub repeated: u64,
    /// Reactions made.
    pub reactions: u64,
    /// Threads begun.
    pub threads: u64,
    /// Messages longer than a client may send, sent in parts.
    pub split: u64,
    /// Messages without text, such as deleted ones: left out.
    pub empty: u64,
    /// Messages the node refused: left out.
    pub refused: u64,
    /// Reactions of people who are not named, or that the node refused: left out.
    pub reactions_left_out: u64,
    /// Messages sent without what they answer: it is in another room, or was left out.
    pub answers_left_out: u64,
    /// Titles of threads that had begun before their title was read: left out.
    pub titles_left_out: u64,
    /// Why the first refused one was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_refusal: Option<String>,
}

impl Tally {
    /// Notes why something was refused, if it is the first.
    pub fn refusal(&mut self, why: impl FnOnce() -> String) {
        self.first_refusal.get_or_insert_with(why);
    }

    /// What was left out or changed, in words; nothing when all was played as it was.
    #[must_use]
    pub fn left_out(&self) -> Vec<String> {
        let counts = [
            (self.split, "long texts sent in parts"),
            (self.empty, "messages without text left out"),
            (self.refused, "messages refused"),
            (self.reactions_left_out, "reactions left out"),
            (self.answers_left_out, "messages sent without what they answer"),
            (self.titles_left_out, "titles left out"),
        ];
        let told = counts.into_iter().filter(|(count, _)| *count > 0);
        told.map(|(count, what)| format!("{count} {what}")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_left_out_is_told_and_the_first_reason_stands() {
        let mut tally = Tally { messages: 7, empty: 2, ..Tally::default() };
        assert_eq!(tally.left_out(), ["2 messages without text left out"]);
        tally.refusal(|| "no room".to_owned());
        tally.refusal(|| unreachable!("the first stands"));
        assert_eq!(tally.first_refusal.as_deref(), Some("no room"));
    }
}
