//! Tables of the cases with many connections: silent ones, climbs, storms, failovers and days.

use anyhow::Result;

use super::{head, mib, other_faults, row, say};
use crate::day::DayReport;
use crate::failover::FailoverReport;
use crate::gather::{GatherReport, GatherSummary};
use crate::ledger::Verdict;
use crate::reconnect::StormReport;
use crate::saturate::{ClimbReport, StepReport};

const GATHER_HEAD: [&str; 12] = [
    "run",
    "peer",
    "connections",
    "joined in s",
    "joins/s",
    "join p50 / p99 ms",
    "us/join",
    "RSS KiB start / prepared / joined",
    "KiB/connection",
    "beyond preparing",
    "idle CPU %",
    "closed",
];

pub(crate) fn gather_head() -> Result<()> {
    say(&head(&GATHER_HEAD))
}

pub(crate) fn gather_row(report: &GatherReport) -> Result<()> {
    let cells: [String; GATHER_HEAD.len()] = [
        report.run.to_string(),
        report.peer.clone(),
        report.connections.to_string(),
        format!("{:.2}", report.joined_s),
        format!("{:.0}", report.joins_per_s),
        format!("{:.1} / {:.1}", report.join.p50_ms, report.join.p99_ms),
        format!("{:.0}", report.cpu_us_per_join),
        format!("{} / {} / {}", report.rss_start_kib, report.rss_prepared_kib, report.rss_joined_kib),
        format!("{:.1}", report.rss_kib_per_connection),
        format!("{:.1}", report.rss_kib_per_connection_beyond_preparing),
        format!("{:.1}", report.idle_cpu_percent),
        report.closed.to_string(),
    ];
    say(&row(&cells))
}

/// Medians by peer, below the rows of the runs.
pub(crate) fn gather_summaries(summaries: &[GatherSummary]) -> Result<()> {
    let names = ["peer", "runs", "connections", "KiB/connection", "us/join", "joins/s", "idle CPU %", "closed"];
    let cells = |summary: &GatherSummary| {
        row(&[
            summary.peer.clone(),
            summary.runs.to_string(),
            summary.connections.to_string(),
            format!("{:.1}", summary.rss_kib_per_connection),
            format!("{:.0}", summary.cpu_us_per_join),
            format!("{:.0}", summary.joins_per_s),
            format!("{:.1}", summary.idle_cpu_percent),
            summary.closed.to_string(),
        ])
    };
    let rows: String = summaries.iter().map(cells).collect();
    say(&format!("\n{}{rows}", head(&names)))
}

const STEP_HEAD: [&str; 9] = [
    "run",
    "peer",
    "offered/s",
    "deliveries/s",
    "us/delivery",
    "p50 / p99 ms",
    "lost",
    "doubled/unordered/diverged",
    "kept",
];

pub(crate) fn step_head() -> Result<()> {
    say(&head(&STEP_HEAD))
}

pub(crate) fn step_row(step: &StepReport) -> Result<()> {
    let run = &step.run;
    let faults = &run.verdict.faults;
    let cells: [String; STEP_HEAD.len()] = [
        run.run.to_string(),
        run.peer.clone(),
        step.offered_per_s.to_string(),
        format!("{:.0}", run.deliveries_per_s),
        format!("{:.1}", run.cpu_us_per_delivery),
        format!("{:.1} / {:.1}", run.delivery.p50_ms, run.delivery.p99_ms),
        run.verdict.lost.to_string(),
        format!("{}/{}/{}", faults.doubled, faults.out_of_order, run.verdict.diverged_rooms),
        if step.kept { "yes".to_owned() } else { format!("NO ({})", other_faults(&run.verdict, run.unsent)) },
    ];
    say(&row(&cells))
}

/// The last rate of each climb that was kept.
pub(crate) fn climbs(reports: &[ClimbReport]) -> Result<()> {
    let cells = |report: &ClimbReport| {
        row(&[
            report.run.to_string(),
            report.peer.clone(),
            format!("{}{}", report.kept_per_s, if report.to_the_top { " and more" } else { "" }),
            format!("{:.1}", report.cpu_us_per_delivery),
            format!("{:.1}", report.delivery_p99_ms),
        ])
    };
    let rows: String = reports.iter().map(cells).collect();
    say(&format!("\n{}{rows}", head(&["run", "peer", "deliveries/s kept", "us/delivery", "p99 ms"])))
}

const STORM_HEAD: [&str; 12] = [
    "run",
    "peer",
    "sessions",
    "cut off",
    "back in 10 s",
    "back p50 / p99 / max ms",
    "tries failed",
    "sessions lost",
    "statements/s before / during",
    "rise %",
    "lost/doubled/unordered/diverged",
    "other faults",
];

pub(crate) fn storm_head() -> Result<()> {
    say(&head(&STORM_HEAD))
}

pub(crate) fn storm_row(report: &StormReport) -> Result<()> {
    let number = |figure: Option<f64>| figure.map_or_else(|| "-".to_owned(), |figure| format!("{figure:.0}"));
    let (before, during) = (report.statements_before_per_s, report.statements_during_per_s);
    let back = report.back;
    let cells: [String; STORM_HEAD.len()] = [
        report.run.to_string(),
        report.peer.clone(),
        report.sessions.to_string(),
        report.cut_off.to_string(),
        format!("{} ({:.1} %)", report.back_in_10_s, report.back_in_10_s_percent),
        format!("{:.0} / {:.0} / {:.0}", back.p50_ms, back.p99_ms, back.max_ms),
        report.failures.to_string(),
        report.sessions_lost.to_string(),
        format!("{} / {}", number(before), number(during)),
        number(report.statements_rise_percent),
        order(&report.verdict),
        other_faults(&report.verdict, 0),
    ];
    say(&row(&cells))
}

const FAILOVER_HEAD: [&str; 9] = [
    "run",
    "peer",
    "led",
    "rooms it ordered",
    "taken again p50 / max ms",
    "never",
    "p99 ms of all",
    "lost/doubled/unordered/diverged",
    "other faults",
];

pub(crate) fn failover_head() -> Result<()> {
    say(&head(&FAILOVER_HEAD))
}

pub(crate) fn failover_row(report: &FailoverReport) -> Result<()> {
    let cells: [String; FAILOVER_HEAD.len()] = [
        report.run.to_string(),
        report.peer.clone(),
        if report.led { "yes" } else { "no" }.to_owned(),
        report.rooms.to_string(),
        format!("{:.0} / {:.0}", report.pause.p50_ms, report.pause.max_ms),
        report.never.to_string(),
        format!("{:.0}", report.delivery.p99_ms),
        order(&report.verdict),
        other_faults(&report.verdict, 0),
    ];
    say(&row(&cells))
}

const DAY_HEAD: [&str; 13] = [
    "run",
    "peer",
    "clients",
    "rooms",
    "messages",
    "other acts",
    "deliveries",
    "us/delivery",
    "bytes/delivery",
    "p50 / p99 ms",
    "RSS MiB",
    "lost/doubled/unordered/diverged",
    "other faults",
];

pub(crate) fn day_head() -> Result<()> {
    say(&head(&DAY_HEAD))
}

pub(crate) fn day_row(report: &DayReport) -> Result<()> {
    let cells: [String; DAY_HEAD.len()] = [
        report.run.to_string(),
        report.peer.clone(),
        report.clients.to_string(),
        report.rooms.to_string(),
        report.messages.to_string(),
        report.acts.to_string(),
        report.deliveries.to_string(),
        format!("{:.1}", report.cpu_us_per_delivery),
        format!("{:.0}", report.bytes_per_delivery),
        format!("{:.1} / {:.1}", report.delivery.p50_ms, report.delivery.p99_ms),
        mib(report.rss_kib as f64),
        order(&report.verdict),
        other_faults(&report.verdict, 0),
    ];
    say(&row(&cells))
}

/// What was lost, and what was shown otherwise than in the one order.
fn order(verdict: &Verdict) -> String {
    let faults = &verdict.faults;
    format!("{}/{}/{}/{}", verdict.lost, faults.doubled, faults.out_of_order, verdict.diverged_rooms)
}
