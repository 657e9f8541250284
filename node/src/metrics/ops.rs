//! What is counted at the edge: requests of clients by kind, and what was not sent to a client that is too slow.
//!
//! # Invariants
//!
//! * The rows are those of fixed lists, so nothing a client sends can add one: what is no known request counts as
//!   [`INVALID`].
//! * Counting is adding to a number; nothing locks or allocates.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use hubbub_actors::meter::{Histogram, Meters, Stamp};
use hubbub_protocol::{
    error::ErrorCode,
    op::{Op, OpKind},
};

use crate::edge::outbox::Kind;

/// What a request counts as that could not be read.
pub const INVALID: &str = "invalid";
/// Kinds of requests that are told apart.
pub const OPS: usize = OpKind::ALL.len() + 1;
/// Codes that are told apart: those the server gives, and any other.
pub const CODES: usize = ErrorCode::ALL.len() + 1;

/// A kind of request, as it is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpRow(u8);

impl OpRow {
    /// The row of a request.
    #[must_use]
    pub fn of<E>(op: &Result<Op, E>) -> Self {
        let kind = op.as_ref().ok().map(Op::kind);
        let row = OpKind::ALL.iter().position(|known| Some(*known) == kind).unwrap_or(OpKind::ALL.len());
        Self(u8::try_from(row).unwrap_or(u8::MAX))
    }
}

impl OpRow {
    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        OpKind::ALL.get(usize::from(self.0)).map_or(INVALID, |kind| kind.as_str())
    }
}

/// The names of the rows.
pub fn op_names() -> impl Iterator<Item = &'static str> {
    OpKind::ALL.iter().map(|kind| kind.as_str()).chain([INVALID])
}

/// The names of the codes.
pub fn code_names() -> impl Iterator<Item = &'static str> {
    ErrorCode::ALL.iter().chain([&ErrorCode::Unknown]).map(|code| code.as_str())
}

/// Requests of one kind.
#[derive(Debug)]
pub struct OpMeter {
    /// How many came.
    pub asked: AtomicU64,
    /// How long the answers took.
    pub took: Histogram,
    /// Refusals, by code.
    pub refused: [AtomicU64; CODES],
}

impl Default for OpMeter {
    fn default() -> Self {
        Self {
            asked: AtomicU64::default(),
            took: Histogram::default(),
            refused: std::array::from_fn(|_| AtomicU64::default()),
        }
    }
}

/// Kinds of frames that are left out for clients that are too slow.
pub const LEFT_OUT: [&str; 3] = ["event", "replay", "ephemeral"];

/// What is measured at the edge.
#[derive(Debug)]
pub struct EdgeMeters {
    /// The clock, and the times of deliveries.
    pub times: Arc<Meters>,
    /// By kind of request, in the order of [`op_names`].
    pub ops: [OpMeter; OPS],
    /// Frames not sent, in the order of [`LEFT_OUT`].
    pub left_out: [AtomicU64; LEFT_OUT.len()],
}

impl EdgeMeters {
    /// Fresh ones, with the clock of `times`.
    #[must_use]
    pub fn new(times: Arc<Meters>) -> Arc<Self> {
        Arc::new(Self { times, ops: std::array::from_fn(|_| OpMeter::default()), left_out: Default::default() })
    }

    fn row(&self, row: OpRow) -> &OpMeter {
        &self.ops[usize::from(row.0).min(OPS - 1)]
    }

    /// A request has come.
    pub fn asked(&self, row: OpRow) {
        if self.times.is_on() {
            self.row(row).asked.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A request was refused.
    pub fn refused(&self, row: OpRow, code: ErrorCode) {
        if self.times.is_on() {
            let at = ErrorCode::ALL.iter().position(|known| *known == code).unwrap_or(CODES - 1);
            self.row(row).refused[at].fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A request that came at `since` was answered.
    pub fn answered(&self, row: OpRow, since: Stamp, refused: Option<ErrorCode>) {
        self.row(row).took.observe(since, self.times.stamp());
        if let Some(code) = refused {
            self.refused(row, code);
        }
    }

    /// A connection's task has written for so long what its socket had not taken at once.
    pub fn wrote_late(&self, took: Duration) {
        let ns = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.times.late_ns.fetch_add(ns, Ordering::Relaxed);
    }

    /// An event was left out for one client, as a part of a gap.
    pub fn left_out(&self, kind: Kind) {
        self.left_out[usize::from(kind == Kind::Replay)].fetch_add(1, Ordering::Relaxed);
    }

    /// An ephemeral push was left out for one client.
    pub fn ephemeral_left_out(&self) {
        self.left_out[2].fetch_add(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_its_row_and_what_cannot_be_read_the_last() {
        assert_eq!((op_names().count(), code_names().count()), (OPS, CODES));
        assert_eq!(op_names().nth(usize::from(OpRow::of::<()>(&Ok(Op::Heartbeat)).0)), Some("heartbeat"));
        assert_eq!(op_names().nth(usize::from(OpRow::of(&Err(())).0)), Some(INVALID));
    }

    #[test]
    fn meters_that_are_off_count_no_request() {
        let meters = EdgeMeters::new(Arc::new(Meters::new(false)));
        let row = OpRow::of::<()>(&Ok(Op::Heartbeat));
        meters.asked(row);
        meters.answered(row, Stamp::NONE, Some(ErrorCode::Busy));
        let counted = |count: &AtomicU64| count.load(Ordering::Relaxed);
        assert_eq!(counted(&meters.row(row).asked), 0);
        assert_eq!(meters.row(row).refused.iter().map(counted).sum::<u64>(), 0);
    }
}
