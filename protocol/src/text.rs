//! The text of a message: what is allowed, and whom it mentions.

use serde::{Deserialize, Serialize};

use crate::{
    error::{ErrorCode, Refusal},
    ids::UserId,
    limits::{MENTIONS_MAX, TEXT_BYTES_MAX, TEXT_CHARS_MAX},
};

/// A text that a client may send: 1 to 8,000 characters and at most 32 KiB, not white space only,
/// without NUL; kept byte for byte.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text(String);

impl Text {
    /// Judges `text` as the text of a message.
    ///
    /// # Errors
    /// `empty`, `too_long`, or `bad_request` for a NUL.
    pub fn parse(text: String) -> Result<Self, Refusal> {
        if text.len() > TEXT_BYTES_MAX || text.chars().count() > TEXT_CHARS_MAX {
            let message = format!("a text has at most {TEXT_CHARS_MAX} characters and {TEXT_BYTES_MAX} bytes");
            return Err(Refusal::new(ErrorCode::TooLong, message));
        }
        if text.contains('\0') {
            return Err(Refusal::field("text", "a text may not hold NUL"));
        }
        if text.trim().is_empty() {
            return Err(Refusal::new(ErrorCode::Empty, "there is nothing but white space in the text"));
        }
        Ok(Self(text))
    }

    /// The text itself.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Gives the text away.
    #[must_use]
    pub fn into_string(self) -> String {
        self.0
    }
}

/// Whom a text mentions, as the server read it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Mentions {
    /// `<@ID>`, in order of first appearance, at most 50.
    pub users: Vec<UserId>,
    /// `<@&ID>`, likewise.
    #[schema(value_type = Vec<String>)]
    pub roles: Vec<UserId>,
    /// `@everyone` or `@here`.
    pub everyone: bool,
}

impl Mentions {
    /// Reads the mentions out of `text`, in one pass over it.
    #[must_use]
    pub fn of(text: &str) -> Self {
        let mut mentions = Self::default();
        for (at, _) in text.match_indices("<@") {
            let (ids, rest) = match text[at + 2..].strip_prefix('&') {
                Some(rest) => (&mut mentions.roles, rest),
                None => (&mut mentions.users, &text[at + 2..]),
            };
            let Some(Ok(id)) = rest.get(..13).map(str::parse) else {
                continue;
            };
            if rest[13..].starts_with('>') && !ids.contains(&id) && ids.len() < MENTIONS_MAX {
                ids.push(id);
            }
        }
        mentions.everyone = ["@everyone", "@here"].iter().any(|word| has_word(text, word));
        mentions
    }
}

/// Whether `word` stands in `text` with no letter or digit on either side.
fn has_word(text: &str, word: &str) -> bool {
    text.match_indices(word).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let after = text[at + word.len()..].chars().next();
        !before.is_some_and(char::is_alphanumeric) && !after.is_some_and(char::is_alphanumeric)
    })
}

/// Checks a short line such as a name or a title: 1 to `chars_max` characters, no control characters.
///
/// # Errors
/// `bad_request` for `field`.
pub fn line(field: &str, text: String, chars_max: usize) -> Result<String, Refusal> {
    if text.trim().is_empty() {
        return Err(Refusal::field(field, format!("`{field}` may not be empty")));
    }
    optional_line(field, text, chars_max)
}

/// Like [`line()`], but may be empty.
///
/// # Errors
/// `bad_request` for `field`.
pub fn optional_line(field: &str, text: String, chars_max: usize) -> Result<String, Refusal> {
    if text.chars().count() > chars_max {
        return Err(Refusal::field(field, format!("`{field}` has at most {chars_max} characters")));
    }
    if text.chars().any(|c| c.is_control() && c != '\n' && c != '\t') {
        return Err(Refusal::field(field, format!("`{field}` may not hold control characters")));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(text: &str) -> Option<ErrorCode> {
        Text::parse(text.to_owned()).err().map(|refusal| refusal.code)
    }

    #[test]
    fn a_text_has_one_to_8000_characters() {
        assert_eq!(code("a"), None);
        assert_eq!(code(&"é".repeat(8_000)), None);
        assert_eq!(code(&"😀".repeat(8_000)), None);
        assert_eq!(code(&"a".repeat(8_001)), Some(ErrorCode::TooLong));
        assert_eq!(code(""), Some(ErrorCode::Empty));
        assert_eq!(code(" \u{3000}\n\t"), Some(ErrorCode::Empty));
        assert_eq!(code("a\0b"), Some(ErrorCode::BadRequest));
        assert_eq!(code("\u{200b}\u{202e}"), None);
    }

    #[test]
    fn mentions_are_read_once_each_in_order() {
        let (ada, bob) = (UserId::from_raw(7), UserId::from_raw(8));
        let mentions = Mentions::of(&format!("<@{bob}> and <@{ada}>, <@{bob}> <@&{ada}> <@{ada} <@nobody>"));
        assert_eq!(mentions.users, [bob, ada]);
        assert_eq!(mentions.roles, [ada]);
        assert!(!mentions.everyone);
    }

    #[test]
    fn everyone_is_a_word_of_its_own() {
        assert!(Mentions::of("@everyone!").everyone);
        assert!(Mentions::of("hi @here").everyone);
        assert!(!Mentions::of("me@here.example").everyone);
        assert!(!Mentions::of("@heretic").everyone);
    }
}
