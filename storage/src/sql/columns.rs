//! Reading a row by position, whichever database it comes from.

use sqlx::{Row, sqlite::SqliteRow};

/// A row.
///
/// # Panics
/// Every method does when the column has another type than the schema gives it: a fault in a statement.
pub(crate) trait Columns: Send + Sync {
    fn maybe_number(&self, at: usize) -> Option<i64>;
    fn maybe_text(&self, at: usize) -> Option<String>;
    fn maybe_bytes(&self, at: usize) -> Option<&[u8]>;
    fn flag(&self, at: usize) -> bool;

    fn number(&self, at: usize) -> i64 {
        self.maybe_number(at).unwrap_or_default()
    }
    fn text(&self, at: usize) -> String {
        self.maybe_text(at).unwrap_or_default()
    }
    fn bytes(&self, at: usize) -> &[u8] {
        self.maybe_bytes(at).unwrap_or_default()
    }
    /// A count, or another number that is never negative.
    fn count(&self, at: usize) -> u64 {
        u64::try_from(self.number(at)).unwrap_or_default()
    }
}

impl Columns for SqliteRow {
    fn maybe_number(&self, at: usize) -> Option<i64> {
        self.get(at)
    }
    fn maybe_text(&self, at: usize) -> Option<String> {
        self.get(at)
    }
    fn maybe_bytes(&self, at: usize) -> Option<&[u8]> {
        self.get(at)
    }
    fn flag(&self, at: usize) -> bool {
        self.get(at)
    }
}
