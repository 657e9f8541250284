//! The newest seqs of the rooms that are ordered here, under one lock: they are read by the hundred when somebody
//! signs in, and written with every commit.

use std::collections::HashMap;

use hubbub_protocol::ids::{RoomId, Seq};
use parking_lot::RwLock;

/// Heads kept: at about 40 bytes each, 20 MB. Past it all are forgotten, and read again.
const HEADS_MAX: usize = 500_000;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Heads(RwLock<HashMap<RoomId, Seq>>);

impl Heads {
    /// The heads of those rooms that `wanted` says, in the order asked.
    pub(super) fn of(&self, rooms: &[RoomId], wanted: impl Fn(RoomId) -> bool) -> Vec<Option<Seq>> {
        let heads = self.0.read();
        rooms.iter().map(|room| heads.get(room).copied().filter(|_| wanted(*room))).collect()
    }

    /// Learns that `head` is on disk.
    pub(super) fn note(&self, room: RoomId, head: Seq) {
        room_for_one(&mut self.0.write()).insert(room, head);
    }

    /// Learns what was read; what was noted meanwhile is newer.
    pub(super) fn note_read(&self, read: impl Iterator<Item = (RoomId, Seq)>) {
        let mut heads = self.0.write();
        for (room, head) in read {
            room_for_one(&mut heads).entry(room).or_insert(head);
        }
    }

    /// Forgets all.
    pub(super) fn forget(&self) {
        self.0.write().clear();
    }
}

fn room_for_one(heads: &mut HashMap<RoomId, Seq>) -> &mut HashMap<RoomId, Seq> {
    if heads.len() >= HEADS_MAX {
        heads.clear();
    }
    heads
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_noted_stands_against_what_was_read() {
        let (one, other) = (RoomId::from_raw(1), RoomId::from_raw(2));
        let heads = Heads::default();
        heads.note(one, Seq(5));
        heads.note_read([(one, Seq(4)), (other, Seq(7))].into_iter());
        assert_eq!(heads.of(&[other, one], |_| true), [Some(Seq(7)), Some(Seq(5))]);
        assert_eq!(heads.of(&[other, one], |room| room == one), [None, Some(Seq(5))]);
        heads.forget();
        assert_eq!(heads.of(&[one], |_| true), [None]);
    }

    #[test]
    fn no_more_are_kept_than_there_is_room_for() {
        let heads = Heads::default();
        heads.note_read((0..HEADS_MAX as u64 + 3).map(|raw| (RoomId::from_raw(raw), Seq(1))));
        assert_eq!(heads.0.read().len(), 3);
    }
}
