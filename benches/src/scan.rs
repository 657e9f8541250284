//! Reads out of a push or reply only what a ledger needs, without parsing JSON.
//!
//! The load generator shares the machine with the server it measures; a full parse of every delivery would cost more
//! than the delivery. Field order is not relied on; that the benchmark's own texts contain no quotes is.

/// What a text frame of the server said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Heard {
    /// A message of this benchmark. `own_room` is false when it came from a room the client is not in; `seq` is `None`
    /// from servers that do not number a room's events without holes.
    Message {
        seq: Option<u64>,
        number: u32,
        own_room: bool,
    },
    /// Another durable event, or a message that somebody else wrote.
    Event {
        seq: u64,
    },
    Reply {
        id: u32,
        ok: bool,
    },
    /// The server gave up on events and said so.
    Gap,
    Other,
}

/// Marks the number of a benchmark's message at the beginning of its text.
const MARK: &str = "bench-";

const FILLER: &str = "the quick brown fox jumps over the lazy dog and comes back for more of the same ";

/// Text of message `number`, `bytes` long (more if the number needs it).
pub(crate) fn text_of(number: u32, bytes: usize) -> String {
    let mut text = format!("{MARK}{number} ");
    let rest = bytes.saturating_sub(text.len());
    text.extend(FILLER.chars().cycle().take(rest));
    text
}

/// Understands a text frame heard by a client in `room`.
pub(crate) fn hear(text: &[u8], room: &str) -> Heard {
    if let Some(id) = number_after(text, b"\"re\":") {
        let ok = find(text, b"\"error\":").is_none();
        return Heard::Reply { id: saturated(id), ok };
    }
    match string_after(text, b"\"ev\":\"") {
        Some(b"room") => durable(text, room),
        Some(b"gap") => Heard::Gap,
        _ => Heard::Other,
    }
}

fn durable(text: &[u8], room: &str) -> Heard {
    let seq = number_after(text, b"\"seq\":").unwrap_or_default();
    let number = number_of_text_after(text, b"\"text\":\"");
    let created = string_after(text, b"\"type\":\"") == Some(b"message.created");
    match number {
        Some(number) if created => Heard::Message {
            seq: Some(seq),
            number,
            own_room: string_after(text, b"\"room\":\"") == Some(room.as_bytes()),
        },
        _ => Heard::Event { seq },
    }
}

/// The number of the benchmark's message whose text begins behind `name`.
pub(crate) fn number_of_text_after(frame: &[u8], name: &[u8]) -> Option<u32> {
    let text = &frame[find(frame, name)? + name.len()..];
    text.strip_prefix(MARK.as_bytes()).and_then(leading_number).map(saturated)
}

/// Whether what stands between the first `before` and the next `end` is `word`.
pub(crate) fn stands_between(frame: &[u8], before: &[u8], end: u8, word: &str) -> bool {
    let rest = find(frame, before).map(|at| &frame[at + before.len()..]);
    let behind = rest.and_then(|rest| rest.strip_prefix(word.as_bytes()));
    behind.is_some_and(|behind| behind.first() == Some(&end))
}

fn saturated(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// Where `part` begins.
pub(crate) fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    let first = *part.first()?;
    let mut from = 0;
    loop {
        from += text.get(from..)?.iter().position(|byte| *byte == first)?;
        if text[from..].starts_with(part) {
            return Some(from);
        }
        from += 1;
    }
}

fn string_after<'a>(text: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let rest = &text[find(text, name)? + name.len()..];
    let end = rest.iter().position(|byte| *byte == b'"')?;
    Some(&rest[..end])
}

/// The number behind `name`.
pub(crate) fn number_after(text: &[u8], name: &[u8]) -> Option<u64> {
    leading_number(&text[find(text, name)? + name.len()..])
}

fn leading_number(text: &[u8]) -> Option<u64> {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    std::str::from_utf8(&text[..digits]).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn push(room: &str, seq: u64, kind: &str, text: &str) -> String {
        format!(
            r#"{{"ev":"room","room":"{room}","seq":{seq},"ts":"…","type":"{kind}","by":"X","key":"K","data":{{"text":"{text}"}}}}"#
        )
    }

    #[test]
    fn a_message_tells_its_number_seq_and_room() {
        let text = text_of(41, 120);
        assert_eq!(text.len(), 120);
        let frame = push("R1", 17, "message.created", &text);
        let heard = |room| hear(frame.as_bytes(), room);
        assert_eq!(heard("R1"), Heard::Message { seq: Some(17), number: 41, own_room: true });
        assert_eq!(heard("R2"), Heard::Message { seq: Some(17), number: 41, own_room: false });
    }

    #[test]
    fn the_order_of_fields_does_not_matter() {
        let frame = format!(
            r#"{{"data":{{"text":"{}"}},"type":"message.created","seq":9,"room":"R","ev":"room"}}"#,
            text_of(5, 0)
        );
        let expected = Heard::Message { seq: Some(9), number: 5, own_room: true };
        assert_eq!(hear(frame.as_bytes(), "R"), expected);
    }

    #[test]
    fn events_that_are_no_message_of_ours_still_tell_their_seq() {
        let edited = push("R", 3, "message.edited", &text_of(1, 20));
        assert_eq!(hear(edited.as_bytes(), "R"), Heard::Event { seq: 3 });
        let strange = push("R", 4, "message.created", "hello");
        assert_eq!(hear(strange.as_bytes(), "R"), Heard::Event { seq: 4 });
    }

    #[test]
    fn replies_gaps_and_the_rest_are_told_apart() {
        let cases = [
            (r#"{"re":12,"ok":{"seq":3}}"#, Heard::Reply { id: 12, ok: true }),
            (r#"{"re":13,"error":{"code":"busy"}}"#, Heard::Reply { id: 13, ok: false }),
            (r#"{"ev":"gap","room":"R","from":1,"to":2}"#, Heard::Gap),
            (r#"{"ev":"typing","room":"R"}"#, Heard::Other),
            ("", Heard::Other),
            ("\"re\":", Heard::Other),
        ];
        for (text, heard) in cases {
            assert_eq!(hear(text.as_bytes(), "R"), heard, "{text}");
        }
    }
}
