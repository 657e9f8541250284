//! Ids and numbers, each with a type of its own so that a room can never be taken for a user.
//!
//! An id is a TSID: 41 bits of milliseconds since 2024-01-01, 10 bits of node, 12 bits of counter.
//! The top bit stays 0, so an id fits a signed SQL `bigint`, and ids sort by the time they were made.
//! In text an id is 13 characters of Crockford base32; clients treat it as opaque.
//!
//! # Invariants
//!
//! * `T::from_str(&id.to_string()) == Ok(id)`, and no other text of 13 characters means the same id
//!   (lower case and the look-alikes `I L O U` are refused).
//! * One [`TsidGenerator`] never gives the same id twice, whatever its clock does.

use std::{
    fmt,
    str::FromStr,
    sync::atomic::{AtomicU64, Ordering},
};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use uuid::Uuid;

/// Milliseconds between the Unix epoch and 2024-01-01T00:00:00Z, where ids start to count.
pub const TSID_EPOCH_UNIX_MS: u64 = 1_704_067_200_000;
/// Length of an id in text: 13 × 5 bits hold 64.
pub const ID_CHARS: usize = 13;

const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const COUNTER_BITS: u32 = 12;
const NODE_BITS: u32 = 10;
const MS_BITS: u32 = 41;

/// Text that is not an id: wrong length, a character outside the alphabet, or beyond 63 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an id: expected {ID_CHARS} characters of Crockford base32")]
pub struct NotAnId;

fn encode(raw: u64, out: &mut [u8; ID_CHARS]) {
    for (place, slot) in out.iter_mut().enumerate() {
        let shift = 5 * (ID_CHARS - 1 - place);
        *slot = ALPHABET[usize::try_from((raw >> shift) & 31).unwrap_or(0)];
    }
}

fn decode(text: &str) -> Result<u64, NotAnId> {
    if text.len() != ID_CHARS {
        return Err(NotAnId);
    }
    text.bytes().try_fold(0_u64, |raw, byte| {
        let digit = ALPHABET.iter().position(|&known| known == byte).ok_or(NotAnId)?;
        let shifted = raw.checked_mul(32).ok_or(NotAnId)?;
        let value = shifted + u64::try_from(digit).map_err(|_| NotAnId)?;
        if i64::try_from(value).is_ok() { Ok(value) } else { Err(NotAnId) }
    })
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(u64);

        impl $name {
            /// Takes a raw TSID. The top bit is dropped, so every value is a possible id.
            #[must_use]
            pub const fn from_raw(raw: u64) -> Self {
                Self(raw & (u64::MAX >> 1))
            }

            /// The TSID, below 2^63.
            #[must_use]
            pub const fn raw(self) -> u64 {
                self.0
            }

            /// The form a database keeps.
            #[must_use]
            pub const fn to_sql(self) -> i64 {
                self.0.cast_signed()
            }

            /// Back from the form a database keeps.
            #[must_use]
            pub const fn from_sql(raw: i64) -> Self {
                Self::from_raw(raw.cast_unsigned())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let mut out = [0; ID_CHARS];
                encode(self.0, &mut out);
                f.write_str(std::str::from_utf8(&out).unwrap_or_default())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }

        impl FromStr for $name {
            type Err = NotAnId;
            fn from_str(text: &str) -> Result<Self, NotAnId> {
                decode(text).map(Self)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let mut out = [0; ID_CHARS];
                encode(self.0, &mut out);
                serializer.serialize_str(std::str::from_utf8(&out).unwrap_or_default())
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                text.parse().map_err(de::Error::custom)
            }
        }

        impl utoipa::PartialSchema for $name {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
                utoipa::openapi::ObjectBuilder::new()
                    .schema_type(utoipa::openapi::schema::Type::String)
                    .description(Some("An opaque id: 13 characters of Crockford base32."))
                    .pattern(Some("^[0-7][0-9A-HJKMNP-TV-Z]{12}$"))
                    .into()
            }
        }

        impl utoipa::ToSchema for $name {}
    };
}

id!(
    /// A room; also the log of a community, which is addressed by the community's id.
    RoomId
);
id!(
    /// A user account.
    UserId
);
id!(
    /// A community.
    CommunityId
);
id!(
    /// One signed-in device: a family of refresh tokens, listed under `/v1/auth/sessions`.
    SessionId
);

impl CommunityId {
    /// The address of this community's own log.
    #[must_use]
    pub const fn log(self) -> RoomId {
        RoomId(self.0)
    }
}

impl RoomId {
    /// The community whose log this would be.
    #[must_use]
    pub const fn as_community(self) -> CommunityId {
        CommunityId(self.0)
    }
}

/// Makes ids that are unique as long as no two live generators share a node number.
#[derive(Debug)]
pub struct TsidGenerator {
    node: u64,
    last: AtomicU64,
}

impl TsidGenerator {
    /// A generator for `node`; only its low 10 bits count.
    #[must_use]
    pub const fn new(node: u16) -> Self {
        let node = (node as u64 & ((1 << NODE_BITS) - 1)) << COUNTER_BITS;
        Self { node, last: AtomicU64::new(0) }
    }

    /// The next raw id at `unix_ms`. When more than 4,096 are asked for in one millisecond, or the
    /// clock steps back, it borrows from the milliseconds to come.
    pub fn next(&self, unix_ms: u64) -> u64 {
        let ms = unix_ms.saturating_sub(TSID_EPOCH_UNIX_MS) & ((1 << MS_BITS) - 1);
        let tick = ms << COUNTER_BITS;
        let step = |last: u64| Some(tick.max(last + 1));
        let before = self.last.fetch_update(Ordering::Relaxed, Ordering::Relaxed, step).unwrap_or_else(|last| last);
        let tick = tick.max(before + 1);
        let (ms, counter) = (tick >> COUNTER_BITS, tick & ((1 << COUNTER_BITS) - 1));
        (ms << (COUNTER_BITS + NODE_BITS)) | self.node | counter
    }
}

macro_rules! number {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
            utoipa::ToSchema,
        )]
        #[serde(transparent)]
        pub struct $name(pub u64);

        impl $name {
            /// The number after this one.
            #[must_use]
            pub const fn next(self) -> Self {
                Self(self.0 + 1)
            }

            /// The form a database keeps; numbers beyond its range become its largest.
            #[must_use]
            pub fn to_sql(self) -> i64 {
                i64::try_from(self.0).unwrap_or(i64::MAX)
            }

            /// Back from the form a database keeps.
            #[must_use]
            pub fn from_sql(raw: i64) -> Self {
                Self(u64::try_from(raw).unwrap_or(0))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

number!(
    /// The place of an event in its room: 1, 2, 3, … without a gap; 0 stands before the first.
    Seq
);
number!(
    /// The place of an event in its shard's feed, dense from 1.
    ShardSeq
);
number!(
    /// Counts the activations of a shard; an append is accepted only under the newest.
    Epoch
);
number!(
    /// A node of the cluster; the single node of an embedded store is 1.
    NodeId
);

/// The client's own name for one message; the same key never makes a second message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MessageKey(pub Uuid);

impl MessageKey {
    /// The client's time inside a version 7 key, in Unix milliseconds; `None` for other versions.
    #[must_use]
    pub fn unix_ms(self) -> Option<u64> {
        let (seconds, nanos) = self.0.get_timestamp()?.to_unix();
        (self.0.get_version_num() == 7).then(|| seconds * 1000 + u64::from(nanos) / 1_000_000)
    }
}

impl fmt::Display for MessageKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_reads_back_from_its_text() {
        for raw in [0, 1, 31, 32, 0x0123_4567_89AB_CDEF, u64::MAX >> 1] {
            let id = RoomId::from_raw(raw);
            assert_eq!(id.to_string().len(), ID_CHARS);
            assert_eq!(id.to_string().parse(), Ok(id));
            assert_eq!(RoomId::from_sql(id.to_sql()), id);
        }
    }

    #[test]
    fn text_that_names_no_id_is_refused() {
        let beyond = "8000000000000";
        for text in ["", "0AXS751X00W7", "0AXS751X00W7CC", "0axs751x00w7c", "0AXS751X00W7U", beyond, "éééééé0"]
        {
            assert_eq!(text.parse::<RoomId>(), Err(NotAnId), "{text}");
        }
    }

    #[test]
    fn ids_are_unique_and_sorted_even_when_the_clock_stands_or_steps_back() {
        let generator = TsidGenerator::new(3);
        let now = TSID_EPOCH_UNIX_MS + 1_000;
        let clock = (0..10_000).map(|i| if i % 7 == 0 { now - 500 } else { now });
        let ids: Vec<u64> = clock.map(|ms| generator.next(ms)).collect();
        assert!(ids.windows(2).all(|pair| pair[0] < pair[1]));
        assert!(ids.iter().all(|id| (id >> COUNTER_BITS) & 1023 == 3));
    }

    #[test]
    fn only_a_version_7_key_tells_its_time() {
        let v7: Uuid = "018cc251-f400-7000-8000-000000000000".parse().expect("a uuid");
        assert_eq!(MessageKey(v7).unix_ms(), Some(TSID_EPOCH_UNIX_MS));
        assert_eq!(MessageKey(Uuid::from_u128(0x1234)).unix_ms(), None);
    }
}
