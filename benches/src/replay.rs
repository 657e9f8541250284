//! Replays an archive through real clients while others look on, and holds what each was shown against the logs.
//!
//! The node and the replay are the product's own program, each a process of its own; the clients that look on are in
//! this one.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde::Serialize;
use serde_json::Value;
use tempfile::TempDir;
use tokio::process::Command;
use tokio::time::Instant;

use crate::archives;
use crate::audience::{Owner, judge};
use crate::procfs;
use crate::server::{Server, free_port};

const COMMUNITY: &str = "bench";
/// How long what is still under way may take once all was sent.
const SEEN_WITHIN: Duration = Duration::from_secs(120);

#[derive(Debug, Clone, Serialize)]
pub(crate) struct ReplayReport {
    pub(crate) file: String,
    pub(crate) rows: u64,
    pub(crate) clients: usize,
    /// Rooms each of them follows, threads not counted.
    pub(crate) rooms_each: usize,
    pub(crate) rooms: u64,
    pub(crate) replay_s: f64,
    pub(crate) messages_per_s: f64,
    pub(crate) deliveries: u64,
    pub(crate) deliveries_per_s: f64,
    pub(crate) node_us_per_delivery: f64,
    pub(crate) lost: u64,
    pub(crate) doubled: u64,
    pub(crate) out_of_order: u64,
    pub(crate) missing: u64,
    pub(crate) unlike: u64,
    pub(crate) clean: bool,
    /// What the replay said it did.
    pub(crate) said: Value,
}

/// Replays `file` over `connections` connections before `clients` clients, each in one room of `every`.
pub(crate) async fn replay(
    binary: &Path,
    file: &Path,
    clients: usize,
    every: usize,
    connections: usize,
) -> Result<ReplayReport> {
    let (names, rows) = rooms_of(file)?;
    let data = TempDir::with_prefix("hubbub-bench-")?;
    let (port, admin) = (free_port()?, free_port()?);
    ensure!(port != admin, "the same free port was found twice: run again");
    let mut command = Command::new(binary);
    command.arg("serve").arg("--data-dir").arg(data.path());
    command.args(["--listen", &format!("127.0.0.1:{port}"), "--admin-listen", &format!("127.0.0.1:{admin}")]);
    command.args(["--registration", "open", "--rate-limits", "off"]);
    let server = Server::start("hubbub", command).await?;
    let owner = Owner::register(&format!("http://127.0.0.1:{port}"), COMMUNITY).await?;
    let rooms = owner.make_rooms(&names).await?;
    let audience = owner.audience(clients, every, &rooms).await?;

    let cpu = procfs::stat(server.pid())?.cpu;
    let begun = Instant::now();
    let said = run(binary, file, data.path(), connections).await?;
    let replayed = begun.elapsed();
    let (log, messages) = owner.logs(&rooms).await?;
    let verdict = judge(audience, &log, SEEN_WITHIN).await?;
    let seen = begun.elapsed();
    let cpu = procfs::stat(server.pid())?.cpu.saturating_sub(cpu);
    server.stop().await?;
    let faults = verdict.faults;
    Ok(ReplayReport {
        file: archives::name(file),
        rows,
        clients,
        rooms_each: rooms.len().div_ceil(every),
        rooms: log.lines().count() as u64,
        replay_s: replayed.as_secs_f64(),
        messages_per_s: messages as f64 / replayed.as_secs_f64(),
        deliveries: verdict.events,
        deliveries_per_s: verdict.events as f64 / seen.as_secs_f64(),
        node_us_per_delivery: crate::load::per(cpu, verdict.events),
        lost: faults.lost,
        doubled: faults.doubled,
        out_of_order: faults.out_of_order,
        missing: verdict.missing,
        unlike: verdict.unlike,
        clean: verdict.is_clean() && verdict.events > 0,
        said,
    })
}

async fn run(binary: &Path, file: &Path, data: &Path, connections: usize) -> Result<Value> {
    let mut command = Command::new(binary);
    command.args(["import", "jsonl"]).arg(file).args(["--community", COMMUNITY, "--json"]);
    command.args(["--clients", &connections.to_string(), "--data-dir"]).arg(data);
    let ended = command.stdin(Stdio::null()).stderr(Stdio::inherit()).kill_on_drop(true).output().await?;
    ensure!(ended.status.success(), "the replay ended with {}", ended.status);
    serde_json::from_slice(&ended.stdout).context("reading what the replay did")
}

/// The rooms an archive names, and its rows.
fn rooms_of(file: &Path) -> Result<(Vec<String>, u64)> {
    let (mut rooms, mut rows) = (BTreeSet::new(), 0);
    for line in BufReader::new(archives::open(file)?).lines() {
        let line: Value = serde_json::from_str(&line?)?;
        rooms.extend(line["room"].as_str().map(str::to_owned));
        rows += 1;
    }
    Ok((rooms.into_iter().collect(), rows))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rooms_of_an_archive_are_those_its_lines_name() {
        let folder = TempDir::new().expect("a folder");
        let file = folder.path().join("a.jsonl");
        std::fs::write(&file, "{\"room\":\"b\"}\n{\"room\":\"a\"}\n{\"room\":\"b\"}\n").expect("written");
        assert_eq!(rooms_of(&file).expect("readable"), (vec!["a".to_owned(), "b".to_owned()], 3));
    }
}
