//! All that this program says: tables of Markdown, or JSON lines with `--json`, on standard output.

mod many;

use std::io::{self, Write};

use anyhow::{Context, Result};
use serde::Serialize;

use crate::compare::Summary;
use crate::import::ImportReport;
use crate::ledger::Verdict;
use crate::load::RunReport;
use crate::processes::Role;
use crate::replay::ReplayReport;
use crate::roundtrip::RoundtripReport;
use crate::store::StoreReport;
use crate::transport::TransportReport;

pub(crate) use self::many::{
    climbs, day_head, day_row, failover_head, failover_row, gather_head, gather_row, gather_summaries, step_head,
    step_row, storm_head, storm_row,
};

/// Says `line` on standard error, where it disturbs no table.
pub(crate) fn note(line: &str) {
    // Whoever started the program may have closed this stream; there is nobody else to tell.
    let _ = writeln!(io::stderr(), "{line}");
}

fn say(text: &str) -> Result<()> {
    let mut output = io::stdout().lock();
    let written = output.write_all(text.as_bytes()).and_then(|()| output.flush());
    written.context("writing to standard output")
}

/// One JSON line, marked by what it is.
pub(crate) fn json(kind: &str, value: &impl Serialize) -> Result<()> {
    let mut line = serde_json::to_value(value)?;
    line["kind"] = kind.into();
    say(&format!("{line}\n"))
}

/// Rows of the store's runs.
pub(crate) fn stores(reports: &[StoreReport]) -> Result<()> {
    say("| run | messages/s | messages/append | p50 / p99 ms at the rate | rate kept |\n|---|---|---|---|---|\n")?;
    for report in reports {
        let answer = report.answer;
        say(&format!(
            "| {} | {:.0} | {:.0} | {:.1} / {:.1} | {} |\n",
            report.run,
            report.messages_per_s,
            report.messages_per_append,
            answer.p50_ms,
            answer.p99_ms,
            report.rate_kept
        ))?;
    }
    Ok(())
}

/// Rows of the transport's runs.
pub(crate) fn transports(reports: &[TransportReport]) -> Result<()> {
    say("| run | way | ask p50 / p99 us | CPU us/ask | frames/s | CPU us/frame |\n|---|---|---|---|---|---|\n")?;
    for report in reports {
        say(&format!(
            "| {} | {} | {:.0} / {:.0} | {:.1} | {:.0} | {:.2} |\n",
            report.run,
            report.way,
            report.rtt_p50_us,
            report.rtt_p99_us,
            report.cpu_us_per_ask,
            report.frames_per_s,
            report.cpu_us_per_frame
        ))?;
    }
    Ok(())
}

const RUN_HEAD: [&str; 13] = [
    "case",
    "run",
    "peer",
    "us/delivery",
    "of which node / database / cache",
    "deliveries/s",
    "bytes/delivery",
    "p50 / p99 ms",
    "ack p50 ms",
    "RSS MiB",
    "lost",
    "doubled/unordered/diverged",
    "other faults",
];

pub(crate) fn run_head() -> Result<()> {
    say(&head(&RUN_HEAD))
}

pub(crate) fn run_row(report: &RunReport) -> Result<()> {
    say(&row(&run_cells(report)))
}

fn run_cells(report: &RunReport) -> [String; 13] {
    let verdict = &report.verdict;
    let faults = &verdict.faults;
    [
        report.case.to_owned(),
        report.run.to_string(),
        report.peer.clone(),
        format!("{:.1}", report.cpu_us_per_delivery),
        by_role(report),
        format!("{:.0}", report.deliveries_per_s),
        format!("{:.0}", report.bytes_per_delivery),
        format!("{:.1} / {:.1}", report.delivery.p50_ms, report.delivery.p99_ms),
        format!("{:.1}", report.ack.p50_ms),
        mib(report.server_rss_kib as f64),
        verdict.lost.to_string(),
        format!("{}/{}/{}", faults.doubled, faults.out_of_order, verdict.diverged_rooms),
        other_faults(verdict, report.unsent),
    ]
}

/// What each role used of a delivery's CPU time; a dash for a role that the server has not.
fn by_role(report: &RunReport) -> String {
    let of = |role: Role| report.cpu_us_per_delivery_by.get(&role);
    let cell = |role| of(role).map_or_else(|| "-".to_owned(), |us| format!("{us:.1}"));
    [Role::Node, Role::Database, Role::Cache].map(cell).join(" / ")
}

/// The faults that nearly never happen, by name.
fn other_faults(verdict: &Verdict, unsent: u64) -> String {
    let counts = [
        ("holes", verdict.faults.holes),
        ("strays", verdict.faults.strays),
        ("gaps", verdict.faults.gaps),
        ("refused", verdict.refused),
        ("unanswered", verdict.unanswered),
        ("closed", verdict.closed),
        ("unsent", unsent),
    ];
    let found = counts.iter().filter(|(_, count)| *count > 0);
    let found: Vec<String> = found.map(|(name, count)| format!("{count} {name}")).collect();
    if found.is_empty() {
        return "none".to_owned();
    }
    found.join(", ")
}

pub(crate) fn summaries(summaries: &[Summary]) -> Result<()> {
    let rows: String = summaries.iter().map(|summary| row(&summary_cells(summary))).collect();
    say(&format!(
        "
{}{rows}",
        head(&SUMMARY_HEAD)
    ))
}

const SUMMARY_HEAD: [&str; 10] = [
    "case",
    "peer",
    "us/delivery min / median / max",
    "of which node",
    "times floor",
    "bytes/delivery",
    "p50 / p99 ms",
    "ack p50 ms",
    "RSS MiB",
    "clean runs",
];

fn summary_cells(summary: &Summary) -> [String; 10] {
    [
        summary.case.to_owned(),
        summary.peer.clone(),
        format!("{:.1} / {:.1} / {:.1}", summary.cpu_us_min, summary.cpu_us_median, summary.cpu_us_max),
        format!("{:.1}", summary.node_cpu_us_median),
        summary.times_floor.map_or_else(|| "-".to_owned(), |times| format!("{times:.2}")),
        format!("{:.0}", summary.bytes_per_delivery),
        format!("{:.1} / {:.1}", summary.delivery_p50_ms, summary.delivery_p99_ms),
        format!("{:.1}", summary.ack_p50_ms),
        mib(summary.rss_kib),
        format!("{} of {}", summary.clean_runs, summary.runs),
    ]
}

pub(crate) fn import(report: &ImportReport) -> Result<()> {
    let names =
        ["file", "rows", "s", "rows/s", "us/row", "RSS MiB at 25 / 50 / 75 / 100 %", "RSS max MiB", "stored MiB"];
    let quarters = [
        report.rss_kib_at_25_percent,
        report.rss_kib_at_50_percent,
        report.rss_kib_at_75_percent,
        report.rss_kib_at_end,
    ];
    let cells = [
        report.file.clone(),
        report.rows.to_string(),
        format!("{:.2}", report.wall_s),
        format!("{:.0}", report.rows_per_s),
        format!("{:.1}", report.cpu_us_per_row),
        quarters.map(|kib| mib(kib as f64)).join(" / "),
        mib(report.rss_kib_max as f64),
        mib(report.stored_bytes as f64 / 1_024.0),
    ];
    say(&(head(&names) + &row(&cells)))
}

pub(crate) fn replay(report: &ReplayReport) -> Result<()> {
    let names = [
        "file",
        "rows",
        "clients",
        "rooms each",
        "rooms and threads",
        "replayed in s",
        "messages/s",
        "deliveries",
        "deliveries/s",
        "node us/delivery",
        "lost / doubled / unordered / missing / unlike",
        "verdict",
    ];
    let faults = [report.lost, report.doubled, report.out_of_order, report.missing, report.unlike];
    let cells = [
        report.file.clone(),
        report.rows.to_string(),
        report.clients.to_string(),
        report.rooms_each.to_string(),
        report.rooms.to_string(),
        format!("{:.1}", report.replay_s),
        format!("{:.0}", report.messages_per_s),
        report.deliveries.to_string(),
        format!("{:.0}", report.deliveries_per_s),
        format!("{:.1}", report.node_us_per_delivery),
        faults.map(|count| count.to_string()).join(" / "),
        if report.clean { "clean" } else { "NOT clean" }.to_owned(),
    ];
    say(&(head(&names) + &row(&cells)))?;
    note(&format!("the replay said {}", report.said));
    Ok(())
}

pub(crate) fn roundtrip_head() -> Result<()> {
    say(&head(&[
        "archives",
        "rows",
        "rooms",
        "threads",
        "events",
        "export = archive",
        "exports equal",
        "logs unlike",
    ]))
}

pub(crate) fn roundtrip_row(report: &RoundtripReport) -> Result<()> {
    let yes = |is: bool| if is { "yes" } else { "NO" }.to_owned();
    say(&row(&[
        report.files.clone(),
        report.rows.to_string(),
        report.rooms.to_string(),
        report.threads.to_string(),
        report.events.to_string(),
        yes(report.export_is_archive),
        yes(report.exports_equal),
        report.rooms_unlike.to_string(),
    ]))
}

fn mib(kib: f64) -> String {
    format!("{:.1}", kib / 1_024.0)
}

/// The first two lines of a Markdown table, whose rows can then follow one by one.
fn head(names: &[&str]) -> String {
    let rule: Vec<String> = names.iter().map(|name| "-".repeat(name.len())).collect();
    row(names) + &row(&rule)
}

fn row(cells: &[impl AsRef<str>]) -> String {
    let cells: Vec<&str> = cells.iter().map(AsRef::as_ref).collect();
    format!("| {} |\n", cells.join(" | "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::{self, tests::report};

    #[test]
    fn every_row_has_the_columns_of_its_head() {
        let head = head(&RUN_HEAD);
        let bars = |line: &str| line.matches('|').count();
        let row = row(&run_cells(&report("floor", 12.34, 0)));
        assert!(head.lines().all(|line| bars(line) == 14), "{head}");
        assert_eq!(bars(&row), 14);
        assert!(row.starts_with("| fan5k | 1 | floor | 12.3 | 11.3 / 1.0 / - | 5000 | 300 |"), "{row}");
    }

    #[test]
    fn rare_faults_are_named() {
        let mut faulty = report("hubbub", 1.0, 0);
        assert_eq!(other_faults(&faulty.verdict, 0), "none");
        faulty.verdict.closed = 3;
        assert_eq!(other_faults(&faulty.verdict, 1), "3 closed, 1 unsent");
    }

    #[test]
    fn a_summary_without_a_floor_shows_no_ratio() {
        let summaries = compare::summarise(&[report("hubbub", 14.0, 0)]);
        let cells = summary_cells(&summaries[0]);
        assert_eq!(cells[2], "14.0 / 14.0 / 14.0");
        assert_eq!((&*cells[3], &*cells[4]), ("13.0", "-"));
        assert_eq!(cells[9], "1 of 1");
    }
}
