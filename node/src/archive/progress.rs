//! How far an import has got, as it is reported line by line.

use hubbub_protocol::error::Refusal;
use serde::{Deserialize, Serialize};

/// Counts of an import.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Progress {
    /// Bytes of the archive read, as they came.
    pub bytes: u64,
    /// Lines dealt with.
    pub lines: u64,
    /// Messages stored.
    pub messages: u64,
    /// Messages that were there already.
    pub skipped: u64,
    /// Titles of threads set.
    pub titles: u64,
    /// Accounts made.
    pub users: u64,
    /// Rooms made.
    pub rooms: u64,
    /// Threads begun.
    pub threads: u64,
}

/// One line of the answer to `POST /v1/admin/import`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Report {
    /// On the way.
    Progress(Progress),
    /// All is stored.
    Done(Progress),
    /// It ended; what was stored stays.
    Error(Refusal),
}
