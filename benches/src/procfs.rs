//! CPU time and memory of a process, from Linux's `/proc`.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};

/// Unit of the CPU times in `/proc/PID/stat`: `USER_HZ`, which is 100 on every architecture this runs on.
const TICKS_PER_S: u64 = 100;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stat {
    /// `Z` once the process has ended and nobody has asked for its status.
    pub(crate) state: char,
    /// User and system time of all threads, also of those that have ended. Grows in steps of 10 ms.
    pub(crate) cpu: Duration,
}

pub(crate) fn stat(pid: u32) -> Result<Stat> {
    let path = format!("/proc/{pid}/stat");
    let text = fs::read_to_string(&path).with_context(|| format!("reading {path}"))?;
    parse_stat(&text).with_context(|| format!("{path} is not of the known form"))
}

/// CPU time of all of `pids`.
pub(crate) fn cpu(pids: &[u32]) -> Result<Duration> {
    pids.iter().map(|pid| stat(*pid).map(|stat| stat.cpu)).sum()
}

/// Resident memory of all of `pids` in KiB.
pub(crate) fn rss_kib(pids: &[u32]) -> Result<u64> {
    pids.iter().map(|pid| status_kib(*pid, "VmRSS")?.context("the process has ended")).sum()
}

/// A field of `/proc/PID/status` in KiB; `None` for a process that has ended and so has no memory.
pub(crate) fn status_kib(pid: u32, field: &str) -> Result<Option<u64>> {
    let path = format!("/proc/{pid}/status");
    let text = fs::read_to_string(&path).with_context(|| format!("reading {path}"))?;
    Ok(parse_kib(&text, field))
}

fn parse_stat(text: &str) -> Option<Stat> {
    // The name in parentheses may hold blanks and parentheses itself.
    let (_, fields) = text.rsplit_once(')')?;
    let mut fields = fields.split_ascii_whitespace();
    let state = fields.next()?.chars().next()?;
    let mut times = fields.skip(10);
    let user: u64 = times.next()?.parse().ok()?;
    let system: u64 = times.next()?.parse().ok()?;
    let cpu = Duration::from_millis((user + system) * 1_000 / TICKS_PER_S);
    Some(Stat { state, cpu })
}

fn parse_kib(text: &str, field: &str) -> Option<u64> {
    text.lines().find_map(|line| {
        let rest = line.strip_prefix(field)?.strip_prefix(':')?;
        rest.trim().strip_suffix("kB")?.trim().parse().ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_process_cannot_confuse_its_times() {
        let text = "42 (a) S (b)) R 1 42 42 0 -1 4194304 100 0 0 0 150 25 9 9 20 0 1 0 100 1 1";
        let stat = parse_stat(text).expect("the known form");
        assert_eq!(stat, Stat { state: 'R', cpu: Duration::from_millis(1_750) });
        assert_eq!(parse_stat("42 (x) R 1"), None);
    }

    #[test]
    fn memory_is_read_by_its_name() {
        let text = "Name:\tx\nVmHWM:\t  2000 kB\nVmRSS:\t  1234 kB\n";
        assert_eq!(parse_kib(text, "VmRSS"), Some(1_234));
        assert_eq!(parse_kib(text, "VmHWM"), Some(2_000));
        assert_eq!(parse_kib(text, "Vm"), None);
    }

    #[test]
    fn this_process_has_memory_and_its_work_takes_time() {
        let pids = [std::process::id()];
        assert!(rss_kib(&pids).expect("readable") > 100);
        let before = cpu(&pids).expect("readable");
        let mut spins = 0_u64;
        while cpu(&pids).expect("readable") < before + Duration::from_millis(20) {
            spins += 1;
            assert!(spins < 100_000_000, "no CPU time was counted");
        }
    }
}
