//! `hubbub doctor`: looks at one node and its cluster, and says what is well, what is not, and what to do.
//!
//! [`gather`] collects [`Facts`], on a running node or beside a stopped one; [`judge`](judge::judge) makes [`Finding`]s
//! of them and touches nothing.
//!
//! # Invariants
//!
//! * A look changes nothing: no table is made, no schema is brought up to date, no message is written.
//! * What is not well has a remedy.
//! * A look ends: each question to the store is given up after a while, and that is a finding.

mod clocks;
pub mod facts;
pub mod gather;
pub mod judge;

use serde::{Deserialize, Serialize};

pub use facts::Facts;

/// How something stands, from well to bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// As it should be.
    Ok,
    /// It works, and somebody should know.
    Warning,
    /// It does not work, or messages are in danger.
    Fault,
}

/// What one check found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Finding {
    /// What was looked at, such as `disk`; docs/operating.md lists them.
    pub check: String,
    /// How it stands.
    pub state: State,
    /// What was found, as a sentence.
    pub found: String,
    /// What to do; nothing when all is well.
    pub remedy: Option<String>,
}

impl Finding {
    /// All is well.
    #[must_use]
    pub fn ok(check: &str, found: impl Into<String>) -> Self {
        Self { check: check.to_owned(), state: State::Ok, found: found.into(), remedy: None }
    }

    /// Somebody should know.
    #[must_use]
    pub fn warning(check: &str, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { check: check.to_owned(), state: State::Warning, found: found.into(), remedy: Some(remedy.into()) }
    }

    /// Something does not work.
    #[must_use]
    pub fn fault(check: &str, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { state: State::Fault, ..Self::warning(check, found, remedy) }
    }
}

/// What a look at a node found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Report {
    /// The worst of the findings.
    pub state: State,
    /// Whether the node runs; of one that does not, less can be known.
    pub running: bool,
    /// The findings.
    pub findings: Vec<Finding>,
}

impl Report {
    /// Judges `facts`.
    #[must_use]
    pub fn of(facts: &Facts) -> Self {
        let findings = judge::judge(facts);
        let state = findings.iter().map(|finding| finding.state).max().unwrap_or(State::Ok);
        Self { state, running: facts.running, findings }
    }

    /// How many findings are in `state`.
    #[must_use]
    pub fn count(&self, state: State) -> usize {
        self.findings.iter().filter(|finding| finding.state == state).count()
    }
}
