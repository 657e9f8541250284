//! How long Raft waits, and why no two nodes wait equally long.
//!
//! openraft 0.9 draws a node's election timeout once, when it starts. Two survivors that have drawn nearly the same
//! could stand against each other for ever. So each node draws from a window of its own: its *election slot*, which
//! it is told when it joins, and windows lie more than one tick of openraft's clock apart.
//!
//! A follower stands for election when it has heard nothing for its lease (the end of its window) and its timeout
//! (within its window), so a failover takes about twice the window.

use super::wire::ENTRIES_MAX;
use crate::control::member::ELECTION_SLOTS;

/// Longest time for one part of a snapshot to arrive and reach the disk, in milliseconds.
const SNAPSHOT_PART_MS: u64 = 10_000;

/// The times of one Raft group; all its members use the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// How often the leader speaks, in milliseconds. openraft's clock ticks every 1.5 of these.
    pub heartbeat_ms: u64,
    /// Where the first window starts, in milliseconds.
    pub election_ms_min: u64,
    /// From one window to the next, in milliseconds; longer than a tick.
    pub election_step_ms: u64,
    /// Entries after which a snapshot is made. An entry of usual size has 1 KiB: with 5,000 the log has a few MiB.
    pub snapshot_every_entries: u64,
    /// Entries kept behind a snapshot, for members that are a little behind: an append is cheaper than a snapshot.
    pub kept_entries: u64,
}

impl Default for Timing {
    /// The first three nodes take over from a dead leader within 2 × 1.5 s: a window starts at 0.9 s, six heartbeats,
    /// so one that is late by a slow disk elects nobody. The last of seven slots would take 2 × 2.5 s.
    fn default() -> Self {
        Self {
            heartbeat_ms: 150,
            election_ms_min: 900,
            election_step_ms: 240,
            snapshot_every_entries: 5_000,
            kept_entries: 1_000,
        }
    }
}

impl Timing {
    /// The window of `slot`, both ends included, in milliseconds.
    #[must_use]
    pub const fn window(self, slot: u8) -> (u64, u64) {
        let from = self.election_ms_min + (slot % ELECTION_SLOTS) as u64 * self.election_step_ms;
        (from, from + self.election_step_ms / 2)
    }

    /// openraft's settings for a node with `slot`.
    pub(super) fn config(self, slot: u8) -> openraft::Config {
        let (election_timeout_min, election_timeout_max) = self.window(slot);
        openraft::Config {
            cluster_name: "hubbub".into(),
            heartbeat_interval: self.heartbeat_ms,
            election_timeout_min,
            election_timeout_max,
            install_snapshot_timeout: SNAPSHOT_PART_MS,
            max_payload_entries: ENTRIES_MAX,
            snapshot_policy: openraft::SnapshotPolicy::LogsSinceLast(self.snapshot_every_entries),
            max_in_snapshot_log_to_keep: self.kept_entries,
            ..openraft::Config::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_of_different_slots_lie_more_than_half_a_step_apart_and_a_step_is_longer_than_a_tick() {
        let timing = Timing::default();
        assert!(timing.election_step_ms > timing.heartbeat_ms * 3 / 2);
        for slot in 1..ELECTION_SLOTS {
            let ((_, before), (from, to)) = (timing.window(slot - 1), timing.window(slot));
            assert_eq!(from - before, timing.election_step_ms / 2);
            assert!(to < 2_500);
            timing.config(slot).validate().expect("openraft takes it");
        }
    }
}
