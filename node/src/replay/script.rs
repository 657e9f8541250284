//! A line of an archive, as a client may send it. Pure.

use hubbub_protocol::{
    emoji::Emoji,
    ids::{CommunityId, MessageKey},
    limits::{TEXT_BYTES_MAX, TEXT_CHARS_MAX},
};

use crate::archive::names;

/// The parts in which a client may send `text`: itself when it is short enough, none when there is
/// nothing but white space in it. Together they are the text, save parts of nothing but white space,
/// which no client may send.
#[must_use]
pub fn parts(text: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let (part, after) = rest.split_at(part_end(rest));
        if !part.trim().is_empty() {
            parts.push(part);
        }
        rest = after;
    }
    parts
}

/// Where the first part of `text` ends: behind the last line break that fits, if there is one.
fn part_end(text: &str) -> usize {
    let fits = |(chars, (at, char)): &(usize, (usize, char))| {
        *chars < TEXT_CHARS_MAX && at + char.len_utf8() <= TEXT_BYTES_MAX
    };
    let fitting = text.char_indices().enumerate().take_while(fits).last();
    let end = fitting.map_or(0, |(_, (at, char))| at + char.len_utf8());
    if end == text.len() {
        return end;
    }
    text[..end].rfind('\n').map_or(end, |at| at + 1)
}

/// The key of part `number` of the line `id`. The first has the key that a direct import gives the line.
#[must_use]
pub fn key(community: CommunityId, id: &str, number: usize) -> MessageKey {
    match number {
        0 => names::key(community, id),
        // No id holds a NUL: it could not be told from this.
        _ => names::key(community, &format!("{id}\0{number}")),
    }
}

/// The emoji of a reaction, if a client may react with it.
#[must_use]
pub fn emoji(archived: &str) -> Option<Emoji> {
    Emoji::parse(Emoji::from_archive(archived).as_str()).ok()
}

#[cfg(test)]
mod tests {
    use hubbub_protocol::text::Text;

    use super::*;

    #[test]
    fn a_short_text_is_one_part_and_an_empty_one_none() {
        assert_eq!(parts("hi\nthere"), ["hi\nthere"]);
        assert_eq!(parts(&"x".repeat(TEXT_CHARS_MAX)).len(), 1);
        for empty in ["", " ", "\n\t"] {
            assert!(parts(empty).is_empty(), "{empty:?}");
        }
    }

    #[test]
    fn the_parts_of_a_long_text_are_all_of_it_and_each_may_be_sent() {
        let lines = "a line of thirty characters...\n".repeat(1_000);
        for long in ["x".repeat(20_001), "日本語".repeat(5_000), "🎉".repeat(8_001), lines] {
            let parts = parts(&long);
            assert_eq!(parts.concat(), long);
            assert!(parts.len() > 1);
            for part in parts {
                Text::parse(part.to_owned()).expect("a client may send it");
            }
        }
    }

    #[test]
    fn a_long_text_is_parted_between_lines_where_it_can_be() {
        let long = format!("{}\n{}", "a".repeat(7_000), "b".repeat(7_000));
        assert_eq!(parts(&long).iter().map(|part| part.len()).collect::<Vec<_>>(), [7_001, 7_000]);
    }

    #[test]
    fn each_part_has_a_key_of_its_own() {
        let community = CommunityId::from_raw(1);
        assert_eq!(key(community, "a:1", 0), names::key(community, "a:1"));
        assert_ne!(key(community, "a:1", 1), key(community, "a:1", 2));
    }

    #[test]
    fn an_emoji_no_client_may_use_is_none() {
        assert_eq!(emoji("tada").expect("a name").as_str(), ":tada:");
        assert!(emoji("a b").is_none());
    }
}
