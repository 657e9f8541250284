//! Rows and texts as PostgreSQL has them.
//!
//! Its texts have no NUL character. One that comes in is kept as U+E000 `0`, and U+E000 itself, which
//! no script uses, as U+E000 `1`: so every text comes back as it went in, and equal stays equal.

use std::borrow::Cow;

use sqlx::{Row, postgres::PgRow};

use crate::sql::columns::Columns;

/// What stands before a `0` or `1` that stands for something else.
const MARK: char = '\u{E000}';

/// A text as it is stored.
pub(crate) fn stored_text(text: &str) -> Cow<'_, str> {
    if !text.contains(['\0', MARK]) {
        return Cow::Borrowed(text);
    }
    let mut stored = String::with_capacity(text.len() + 8);
    for letter in text.chars() {
        match letter {
            '\0' => stored.extend([MARK, '0']),
            MARK => stored.extend([MARK, '1']),
            other => stored.push(other),
        }
    }
    Cow::Owned(stored)
}

/// The text that was stored.
pub(super) fn read_text(stored: String) -> String {
    if !stored.contains(MARK) {
        return stored;
    }
    let mut letters = stored.chars();
    let mut text = String::with_capacity(stored.len());
    while let Some(letter) = letters.next() {
        match letter {
            MARK => text.push(if letters.next() == Some('0') { '\0' } else { MARK }),
            other => text.push(other),
        }
    }
    text
}

impl Columns for PgRow {
    fn maybe_number(&self, at: usize) -> Option<i64> {
        self.get(at)
    }
    fn maybe_text(&self, at: usize) -> Option<String> {
        self.get::<Option<String>, _>(at).map(read_text)
    }
    fn maybe_bytes(&self, at: usize) -> Option<&[u8]> {
        self.get(at)
    }
    fn flag(&self, at: usize) -> bool {
        self.get(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_comes_back_and_different_ones_stay_different() {
        let texts = ["", "plain", "a\0b", "\0", "\u{E000}", "\u{E000}0", "\u{E000}1", "\0\u{E000}\0"];
        let kept: Vec<String> = texts.iter().map(|text| stored_text(text).into_owned()).collect();
        assert!(kept.iter().all(|text| !text.contains('\0')), "{kept:?}");
        for (text, kept) in texts.iter().zip(&kept) {
            assert_eq!(read_text(kept.clone()), **text);
            assert_eq!(texts.iter().filter(|other| stored_text(other) == kept.as_str()).count(), 1);
        }
    }
}
