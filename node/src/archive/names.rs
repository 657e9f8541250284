//! Names an import makes up: of accounts, of keys, of threads without a title.

use hubbub_protocol::{
    ids::{CommunityId, MessageKey, UserId},
    limits::NAME_CHARS_MAX,
};
use sha2::{Digest, Sha256};

/// Longest readable part of an account's name: with `-` and the 13 characters of the id, 32.
const SLUG_CHARS_MAX: usize = 18;

/// A name for the account of an archive's author: what can be read of theirs, and the account's id,
/// which makes it unique.
#[must_use]
pub fn account_name(name: &str, id: UserId) -> String {
    let mut slug = String::with_capacity(SLUG_CHARS_MAX);
    for char in name.chars().flat_map(char::to_lowercase) {
        match char {
            'a'..='z' | '0'..='9' | '.' | '_' => slug.push(char),
            _ if slug.is_empty() || slug.ends_with('-') => {}
            _ => slug.push('-'),
        }
        if slug.len() == SLUG_CHARS_MAX {
            break;
        }
    }
    let slug = slug.trim_end_matches('-');
    let slug = if slug.is_empty() { "user" } else { slug };
    format!("{slug}-{}", id.to_string().to_ascii_lowercase())
}

/// The key of an archive's message: the same whenever and wherever it is imported into `community`.
#[must_use]
pub fn key(community: CommunityId, ext: &str) -> MessageKey {
    let hash = Sha256::new().chain_update(community.raw().to_be_bytes()).chain_update(ext).finalize();
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hash[..16]);
    MessageKey(uuid::Builder::from_custom_bytes(bytes).into_uuid())
}

/// The title of a thread that was given none: how its first message begins.
#[must_use]
pub fn title_of(text: &str) -> String {
    text.lines().next().unwrap_or_default().trim().chars().take(NAME_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::name::check_name;

    #[test]
    fn whatever_a_name_holds_the_account_has_one_that_is_allowed() {
        let id = UserId::from_raw(u64::MAX);
        for (name, wanted) in [
            ("Ada Lovelace", "ada-lovelace-7zzzzzzzzzzzz"),
            ("[bot] ~~x~~", "bot-x-7zzzzzzzzzzzz"),
            ("日本", "user-7zzzzzzzzzzzz"),
            ("", "user-7zzzzzzzzzzzz"),
            ("a very long name that goes on", "a-very-long-name-t-7zzzzzzzzzzzz"),
        ] {
            let made = account_name(name, id);
            assert_eq!(made, wanted);
            check_name(&made).expect("an allowed name");
        }
    }

    #[test]
    fn a_key_names_a_message_of_one_community() {
        let (one, other) = (CommunityId::from_raw(1), CommunityId::from_raw(2));
        assert_eq!(key(one, "a:1"), key(one, "a:1"));
        assert_ne!(key(one, "a:1"), key(other, "a:1"));
        assert_ne!(key(one, "a:1"), key(one, "a:2"));
        assert_eq!(key(one, "a:1").0.get_version_num(), 8);
    }
}
