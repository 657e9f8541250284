//! From a room to the shard that orders it: the top bits of a fixed 64-bit hash.
//!
//! A shard is a *prefix* of the hash, so doubling their number splits shard `s` into `2s` and
//! `2s + 1` and moves no room anywhere else. The hash is part of the stored form: it never changes.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::ids::RoomId;

/// Most bits a shard number may have: 65,536 shards.
pub const SHARD_BITS_MAX: u8 = 16;

/// A virtual shard: the unit of placement, and of the fence that orders appends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ShardId(pub u32);

impl fmt::Display for ShardId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// How many shards there are: 2^bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShardBits(u8);

impl ShardBits {
    /// `bits` from 0 to [`SHARD_BITS_MAX`]; more is cut to that.
    #[must_use]
    pub const fn new(bits: u8) -> Self {
        Self(if bits > SHARD_BITS_MAX { SHARD_BITS_MAX } else { bits })
    }

    /// The number of shards.
    #[must_use]
    pub const fn count(self) -> u32 {
        1 << self.0
    }

    /// The shard that orders `room`.
    #[must_use]
    pub fn shard_of(self, room: RoomId) -> ShardId {
        let hash = mix(room.raw());
        ShardId(hash.checked_shr(64 - u32::from(self.0)).map_or(0, |top| u32::try_from(top).unwrap_or(0)))
    }
}

/// The finaliser of splitmix64: every input bit reaches every output bit.
const fn mix(id: u64) -> u64 {
    let mut hash = id.wrapping_add(0x9E37_79B9_7F4A_7C15);
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    hash ^ (hash >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubling_splits_a_shard_and_moves_nothing_else() {
        for raw in 0..5_000 {
            let room = RoomId::from_raw(raw * 7919);
            let (few, many) = (ShardBits::new(6).shard_of(room), ShardBits::new(7).shard_of(room));
            assert_eq!(many.0 / 2, few.0);
        }
        assert_eq!(ShardBits::new(0).shard_of(RoomId::from_raw(9)), ShardId(0));
    }

    #[test]
    fn rooms_made_one_after_another_spread_over_the_shards() {
        let bits = ShardBits::new(6);
        let mut rooms_in = vec![0_u32; 64];
        for raw in 0..6_400 {
            rooms_in[usize::try_from(bits.shard_of(RoomId::from_raw(raw << 12)).0).expect("small")] += 1;
        }
        assert!(rooms_in.iter().all(|&rooms| (50..=160).contains(&rooms)), "{rooms_in:?}");
    }

    /// The hash is part of the stored form; this fails when somebody changes it.
    #[test]
    fn the_hash_is_fixed_for_ever() {
        let bits = ShardBits::new(16);
        let shards = [0, 1, 0x0123_4567_89AB_CDEF].map(|raw| bits.shard_of(RoomId::from_raw(raw)).0);
        assert_eq!(shards, [57888, 37130, 5498]);
    }
}
