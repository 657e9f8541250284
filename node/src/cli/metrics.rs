//! `hubbub metrics`: what a node tells of itself in numbers.

use clap::Subcommand;

use super::output;
use crate::metrics::reference;

/// What to do with metrics.
#[derive(Debug, Clone, Copy, Subcommand)]
pub enum MetricsCommand {
    /// Print every metric with its kind and meaning: docs/metrics.md.
    Reference,
}

impl MetricsCommand {
    /// Carries the command out.
    pub fn run(self) {
        match self {
            Self::Reference => output::line(reference::markdown().trim_end()),
        }
    }
}
