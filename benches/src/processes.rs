//! What a server uses that is made of several processes: nodes, the database with its backends, the cache.
//!
//! A [`Part`] is a process and whatever it started. CPU time of a child that has ended is with its parent, who waited
//! for it, so a database that starts and ends backends loses none of it.
//!
//! # Invariants
//! - CPU time of a part only grows while its first process lives.
//! - Memory that the processes of one part share is counted once: program text and shared memory by the largest share
//!   that one of them has resident. A part of one process has its `VmRSS`.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};
use serde::Serialize;

use crate::procfs::{self, Stat};

/// What a part is to the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Role {
    /// The server's own program, on each of its nodes.
    Node,
    Database,
    Cache,
}

/// A process of a server's, with all that descend from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) role: Role,
    pub(crate) pid: u32,
}

impl Part {
    pub(crate) fn node(pid: u32) -> Self {
        Self { role: Role::Node, pid }
    }
}

/// What the parts of one role have used up to now.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Used {
    pub(crate) cpu: Duration,
    pub(crate) rss_kib: u64,
}

/// What a server has used up to now, by role.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Usage(BTreeMap<Role, Used>);

impl Usage {
    /// Reads it for all of `parts`.
    ///
    /// # Errors
    /// When the first process of a part has ended.
    pub(crate) fn of(parts: &[Part]) -> Result<Self> {
        let all = Everything::read()?;
        let mut usage = Self::default();
        for part in parts {
            let used = all.used(part.pid).with_context(|| format!("the {:?} has ended", part.role))?;
            let sum = usage.0.entry(part.role).or_default();
            sum.cpu += used.cpu;
            sum.rss_kib += used.rss_kib;
        }
        Ok(usage)
    }

    /// CPU time of all parts.
    pub(crate) fn cpu(&self) -> Duration {
        self.0.values().map(|used| used.cpu).sum()
    }

    /// Resident memory of all parts.
    pub(crate) fn rss_kib(&self) -> u64 {
        self.0.values().map(|used| used.rss_kib).sum()
    }

    /// CPU time since `before`, by role.
    pub(crate) fn cpu_since(&self, before: &Self) -> BTreeMap<Role, Duration> {
        let of = |role: &Role| before.0.get(role).map_or(Duration::ZERO, |used| used.cpu);
        self.0.iter().map(|(role, used)| (*role, used.cpu.saturating_sub(of(role)))).collect()
    }
}

/// All processes of the machine at one moment, with who started whom.
struct Everything {
    stats: BTreeMap<u32, Stat>,
    children: BTreeMap<u32, Vec<u32>>,
}

impl Everything {
    fn read() -> Result<Self> {
        let (mut stats, mut children) = (BTreeMap::new(), BTreeMap::<u32, Vec<u32>>::new());
        for entry in fs::read_dir("/proc").context("reading /proc")? {
            let Some(pid) = entry?.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
            // One that has ended since the listing is with its parent by now.
            let Ok(stat) = procfs::stat(pid) else { continue };
            children.entry(stat.parent).or_default().push(pid);
            stats.insert(pid, stat);
        }
        Ok(Self { stats, children })
    }

    /// What `root` and its descendants have used; `None` when `root` is gone.
    fn used(&self, root: u32) -> Option<Used> {
        self.stats.get(&root)?;
        let (mut used, mut open) = (Used::default(), vec![root]);
        let mut shared = Shared::default();
        while let Some(pid) = open.pop() {
            if let Some(stat) = self.stats.get(&pid) {
                used.cpu += stat.cpu + stat.cpu_of_ended_children;
            }
            let kib = |field| procfs::status_kib(pid, field).ok().flatten().unwrap_or_default();
            used.rss_kib += kib("RssAnon");
            shared.largest(kib("RssFile"), kib("RssShmem"));
            open.extend(self.children.get(&pid).into_iter().flatten());
        }
        used.rss_kib += shared.file + shared.memory;
        Some(used)
    }
}

/// The largest share of files and of shared memory that one process has resident, in KiB.
#[derive(Debug, Default)]
struct Shared {
    file: u64,
    memory: u64,
}

impl Shared {
    fn largest(&mut self, file: u64, memory: u64) {
        self.file = self.file.max(file);
        self.memory = self.memory.max(memory);
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};
    use std::time::Instant;

    use super::*;

    /// Uses some CPU time in `sh` below `sh`, then says so and stays.
    const BURNS: &str = "sh -c 'i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done'; echo done; read line";

    #[test]
    fn what_a_child_used_before_it_ended_is_its_parents() {
        let mut parent = Command::new("sh")
            .args(["-c", BURNS])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a shell");
        let mut said = std::io::BufReader::new(parent.stdout.take().expect("piped"));
        std::io::BufRead::read_line(&mut said, &mut String::new()).expect("it says that the child has ended");
        let own = procfs::stat(parent.id()).expect("it waits").cpu;
        let usage = Usage::of(&[Part::node(parent.id())]).expect("it waits");
        assert!(usage.cpu() >= own + Duration::from_millis(10), "{usage:?} has nothing of the child's");
        parent.kill().expect("it waited");
        parent.wait().expect("it is ours");
        assert!(Usage::of(&[Part::node(parent.id())]).is_err(), "it has ended");
    }

    #[test]
    fn children_that_live_are_summed_and_share_what_they_share() {
        let mut parent = Command::new("sh").args(["-c", "sleep 60 & sleep 60 & wait"]).spawn().expect("a shell");
        let pid = parent.id();
        let begun = Instant::now();
        let children = loop {
            let all = Everything::read().expect("readable");
            let children = all.children.get(&pid).cloned().unwrap_or_default();
            let are_sleepers = children.iter().all(|pid| all.stats[pid].state == 'S');
            if children.len() == 2 && are_sleepers || begun.elapsed() > Duration::from_secs(10) {
                break children;
            }
        };
        let alone = Usage::of(&[Part { role: Role::Cache, pid: children[0] }]).expect("it sleeps");
        let rss = procfs::status_kib(children[0], "VmRSS").expect("it sleeps").expect("it has memory");
        let all = Usage::of(&[Part::node(pid)]).expect("it waits");
        for child in children {
            Command::new("kill").arg(child.to_string()).status().expect("kill is a program");
        }
        parent.wait().expect("it is ours");
        assert_eq!(alone.rss_kib(), rss);
        assert!(all.rss_kib() > alone.rss_kib(), "{all:?} is more than {alone:?}");
    }

    #[test]
    fn cpu_time_is_told_apart_by_role() {
        let at = |node, database| {
            let used = |ms| Used { cpu: Duration::from_millis(ms), rss_kib: 1 };
            Usage(BTreeMap::from([(Role::Node, used(node)), (Role::Database, used(database))]))
        };
        let (before, after) = (at(100, 10), at(130, 15));
        let spent = after.cpu_since(&before);
        assert_eq!(spent[&Role::Node], Duration::from_millis(30));
        assert_eq!(spent[&Role::Database], Duration::from_millis(5));
        assert_eq!((after.cpu(), after.rss_kib()), (Duration::from_millis(145), 2));
    }
}
