//! The floor's own tiny protocol, and the frames it delivers.
//!
//! A client says `J <room>` or `S <room> <key> <text>`, room a decimal number, text up to the end of the frame, with
//! nothing in it that JSON would have to escape. The server answers a join with `{"re":0,"ok":{"head":N}}` and
//! delivers JSON of the shape and size of Hubbub's `message.created`, so that the load generator reads both alike.
//! There is no answer to `S`: the sender's own copy is its acknowledgement.

use std::time::{SystemTime, UNIX_EPOCH};

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Request<'a> {
    Join { room: u32 },
    Send { room: u32, key: &'a str, text: &'a str },
}

/// Understands a client's text, `None` when it is not of this protocol.
pub(crate) fn request(payload: &[u8]) -> Option<Request<'_>> {
    let text = std::str::from_utf8(payload).ok()?;
    let (verb, rest) = text.split_once(' ')?;
    match verb {
        "J" => rest.parse().ok().map(|room| Request::Join { room }),
        "S" => {
            let mut parts = rest.splitn(3, ' ');
            Some(Request::Send { room: parts.next()?.parse().ok()?, key: parts.next()?, text: parts.next()? })
        }
        _ => None,
    }
}

pub(crate) fn join(room: u32) -> String {
    format!("J {room}")
}

/// `room` as [`room_name`] writes it.
pub(crate) fn send(room: &str, key: &str, text: &str) -> String {
    format!("S {room} {key} {text}")
}

/// The answer to a join.
pub(crate) fn joined(head: u64) -> String {
    format!(r#"{{"re":0,"ok":{{"head":{head}}}}}"#)
}

/// A room as it stands in a delivered frame: 13 characters, as long as Hubbub's ids.
pub(crate) fn room_name(room: u32) -> String {
    format!("{room:013}")
}

/// The delivered text. The time is a count of milliseconds, padded to the 24 characters of an RFC 3339 time.
pub(crate) fn message(room: u32, seq: u64, key: &str, text: &str) -> String {
    let ms = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
    format!(
        r#"{{"ev":"room","room":"{room:013}","seq":{seq},"ts":"{ms:024}","type":"message.created","by":"{room:013}","key":"{key}","data":{{"text":"{text}","files":[],"mentions":{{"users":[],"roles":[],"everyone":false}}}}}}"#
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_read_as_they_are_written() {
        assert_eq!(request(join(7).as_bytes()), Some(Request::Join { room: 7 }));
        assert_eq!(
            request(send("8", "k1", "two words").as_bytes()),
            Some(Request::Send { room: 8, key: "k1", text: "two words" })
        );
        for nonsense in ["", "J", "J x", "S 1 k", "X 1", "S a k t"] {
            assert_eq!(request(nonsense.as_bytes()), None, "{nonsense:?}");
        }
    }

    #[test]
    fn a_delivered_frame_is_json_of_about_hubbubs_size() {
        let key = "01920000-0000-7000-8000-000000000000";
        let frame = message(3, 12_345, key, &"x".repeat(120));
        let value: serde_json::Value = serde_json::from_str(&frame).expect("JSON");
        assert_eq!(value["seq"], 12_345);
        assert_eq!(value["room"], room_name(3));
        assert!((330..400).contains(&frame.len()), "{} bytes", frame.len());
    }
}
