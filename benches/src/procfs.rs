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
    /// The process that started it, or that took it over.
    pub(crate) parent: u32,
    /// User and system time of all threads, also of those that have ended. Grows in steps of 10 ms.
    pub(crate) cpu: Duration,
    /// The same of its children that have ended and were waited for, and of theirs.
    pub(crate) cpu_of_ended_children: Duration,
}

pub(crate) fn stat(pid: u32) -> Result<Stat> {
    let path = format!("/proc/{pid}/stat");
    let text = fs::read_to_string(&path).with_context(|| format!("reading {path}"))?;
    parse_stat(&text).with_context(|| format!("{path} is not of the known form"))
}

/// CPU time of this process.
pub(crate) fn own_cpu() -> Result<Duration> {
    Ok(stat(std::process::id())?.cpu)
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
    let parent = fields.next()?.parse().ok()?;
    let mut ticks = fields.skip(9).map(str::parse::<u64>);
    let mut both = || Some(ticks.next()?.ok()? + ticks.next()?.ok()?);
    let time = |ticks: u64| Duration::from_millis(ticks * 1_000 / TICKS_PER_S);
    let (cpu, cpu_of_ended_children) = (time(both()?), time(both()?));
    Some(Stat { state, parent, cpu, cpu_of_ended_children })
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
        let (cpu, cpu_of_ended_children) = (Duration::from_millis(1_750), Duration::from_millis(180));
        assert_eq!(stat, Stat { state: 'R', parent: 1, cpu, cpu_of_ended_children });
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
        let kib = status_kib(std::process::id(), "VmRSS").expect("readable");
        assert!(kib.expect("it lives") > 100);
        let before = own_cpu().expect("readable");
        let mut spins = 0_u64;
        while own_cpu().expect("readable") < before + Duration::from_millis(20) {
            spins += 1;
            assert!(spins < 100_000_000, "no CPU time was counted");
        }
    }
}
