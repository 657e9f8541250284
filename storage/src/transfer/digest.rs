//! What a set of rows comes to, in whatever order they are read.

use sha2::{Digest as _, Sha256};
use uuid::Uuid;

/// One value of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Cell {
    Number(Option<i64>),
    Text(Option<String>),
    Bytes(Option<Vec<u8>>),
    Key(Option<Uuid>),
    Flag(bool),
}

impl Cell {
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Text(Some(text)) => text.len(),
            Self::Bytes(Some(bytes)) => bytes.len(),
            _ => 8,
        }
    }

    /// Feeds a form of the value to `hash` that no other value has.
    fn feed(&self, hash: &mut Sha256) {
        let mut feed = |kind: u8, bytes: Option<&[u8]>| {
            let length = bytes.map_or(u64::MAX, |bytes| bytes.len() as u64);
            hash.update([kind]);
            hash.update(length.to_le_bytes());
            hash.update(bytes.unwrap_or_default());
        };
        match self {
            Self::Number(number) => feed(1, number.map(i64::to_le_bytes).as_ref().map(<[u8; 8]>::as_slice)),
            Self::Text(text) => feed(2, text.as_deref().map(str::as_bytes)),
            Self::Bytes(bytes) => feed(3, bytes.as_deref()),
            Self::Key(key) => feed(4, key.as_ref().map(|key| key.as_bytes().as_slice())),
            Self::Flag(flag) => feed(5, Some(&[u8::from(*flag)])),
        }
    }
}

/// Rows, and the sum of their SHA-256 hashes: no two rows of a table are equal, so none cancels another.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Digest {
    pub(super) rows: u64,
    sum: [u8; 32],
}

impl Digest {
    pub(super) fn add(&mut self, row: &[Cell]) {
        let mut hash = Sha256::new();
        row.iter().for_each(|cell| cell.feed(&mut hash));
        self.rows += 1;
        for (sum, byte) in self.sum.iter_mut().zip(hash.finalize()) {
            *sum ^= byte;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(rows: &[&[Cell]]) -> Digest {
        let mut digest = Digest::default();
        rows.iter().for_each(|row| digest.add(row));
        digest
    }

    #[test]
    fn a_digest_is_of_the_rows_and_not_of_their_order() {
        let text = |text: &str| Cell::Text(Some(text.to_owned()));
        let (one, two) = ([text("a"), text("bc")], [text("ab"), text("c")]);
        assert_eq!(of(&[&one, &two]), of(&[&two, &one]));
        assert_ne!(of(&[&one]), of(&[&two]), "where one value ends matters");
        assert_ne!(of(&[&[Cell::Text(None)]]), of(&[&[text("")]]), "nothing is not empty");
        assert_ne!(of(&[&[Cell::Number(Some(1))]]), of(&[&[Cell::Number(Some(2))]]));
    }
}
