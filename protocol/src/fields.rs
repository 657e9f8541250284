//! Typed reading of a client's JSON object, one field at a time, so that a refusal can name the
//! field that was wrong.
//!
//! Unknown fields are left alone. `null` counts as absent.

use std::str::FromStr;

use serde_json::{Map, Value};

use crate::{
    error::{ErrorCode, Refusal},
    ids::{MessageKey, RoomId, Seq, UserId},
};

/// The fields of one request.
#[derive(Debug, Clone, Copy)]
pub struct Fields<'a>(pub &'a Map<String, Value>);

impl Fields<'_> {
    fn value(&self, name: &str) -> Option<&Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    fn required<T>(&self, name: &str, found: Option<T>) -> Result<T, Refusal> {
        found.ok_or_else(|| Refusal::field(name, format!("`{name}` is missing")))
    }

    /// An optional text.
    ///
    /// # Errors
    /// `bad_request` for any other type.
    pub fn maybe_text(&self, name: &str) -> Result<Option<String>, Refusal> {
        let wrong = || Refusal::field(name, format!("`{name}` must be a string"));
        self.value(name).map(|value| value.as_str().map(str::to_owned).ok_or_else(wrong)).transpose()
    }

    /// A text.
    ///
    /// # Errors
    /// `bad_request` when absent or of another type.
    pub fn text(&self, name: &str) -> Result<String, Refusal> {
        self.maybe_text(name).and_then(|text| self.required(name, text))
    }

    /// An optional flag.
    ///
    /// # Errors
    /// `bad_request` for any other type.
    pub fn flag(&self, name: &str) -> Result<bool, Refusal> {
        let wrong = || Refusal::field(name, format!("`{name}` must be true or false"));
        self.value(name).map_or(Ok(false), |value| value.as_bool().ok_or_else(wrong))
    }

    /// An optional whole number from 0.
    ///
    /// # Errors
    /// `bad_request` for anything else, fractions and numbers below 0 among it.
    pub fn maybe_number(&self, name: &str) -> Result<Option<u64>, Refusal> {
        let wrong = || Refusal::field(name, format!("`{name}` must be a whole number from 0"));
        self.value(name).map(|value| value.as_u64().ok_or_else(wrong)).transpose()
    }

    /// An optional place in a room.
    ///
    /// # Errors
    /// As [`Fields::maybe_number`].
    pub fn maybe_seq(&self, name: &str) -> Result<Option<Seq>, Refusal> {
        Ok(self.maybe_number(name)?.map(Seq))
    }

    /// A place in a room.
    ///
    /// # Errors
    /// `bad_request` when absent or no whole number.
    pub fn seq(&self, name: &str) -> Result<Seq, Refusal> {
        self.maybe_seq(name).and_then(|seq| self.required(name, seq))
    }

    fn id<T: FromStr>(&self, name: &str, what: &str) -> Result<T, Refusal> {
        self.text(name)?.parse().map_err(|_| Refusal::not_found(what))
    }

    /// The field `room`.
    ///
    /// # Errors
    /// `bad_request` when absent or no string, `not_found` for a string that cannot be an id.
    pub fn room(&self) -> Result<RoomId, Refusal> {
        self.id("room", "room")
    }

    /// The field `key`: any UUID.
    ///
    /// # Errors
    /// `bad_request`.
    pub fn key(&self) -> Result<MessageKey, Refusal> {
        let wrong = |_| Refusal::field("key", "`key` must be a UUID");
        self.text("key")?.parse().map(MessageKey).map_err(wrong)
    }

    /// An optional list of texts, at most `items_max`.
    ///
    /// # Errors
    /// `bad_request` for another type or a longer list.
    pub fn texts(&self, name: &str, items_max: usize) -> Result<Option<Vec<String>>, Refusal> {
        let wrong = || Refusal::field(name, format!("`{name}` must be a list of strings"));
        let Some(value) = self.value(name) else {
            return Ok(None);
        };
        let items = value.as_array().ok_or_else(wrong)?;
        if items.len() > items_max {
            return Err(Refusal::field(name, format!("`{name}` has at most {items_max} entries")));
        }
        items
            .iter()
            .map(|item| item.as_str().map(str::to_owned).ok_or_else(wrong))
            .collect::<Result<_, _>>()
            .map(Some)
    }

    /// An optional list of user ids; those that cannot be ids are left out, as unknown users are.
    ///
    /// # Errors
    /// As [`Fields::texts`].
    pub fn users(&self, name: &str, items_max: usize) -> Result<Option<Vec<UserId>>, Refusal> {
        let texts = self.texts(name, items_max)?;
        Ok(texts.map(|ids| ids.iter().filter_map(|id| id.parse().ok()).collect()))
    }

    /// An optional page size, 1 to `max`, else `default`.
    ///
    /// # Errors
    /// `bad_request` when out of range.
    pub fn limit(&self, default: usize, max: usize) -> Result<usize, Refusal> {
        let Some(limit) = self.maybe_number("limit")? else {
            return Ok(default);
        };
        usize::try_from(limit)
            .ok()
            .filter(|limit| (1..=max).contains(limit))
            .ok_or_else(|| Refusal::field("limit", format!("`limit` must be from 1 to {max}")))
    }

    /// An optional map from room to seq, at most `items_max`; keys that cannot be ids are left out.
    ///
    /// # Errors
    /// `bad_request`.
    pub fn cursors(&self, name: &str, items_max: usize) -> Result<Vec<(RoomId, Seq)>, Refusal> {
        let wrong = || Refusal::field(name, format!("`{name}` must be a map from room to seq"));
        let Some(value) = self.value(name) else {
            return Ok(Vec::new());
        };
        let cursors = value.as_object().ok_or_else(wrong)?;
        if cursors.len() > items_max {
            let message = format!("`{name}` has at most {items_max} entries");
            return Err(Refusal { code: ErrorCode::BadRequest, ..Refusal::field(name, message) });
        }
        let mut known = Vec::with_capacity(cursors.len());
        for (room, seq) in cursors {
            let seq = seq.as_u64().map(Seq).ok_or_else(wrong)?;
            known.extend(room.parse().ok().map(|room| (room, seq)));
        }
        Ok(known)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with<T>(
        json: &str,
        read: impl Fn(Fields<'_>) -> Result<T, Refusal>,
    ) -> Result<T, (ErrorCode, Option<String>)> {
        let map: Map<String, Value> = serde_json::from_str(json).expect("test input is JSON");
        read(Fields(&map)).map_err(|refusal| (refusal.code, refusal.field))
    }

    #[test]
    fn a_refusal_names_the_field() {
        let bad = |field: &str| Some((ErrorCode::BadRequest, Some(field.to_owned())));
        assert_eq!(with(r#"{"room":7}"#, |f| f.room()).err(), bad("room"));
        assert_eq!(with("{}", |f| f.room()).err(), bad("room"));
        assert_eq!(with(r#"{"room":{"a":1}}"#, |f| f.text("room")).err(), bad("room"));
        assert_eq!(with(r#"{"seq":-1}"#, |f| f.seq("seq")).err(), bad("seq"));
        assert_eq!(with(r#"{"seq":1.5}"#, |f| f.seq("seq")).err(), bad("seq"));
        assert_eq!(with(r#"{"limit":0}"#, |f| f.limit(50, 100)).err(), bad("limit"));
        assert_eq!(with(r#"{"limit":101}"#, |f| f.limit(50, 100)).err(), bad("limit"));
        assert_eq!(with(r#"{"key":"x"}"#, |f| f.key()).err(), bad("key"));
        assert_eq!(with(r#"{"files":["a",1]}"#, |f| f.texts("files", 10)).err(), bad("files"));
        assert_eq!(with(r#"{"cursors":{"0000000000001":"x"}}"#, |f| f.cursors("cursors", 9)).err(), bad("cursors"));
    }

    #[test]
    fn an_id_that_cannot_exist_is_not_found() {
        assert_eq!(with(r#"{"room":"nowhere"}"#, |f| f.room()), Err((ErrorCode::NotFound, None)));
    }

    #[test]
    fn the_largest_numbers_are_read() {
        assert_eq!(with(r#"{"seq":9223372036854775808}"#, |f| f.seq("seq")), Ok(Seq(1 << 63)));
        assert_eq!(with("{}", |f| f.limit(50, 100)), Ok(50));
        assert_eq!(with(r#"{"after":null}"#, |f| f.maybe_seq("after")), Ok(None));
    }
}
