//! Runs of several servers, interleaved, so that what else the machine does hits all of them alike.
//!
//! For each case, each round runs every peer once; what is compared are the medians over the rounds.

use std::sync::Arc;

use anyhow::Result;

use crate::load::{self, RunReport};
use crate::peer::Peer;
use crate::peer::floor::FloorPeer;
use crate::schedule::{Case, Timing};

/// Runs every case `runs` times on each of `peers` and tells `show` of each run as it ends.
pub(crate) async fn compare(
    peers: &[Arc<dyn Peer>],
    cases: &[Case],
    runs: u32,
    timing: Timing,
    mut show: impl FnMut(&RunReport) -> Result<()>,
) -> Result<Vec<RunReport>> {
    let mut reports = Vec::new();
    for case in cases {
        for run in 1..=runs {
            for peer in peers {
                let report = load::run(peer, *case, timing, run).await?;
                show(&report)?;
                reports.push(report);
            }
        }
    }
    Ok(reports)
}

/// The medians of one case on one peer.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub(crate) struct Summary {
    pub(crate) case: &'static str,
    pub(crate) peer: String,
    pub(crate) runs: usize,
    pub(crate) cpu_us_min: f64,
    pub(crate) cpu_us_median: f64,
    pub(crate) cpu_us_max: f64,
    /// The part of the median that the server's own program used, without its database and cache.
    pub(crate) node_cpu_us_median: f64,
    pub(crate) bytes_per_delivery: f64,
    /// Times the floor's median of the same case, where it ran.
    pub(crate) times_floor: Option<f64>,
    pub(crate) delivery_p50_ms: f64,
    pub(crate) delivery_p99_ms: f64,
    pub(crate) ack_p50_ms: f64,
    pub(crate) rss_kib: f64,
    pub(crate) clean_runs: usize,
}

/// Summarises `reports` by case and peer, in the order in which they first appear.
pub(crate) fn summarise(reports: &[RunReport]) -> Vec<Summary> {
    let mut keys: Vec<(&'static str, &str)> = Vec::new();
    for report in reports {
        if !keys.contains(&(report.case, &report.peer)) {
            keys.push((report.case, &report.peer));
        }
    }
    let of = |case: &str, peer: &str| -> Vec<&RunReport> {
        let is_it = |report: &&RunReport| (report.case, report.peer.as_str()) == (case, peer);
        reports.iter().filter(is_it).collect()
    };
    let cpu = |runs: &[&RunReport]| median(runs, |run| run.cpu_us_per_delivery);
    let summary = |case: &'static str, peer: &str| {
        let runs = of(case, peer);
        let floor = cpu(&of(case, FloorPeer::NAME));
        let times = |run: &&RunReport| run.cpu_us_per_delivery;
        Summary {
            case,
            peer: peer.to_owned(),
            runs: runs.len(),
            cpu_us_min: runs.iter().map(times).fold(f64::INFINITY, f64::min),
            cpu_us_median: cpu(&runs),
            cpu_us_max: runs.iter().map(times).fold(0.0, f64::max),
            node_cpu_us_median: median(&runs, RunReport::node_cpu_us),
            bytes_per_delivery: median(&runs, |run| run.bytes_per_delivery),
            times_floor: (floor > 0.0).then(|| cpu(&runs) / floor),
            delivery_p50_ms: median(&runs, |run| run.delivery.p50_ms),
            delivery_p99_ms: median(&runs, |run| run.delivery.p99_ms),
            ack_p50_ms: median(&runs, |run| run.ack.p50_ms),
            rss_kib: median(&runs, |run| run.server_rss_kib as f64),
            clean_runs: runs.iter().filter(|run| run.is_clean()).count(),
        }
    };
    keys.into_iter().map(|(case, peer)| summary(case, peer)).collect()
}

/// The middle value, the mean of the two middle ones of an even number, 0 of none.
pub(crate) fn median<R>(runs: &[&R], value: impl Fn(&R) -> f64) -> f64 {
    let mut values: Vec<f64> = runs.iter().map(|run| value(run)).collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => 0.0,
        odd if odd % 2 == 1 => values[middle],
        _ => f64::midpoint(values[middle - 1], values[middle]),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::ledger::Verdict;
    use crate::processes::Role;
    use crate::recorder::Latency;

    pub(crate) fn report(peer: &str, cpu_us: f64, lost: u64) -> RunReport {
        RunReport {
            peer: peer.to_owned(),
            case: "fan5k",
            run: 1,
            cpu_us_per_delivery: cpu_us,
            cpu_us_per_delivery_by: BTreeMap::from([(Role::Node, cpu_us - 1.0), (Role::Database, 1.0)]),
            bytes_per_delivery: 300.0,
            deliveries_per_s: 5_000.0,
            window_s: 6.0,
            server_cpu_ms: 300.0,
            generator_cpu_ms: 200.0,
            server_rss_kib: 4_096,
            delivery: Latency::default(),
            ack: Latency::default(),
            unsent: 0,
            verdict: Verdict { lost, ..Verdict::default() },
        }
    }

    #[test]
    fn medians_are_compared_with_the_floors_and_dirty_runs_are_counted() {
        let reports = [
            report("floor", 10.0, 0),
            report("hubbub", 14.0, 0),
            report("floor", 30.0, 0),
            report("hubbub", 16.0, 1),
            report("floor", 11.0, 0),
            report("hubbub", 90.0, 0),
        ];
        let [floor, hubbub] = &summarise(&reports)[..] else {
            panic!("one summary a peer");
        };
        assert_eq!((&*floor.peer, floor.cpu_us_median, floor.times_floor), ("floor", 11.0, Some(1.0)));
        assert_eq!((hubbub.cpu_us_min, hubbub.cpu_us_median, hubbub.cpu_us_max), (14.0, 16.0, 90.0));
        assert_eq!((hubbub.runs, hubbub.clean_runs), (3, 2));
        assert!((hubbub.node_cpu_us_median - 15.0).abs() < f64::EPSILON, "{hubbub:?}");
        assert_eq!(hubbub.times_floor, Some(16.0 / 11.0));
    }

    #[test]
    fn without_a_floor_there_is_no_ratio_and_an_even_number_has_a_median() {
        let summaries = summarise(&[report("hubbub", 14.0, 0), report("hubbub", 16.0, 0)]);
        assert_eq!((summaries[0].times_floor, summaries[0].cpu_us_median), (None, 15.0));
    }
}
