//! Times a bulk import into a stopped node and watches its memory.
//!
//! The import is the product's own command on an empty data directory. Memory is sampled from outside all the while;
//! it is flat when the samples at a quarter, half and three quarters of the run are no lower than those at its end.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde::Serialize;
use tempfile::TempDir;

use crate::archives;
use crate::load::per;
use crate::procfs;

const SAMPLE_EVERY: Duration = Duration::from_millis(50);

#[derive(Debug, Clone, Serialize)]
pub(crate) struct ImportReport {
    pub(crate) file: String,
    pub(crate) rows: u64,
    pub(crate) wall_s: f64,
    pub(crate) rows_per_s: f64,
    pub(crate) cpu_us_per_row: f64,
    pub(crate) rss_kib_at_25_percent: u64,
    pub(crate) rss_kib_at_50_percent: u64,
    pub(crate) rss_kib_at_75_percent: u64,
    pub(crate) rss_kib_at_end: u64,
    pub(crate) rss_kib_max: u64,
    /// Size of the data directory afterwards.
    pub(crate) stored_bytes: u64,
}

/// What was seen of a child from its start to its end.
#[derive(Debug, Default)]
struct Watched {
    wall: Duration,
    cpu: Duration,
    rss: Vec<(Duration, u64)>,
}

/// Imports `file` by `binary` into a fresh data directory.
pub(crate) fn import(binary: &Path, file: &Path) -> Result<ImportReport> {
    let rows = count_rows(file)?;
    let data = TempDir::with_prefix("hubbub-bench-")?;
    let secret = TempDir::with_prefix("hubbub-bench-")?;
    let password = secret.path().join("password");
    std::fs::write(&password, "correct horse battery staple\n")?;
    let mut user = Command::new(binary);
    user.args(["user", "create", "bench", "--owner", "--password-file"]);
    user.arg(&password).arg("--data-dir").arg(data.path());
    let made = user.stdin(Stdio::null()).output().context("cannot run the node's program")?;
    ensure!(made.status.success(), "the owner could not be made: {}", String::from_utf8_lossy(&made.stderr));
    let mut command = Command::new(binary);
    command.args(["import", "jsonl"]).arg(file);
    command.args(["--community", "bench", "--direct", "--data-dir"]).arg(data.path());
    let watched = watch(&mut command)?;
    let at = |percent: u32| rss_at(&watched.rss, watched.wall * percent / 100);
    Ok(ImportReport {
        file: archives::name(file),
        rows,
        wall_s: watched.wall.as_secs_f64(),
        rows_per_s: rows as f64 / watched.wall.as_secs_f64(),
        cpu_us_per_row: per(watched.cpu, rows),
        rss_kib_at_25_percent: at(25),
        rss_kib_at_50_percent: at(50),
        rss_kib_at_75_percent: at(75),
        rss_kib_at_end: at(100),
        rss_kib_max: watched.rss.iter().map(|(_, kib)| *kib).max().unwrap_or_default(),
        stored_bytes: bytes_under(data.path())?,
    })
}

/// Rows of a JSON-lines file, plain or gzip by its name.
fn count_rows(file: &Path) -> Result<u64> {
    let mut rows = 0;
    for line in BufReader::new(archives::open(file)?).split(b'\n') {
        rows += u64::from(!line?.is_empty());
    }
    Ok(rows)
}

/// Runs `command` to its end, sampling its memory.
///
/// # Errors
/// Its exit status when that is no success, with what it said on standard error.
fn watch(command: &mut Command) -> Result<Watched> {
    let log = tempfile::NamedTempFile::new()?;
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log.reopen()?);
    let begun = Instant::now();
    let mut child = command.spawn().context("cannot run the node's program")?;
    let watched = sample_until_end(&child, begun);
    if watched.is_err() {
        child.kill()?;
    }
    let status = child.wait()?;
    let said = std::fs::read_to_string(log.path()).unwrap_or_default();
    ensure!(status.success(), "it ended with {status}: {said}");
    watched
}

#[expect(clippy::disallowed_methods, reason = "the import is another process, and no runtime is on this thread")]
fn sample_until_end(child: &Child, begun: Instant) -> Result<Watched> {
    let mut watched = Watched::default();
    loop {
        let stat = procfs::stat(child.id())?;
        watched.wall = begun.elapsed();
        watched.cpu = stat.cpu;
        // An ended child keeps its CPU time until it is waited for, but has no memory any more.
        if stat.state == 'Z' {
            return Ok(watched);
        }
        if let Some(kib) = procfs::status_kib(child.id(), "VmRSS")? {
            watched.rss.push((begun.elapsed(), kib));
        }
        thread::sleep(SAMPLE_EVERY);
    }
}

/// The last sample not after `time`, the first one if there is none, 0 without samples.
fn rss_at(samples: &[(Duration, u64)], time: Duration) -> u64 {
    let behind = samples.partition_point(|(at, _)| *at <= time);
    samples.get(behind.saturating_sub(1)).map_or(0, |(_, kib)| *kib)
}

fn bytes_under(directory: &Path) -> Result<u64> {
    let mut total = 0;
    let mut open: Vec<PathBuf> = vec![directory.to_owned()];
    while let Some(next) = open.pop() {
        for entry in std::fs::read_dir(next)? {
            let entry = entry?;
            let kind = entry.file_type()?;
            if kind.is_dir() {
                open.push(entry.path());
            } else if kind.is_file() {
                total += entry.metadata()?.len();
            }
        }
    }
    Ok(total)
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    #[test]
    fn rows_are_counted_in_plain_and_packed_files() {
        let folder = TempDir::new().expect("a folder");
        let (plain, packed) = (folder.path().join("a.jsonl"), folder.path().join("a.jsonl.gz"));
        std::fs::write(&plain, "{}\n{}\n\n{}").expect("written");
        let mut encoder = GzEncoder::new(File::create(&packed).expect("a file"), Compression::fast());
        encoder.write_all(b"{}\n{}\n").expect("written");
        encoder.finish().expect("written");
        assert_eq!(count_rows(&plain).expect("readable"), 3);
        assert_eq!(count_rows(&packed).expect("readable"), 2);
        assert!(bytes_under(folder.path()).expect("readable") > 9);
    }

    #[test]
    fn memory_is_looked_up_by_the_time_of_the_run() {
        let ms = Duration::from_millis;
        let samples = [(ms(1), 10), (ms(50), 20), (ms(100), 30)];
        assert_eq!(rss_at(&samples, ms(0)), 10);
        assert_eq!(rss_at(&samples, ms(60)), 20);
        assert_eq!(rss_at(&samples, ms(500)), 30);
        assert_eq!(rss_at(&[], ms(5)), 0);
    }

    #[test]
    fn a_command_is_watched_to_its_end_and_its_failure_quoted() {
        let mut busy = Command::new("sh");
        busy.args(["-c", "i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done"]);
        let watched = watch(&mut busy).expect("it succeeds");
        assert!(watched.cpu >= Duration::from_millis(20), "{watched:?}");
        assert!(rss_at(&watched.rss, watched.wall) > 100, "{watched:?}");
        let mut failing = Command::new("sh");
        failing.args(["-c", "echo 'no such room' >&2; exit 2"]);
        let failure = watch(&mut failing).expect_err("it fails");
        assert!(failure.to_string().contains("no such room"), "{failure}");
    }
}
