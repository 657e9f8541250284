//! Which faults happen when: a seed becomes a list, and the same seed the same list.
//!
//! # Invariants
//!
//! * One fault at a time, with time between them to recover: the promises are about one failure.
//! * The first comes after [`QUIET_FIRST`], and the last has ended when the run does.
//! * The kinds that were asked for take turns in a shuffled order, so that a run of a few minutes has them all.

use std::{fmt, time::Duration};

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng, seq::SliceRandom as _};

/// How long nothing is broken at the beginning.
pub const QUIET_FIRST: Duration = Duration::from_secs(4);
/// Shortest and longest time between the end of a fault and the next, in milliseconds. A node that was away is taken
/// for well after 1.2 s; 5 s see the shards come back to it, or meet it in the middle of that.
const BETWEEN_MS: std::ops::Range<u64> = 1_500..6_000;
/// How long a killed node stays away: less and more than the 1.5 s after which others take its rooms.
const DEAD_MS: std::ops::Range<u64> = 300..6_000;
/// How long a pause or a cut lasts: less and more than a lease, which is 6 s.
const HELD_MS: std::ops::Range<u64> = 1_000..12_000;
/// How long the database stays away.
const DATABASE_MS: std::ops::Range<u64> = 0..3_000;
/// What a rolling restart may take; nothing else is planned meanwhile.
const ROLLING_MS: u64 = 15_000;

/// A kind of fault, as `--only` names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// `kill -9`.
    Kill,
    /// SIGSTOP, and SIGCONT.
    Pause,
    /// The network between nodes.
    Cut,
    /// The database: cut off from a node, or crashed.
    Db,
    /// SIGTERM, to one node after the other.
    Restart,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Kill, Self::Pause, Self::Cut, Self::Db, Self::Restart];
}

impl std::str::FromStr for Kind {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let kind = match name {
            "kill" => Self::Kill,
            "pause" => Self::Pause,
            "cut" => Self::Cut,
            "db" => Self::Db,
            "restart" => Self::Restart,
            _ => return Err(format!("`{name}` is none of kill, pause, cut, db, restart")),
        };
        Ok(kind)
    }
}

/// Which node it strikes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whom {
    /// The one that orders a room.
    Owner,
    /// The one that leads the Raft group.
    Leader,
    /// Any.
    Any,
}

impl Whom {
    const ALL: [Self; 3] = [Self::Owner, Self::Leader, Self::Any];
}

/// What the network lets no more through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// Everything between the node and the others, and the database.
    Off,
    /// Everything between the node and the others; it keeps the database.
    Peers,
    /// What the node says to the others; it hears them.
    Outward,
    /// What the others say to the node; they hear it.
    Inward,
    /// Everything between the node and the database.
    Database,
}

/// A fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// A node is killed, and started again later.
    Kill(Whom),
    /// A node is paused.
    Pause(Whom),
    /// A node is cut off.
    Cut(Cut, Whom),
    /// The database crashes, and is started again.
    DatabaseCrash,
    /// The nodes are restarted one after the other, as for an upgrade.
    Rolling,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |whom: &Whom| match whom {
            Whom::Owner => "the owner of a room",
            Whom::Leader => "the leader",
            Whom::Any => "any node",
        };
        match self {
            Self::Kill(whom) => write!(f, "kill {}", name(whom)),
            Self::Pause(whom) => write!(f, "pause {}", name(whom)),
            Self::Cut(cut, whom) => write!(f, "cut {cut:?} of {}", name(whom)),
            Self::DatabaseCrash => f.write_str("crash the database"),
            Self::Rolling => f.write_str("rolling restart"),
        }
    }
}

/// A fault in its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// When it begins, from the start of the run.
    pub at: Duration,
    /// What.
    pub fault: Fault,
    /// How long it lasts.
    pub held: Duration,
    /// Chooses among the nodes and rooms that fit.
    pub pick: u64,
}

/// The faults of a run of `length`; a lab that cannot cut gets none of the network's.
#[must_use]
pub fn plan(seed: u64, length: Duration, kinds: &[Kind], can_cut: bool) -> Vec<Step> {
    let mut random = StdRng::seed_from_u64(seed);
    let mut kinds: Vec<Kind> = kinds.iter().copied().filter(|kind| can_cut || *kind != Kind::Cut).collect();
    kinds.sort_unstable();
    kinds.dedup();
    let (mut steps, mut at) = (Vec::new(), QUIET_FIRST);
    while !kinds.is_empty() {
        kinds.shuffle(&mut random);
        for kind in &kinds {
            let (fault, held_ms) = fault(*kind, can_cut, &mut random);
            let held = Duration::from_millis(held_ms);
            let between = Duration::from_millis(random.random_range(BETWEEN_MS));
            if at + held > length {
                return steps;
            }
            steps.push(Step { at, fault, held, pick: random.random() });
            at += held + between;
        }
    }
    steps
}

fn fault(kind: Kind, can_cut: bool, random: &mut StdRng) -> (Fault, u64) {
    let whom = Whom::ALL[random.random_range(0..Whom::ALL.len())];
    match kind {
        Kind::Kill => (Fault::Kill(whom), random.random_range(DEAD_MS)),
        Kind::Pause => (Fault::Pause(whom), random.random_range(HELD_MS)),
        Kind::Cut => {
            let cuts = [Cut::Off, Cut::Peers, Cut::Outward, Cut::Inward];
            (Fault::Cut(cuts[random.random_range(0..cuts.len())], whom), random.random_range(HELD_MS))
        }
        Kind::Db if can_cut && random.random() => (Fault::Cut(Cut::Database, whom), random.random_range(HELD_MS)),
        Kind::Db => (Fault::DatabaseCrash, random.random_range(DATABASE_MS)),
        Kind::Restart => (Fault::Rolling, ROLLING_MS),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEN_MINUTES: Duration = Duration::from_secs(600);

    #[test]
    fn the_same_seed_plans_the_same_faults_and_another_others() {
        let of = |seed| plan(seed, TEN_MINUTES, &Kind::ALL, true);
        assert_eq!(of(7), of(7));
        assert_ne!(of(7), of(8));
    }

    #[test]
    fn faults_do_not_overlap_and_end_with_the_run() {
        for seed in 0..50 {
            let steps = plan(seed, TEN_MINUTES, &Kind::ALL, true);
            assert!(steps.len() > 30, "{} faults in ten minutes", steps.len());
            assert!(steps[0].at >= QUIET_FIRST);
            assert!(steps.windows(2).all(|pair| pair[0].at + pair[0].held < pair[1].at));
            assert!(steps.iter().all(|step| step.at + step.held <= TEN_MINUTES));
        }
    }

    #[test]
    fn every_kind_comes_before_any_comes_twice() {
        let minute = plan(3, TEN_MINUTES, &Kind::ALL, true);
        let kind = |step: &Step| match step.fault {
            Fault::Kill(_) => Kind::Kill,
            Fault::Pause(_) => Kind::Pause,
            Fault::Cut(Cut::Database, _) | Fault::DatabaseCrash => Kind::Db,
            Fault::Cut(..) => Kind::Cut,
            Fault::Rolling => Kind::Restart,
        };
        let mut first: Vec<Kind> = minute.iter().take(Kind::ALL.len()).map(kind).collect();
        first.sort_unstable();
        assert_eq!(first, Kind::ALL);
    }

    #[test]
    fn a_lab_without_a_network_of_its_own_is_not_cut() {
        let steps = plan(1, TEN_MINUTES, &Kind::ALL, false);
        assert!(!steps.is_empty() && !steps.iter().any(|step| matches!(step.fault, Fault::Cut(..))));
        assert_eq!(plan(1, TEN_MINUTES, &[Kind::Cut], false), []);
        let only = plan(1, TEN_MINUTES, &[Kind::Kill], true);
        assert!(only.iter().all(|step| matches!(step.fault, Fault::Kill(_))));
    }
}
