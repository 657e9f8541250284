//! The highest rate that a server keeps: an open loop whose rate rises until a promise is broken or the tail is late.
//!
//! # Invariants
//! - A rate is kept when nothing was lost, doubled, out of order, refused or left unsent, no more than
//!   [`SHORT_MAX`] of it was missing within the window, and the 99th percentile of latency is below the limit.
//! - A climb ends with the first rate that is not kept; the rates below it have all been kept in the same climb.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, ensure};
use serde::Serialize;

use crate::load::{self, RunReport};
use crate::peer::Peer;
use crate::schedule::{Case, Timing};

/// Rooms and members: those of the fan-out cases, so that only the rate differs.
const ROOMS: usize = 10;
const MEMBERS: usize = 100;
const SENDERS: usize = 20;

/// Share of the rate that may be missing within the window, by what is under way at its two ends.
const SHORT_MAX: f64 = 0.02;

/// Rates to be tried, in deliveries a second.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Climb {
    pub(crate) from: u32,
    pub(crate) to: u32,
    pub(crate) step: u32,
    /// What the 99th percentile of latency must be below.
    pub(crate) p99: Duration,
}

/// One rate, tried once.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct StepReport {
    pub(crate) offered_per_s: u32,
    pub(crate) kept: bool,
    #[serde(flatten)]
    pub(crate) run: RunReport,
}

/// One climb.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct ClimbReport {
    pub(crate) peer: String,
    pub(crate) run: u32,
    /// The highest rate kept, 0 when the first was not.
    pub(crate) kept_per_s: u32,
    /// Whether it is the highest that was to be tried, so that the limit lies beyond.
    pub(crate) to_the_top: bool,
    pub(crate) cpu_us_per_delivery: f64,
    pub(crate) delivery_p99_ms: f64,
}

impl Climb {
    /// # Errors
    /// When nothing is left to try.
    pub(crate) fn check(&self) -> Result<()> {
        ensure!(self.step >= MEMBERS as u32, "a step is at least {MEMBERS} deliveries a second, one message");
        ensure!(
            self.from >= MEMBERS as u32 && self.from <= self.to,
            "--from is at least {MEMBERS} and at most --to"
        );
        Ok(())
    }

    fn rates(&self) -> impl Iterator<Item = u32> {
        (self.from..=self.to).step_by(self.step as usize)
    }

    fn is_kept(&self, offered: u32, run: &RunReport) -> bool {
        run.is_clean()
            && run.deliveries_per_s >= f64::from(offered) * (1.0 - SHORT_MAX)
            && run.delivery.p99_ms < self.p99.as_secs_f64() * 1e3
    }
}

fn case_of(rate: u32) -> Case {
    Case {
        name: "saturate",
        rooms: ROOMS,
        members_per_room: MEMBERS,
        senders: SENDERS,
        messages_per_s: rate / MEMBERS as u32,
    }
}

/// Climbs once on `peer` and tells `show` of each rate as it was tried.
pub(crate) async fn climb(
    peer: &Arc<dyn Peer>,
    climb: Climb,
    timing: Timing,
    run: u32,
    mut show: impl FnMut(&StepReport) -> Result<()>,
) -> Result<ClimbReport> {
    let mut best: Option<StepReport> = None;
    let mut top = true;
    for offered in climb.rates() {
        let report = load::run(peer, case_of(offered), timing, run).await?;
        let step = StepReport { offered_per_s: offered, kept: climb.is_kept(offered, &report), run: report };
        show(&step)?;
        top = step.kept;
        if !top {
            break;
        }
        best = Some(step);
    }
    Ok(ClimbReport {
        peer: peer.name().to_owned(),
        run,
        kept_per_s: best.as_ref().map_or(0, |best| best.offered_per_s),
        to_the_top: top,
        cpu_us_per_delivery: best.as_ref().map_or(0.0, |best| best.run.cpu_us_per_delivery),
        delivery_p99_ms: best.as_ref().map_or(0.0, |best| best.run.delivery.p99_ms),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::tests::report;

    const CLIMB: Climb = Climb { from: 4_000, to: 6_000, step: 1_000, p99: Duration::from_millis(200) };

    #[test]
    fn rates_rise_in_steps_of_whole_messages() {
        assert_eq!(CLIMB.rates().collect::<Vec<_>>(), [4_000, 5_000, 6_000]);
        assert_eq!(case_of(60_000).messages_per_s, 600);
        CLIMB.check().expect("three rates");
        assert!(Climb { step: 50, ..CLIMB }.check().is_err());
        assert!(Climb { from: 7_000, ..CLIMB }.check().is_err());
    }

    #[test]
    fn a_rate_is_kept_only_by_a_clean_run_that_is_in_time() {
        let clean = report("floor", 10.0, 0);
        assert!(CLIMB.is_kept(5_000, &clean));
        assert!(!CLIMB.is_kept(5_000, &report("floor", 10.0, 1)), "something was lost");
        assert!(!CLIMB.is_kept(5_200, &clean), "200 a second are missing");
        let mut late = clean.clone();
        late.delivery.p99_ms = 200.0;
        assert!(!CLIMB.is_kept(5_000, &late));
        let unsent = RunReport { unsent: 1, ..clean };
        assert!(!CLIMB.is_kept(5_000, &unsent));
    }
}
