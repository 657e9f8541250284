//! This node's map, and who hears when it changes.
//!
//! # Invariants
//!
//! * Maps come from the node's own state machine and from peers; only a newer version is taken, so the order in which
//!   they come does not matter.
//! * The actors hear of changes in the order of versions, after readers can see them. They do not hear of an epoch that
//!   they have just asked for: they get it as the answer.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use hubbub_protocol::{
    ids::{Epoch, NodeId},
    ports::Resident,
    shard::ShardId,
};
use parking_lot::{Mutex, RwLock};
use tokio::sync::watch;

use super::map::{Cursor, Map, Piece, Since};
use crate::control::{Place, Renewal};

/// Renewals of one shard that may be under way: one proposal is at a time, and those that failed are few.
const EXPECTED_MAX: usize = 8;

#[derive(Debug)]
struct Kept {
    map: Arc<Map>,
    others: Arc<[NodeId]>,
}

/// See the module.
pub(super) struct Keeper {
    me: NodeId,
    kept: RwLock<Kept>,
    /// Held while a map is replaced and its readers are told.
    writing: Mutex<Writing>,
    versions: watch::Sender<u64>,
}

#[derive(Default)]
struct Writing {
    since: Since,
    resident: Option<Arc<dyn Resident>>,
    /// Epochs that this node has asked for and not seen, the newest [`EXPECTED_MAX`] for each shard.
    expected: BTreeMap<ShardId, VecDeque<Epoch>>,
}

impl Writing {
    /// Whether a shard of `me` has got the epoch that was asked for, and nothing else has happened to it.
    fn is_expected(&mut self, me: NodeId, shard: ShardId, old: &Map, new: &Map) -> bool {
        let ours = |map: &Map| map.shard(shard).is_some_and(|at| at.owner == me && at.place == Place::Stable);
        let epoch = new.shard(shard).map(|place| place.epoch);
        let (Some(epoch), Some(expected)) = (epoch, self.expected.get_mut(&shard)) else { return false };
        let is_expected = expected.contains(&epoch);
        expected.retain(|expected| *expected > epoch);
        is_expected && ours(old) && ours(new)
    }
}

/// What became of a piece that came unasked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Taken {
    /// The map is at its version now.
    Applied,
    /// It brought nothing new.
    Known,
    /// Something before it is missing.
    Gap,
}

impl Keeper {
    pub(super) fn new(me: NodeId) -> Self {
        let kept = Kept { map: Arc::default(), others: Arc::from([]) };
        Self { me, kept: RwLock::new(kept), writing: Mutex::default(), versions: watch::Sender::new(0) }
    }

    pub(super) fn map(&self) -> Arc<Map> {
        self.kept.read().map.clone()
    }

    /// Reads without a copy. `look` must be short.
    pub(super) fn read<T>(&self, look: impl FnOnce(&Map) -> T) -> T {
        look(&self.kept.read().map)
    }

    pub(super) fn version(&self) -> u64 {
        self.kept.read().map.version
    }

    pub(super) fn others(&self) -> Arc<[NodeId]> {
        self.kept.read().others.clone()
    }

    /// Follows the version.
    pub(super) fn versions(&self) -> watch::Receiver<u64> {
        self.versions.subscribe()
    }

    /// From now on `resident` hears of changes; what was before it reads from the map.
    pub(super) fn set_resident(&self, resident: Arc<dyn Resident>) {
        self.writing.lock().resident = Some(resident);
    }

    pub(super) fn resident(&self) -> Option<Arc<dyn Resident>> {
        self.writing.lock().resident.clone()
    }

    /// This node is about to ask for `renewals`.
    pub(super) fn expect(&self, renewals: &[Renewal]) {
        let mut writing = self.writing.lock();
        for renewal in renewals {
            let expected = writing.expected.entry(renewal.shard).or_default();
            expected.push_back(renewal.renewed());
            if expected.len() > EXPECTED_MAX {
                expected.pop_front();
            }
        }
    }

    /// Takes `map` if it is newer.
    pub(super) fn offer(&self, map: Map) {
        self.replace(|old| (map.version > old.version).then_some(map));
    }

    /// Takes a piece that a leader pushed.
    pub(super) fn push(&self, piece: Piece) -> Taken {
        let mut taken = Taken::Known;
        self.replace(|old| {
            if piece.to <= old.version {
                return None;
            }
            if piece.from > old.version || piece.next.is_some() {
                taken = Taken::Gap;
                return None;
            }
            taken = Taken::Applied;
            let version = piece.to;
            let mut map = Map { version, ..old.clone() };
            map.take(piece);
            Some(map)
        });
        taken
    }

    /// Takes all pieces of an answer. The first one's version holds: the later ones may know more.
    pub(super) fn merge(&self, pieces: Vec<Piece>) {
        let Some((from, to)) = pieces.first().map(|first| (first.from, first.to)) else { return };
        self.replace(|old| {
            if to <= old.version || from > old.version {
                return None;
            }
            let mut map = Map { version: to, ..old.clone() };
            pieces.into_iter().for_each(|piece| map.take(piece));
            Some(map)
        });
    }

    /// What changed after `from`, from `at` on.
    pub(super) fn piece(&self, from: u64, at: Cursor) -> Piece {
        let writing = self.writing.lock();
        let map = self.map();
        writing.since.piece(&map, from, at)
    }

    fn replace(&self, change: impl FnOnce(&Map) -> Option<Map>) {
        let mut writing = self.writing.lock();
        let old = self.map();
        let Some(mut map) = change(&old) else { return };
        for (new, old) in map.shards.iter_mut().zip(&old.shards) {
            // Parts of an answer may be ahead of its version.
            if old.epoch > new.epoch {
                *new = *old;
            }
        }
        writing.since.note(&old, &map);
        let (version, others, map) = (map.version, map.others(self.me), Arc::new(map));
        *self.kept.write() = Kept { map: map.clone(), others };
        self.versions.send_replace(version);
        let mut changed: Vec<ShardId> = map.changed_since(&old);
        changed.retain(|shard| !writing.is_expected(self.me, *shard, &old, &map));
        if let Some(resident) = writing.resident.as_ref().filter(|_| !changed.is_empty()) {
            resident.map_changed(&changed);
        }
    }
}
