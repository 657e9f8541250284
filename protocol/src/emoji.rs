//! What may be reacted with: one Unicode emoji, or `:name:` of a custom one.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::error::Refusal;

/// Longest name of a custom emoji, in characters, without its colons.
pub const NAME_CHARS_MAX: usize = 64;

/// An emoji in the form that is stored and compared.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(transparent)]
pub struct Emoji(String);

impl Emoji {
    /// Judges `text`: exactly one emoji of Unicode, or a name of letters, digits, `_ - + ' . @ &` and
    /// inner colons (`thumbsup::skin-tone-2`) between two colons.
    ///
    /// # Errors
    /// `bad_request` for `emoji`.
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        if emojis::get(text).is_some() || is_name(text) {
            return Ok(Self(text.to_owned()));
        }
        Err(Refusal::field("emoji", "`emoji` is one Unicode emoji or `:name:`"))
    }

    /// The emoji itself.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// An emoji out of an archive: kept whatever it is, a shortcode wrapped in colons.
    #[must_use]
    pub fn from_archive(text: &str) -> Self {
        if emojis::get(text).is_some() { Self(text.to_owned()) } else { Self(format!(":{text}:")) }
    }

    /// Undoes [`Emoji::from_archive`].
    #[must_use]
    pub fn to_archive(&self) -> &str {
        self.0.strip_prefix(':').and_then(|rest| rest.strip_suffix(':')).unwrap_or(&self.0)
    }
}

impl fmt::Display for Emoji {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn is_name(text: &str) -> bool {
    let Some(name) = text.strip_prefix(':').and_then(|rest| rest.strip_suffix(':')) else {
        return false;
    };
    let allowed = |c: char| c.is_alphanumeric() || "_-+'.@&:".contains(c);
    let outer = name.starts_with(':') || name.ends_with(':');
    !name.is_empty() && !outer && name.chars().count() <= NAME_CHARS_MAX && name.chars().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_emoji_or_one_name_is_taken() {
        for text in ["👍", "👍🏽", "❤️", "🏳️‍🌈", ":iihanashi:", ":thumbsup::skin-tone-2:", ":+1:"]
        {
            assert!(Emoji::parse(text).is_ok(), "{text}");
        }
        for text in ["", "a", "👍👍", ":", "::", ":a b:", "👍 ", &format!(":{}:", "x".repeat(65))] {
            assert!(Emoji::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_archive_gets_its_emoji_back() {
        for text in ["+1", "iihanashi", "wave::skin-tone-3", "👍"] {
            assert_eq!(Emoji::from_archive(text).to_archive(), text);
        }
    }
}
