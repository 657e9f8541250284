//! Every way by which bytes of another node come into this crate, for tests and for `fuzz/`.
//!
//! The first byte says by which way the rest comes. What can be read is written and read back
//! ([`codec::probe`](hubbub_protocol::codec::probe)); a panic is a finding.

use bytes::Bytes;
use hubbub_protocol::peer::Envelope;

use crate::{control, join, raft, runtime, transport};

/// How bytes come in; the number is the first byte's.
const LANE: u8 = 0;
const GREETING: u8 = 1;
const DOOR: u8 = 2;
const FACTS: u8 = 3;

/// Reads bytes of another node; `actors` is given what concerns the actors, and says whether it was well formed.
/// The answer is the number of values that could be read.
///
/// # Panics
/// When a value is not written as it was read: a mistake of ours.
pub fn read(bytes: &[u8], actors: impl Fn(&Envelope) -> bool) -> usize {
    let Some((way, rest)) = bytes.split_first() else { return 0 };
    match *way {
        LANE => {
            let mut understood = 0;
            let frames = transport::probe::lane(rest, |envelope| {
                let ours = runtime::probe(envelope) || join::probe::desk(envelope);
                understood += usize::from(ours || actors(envelope));
            });
            frames + understood
        }
        GREETING => transport::probe::greeting(rest).into(),
        DOOR => join::probe::door(rest).into(),
        FACTS => control::wire::probe_control(rest).into(),
        _ => 0,
    }
}

/// A cast of a message, as [`read`] takes it.
#[must_use]
pub fn seed(envelope: Envelope) -> Vec<u8> {
    by(LANE, transport::probe::on_a_lane(envelope))
}

/// What to begin with: the golden vectors, and what Raft and joiners say.
#[must_use]
pub fn seeds() -> Vec<Vec<u8>> {
    let requests: Vec<Vec<u8>> =
        golden(include_str!("control/golden/commands.txt")).map(|(_, bytes)| bytes).collect();
    let raft = requests.into_iter().flat_map(raft::samples).map(|body| Envelope { kind: 1, map_version: 0, body });
    let runtime = golden(include_str!("runtime/golden/messages.txt")).map(|(kind, bytes)| Envelope {
        kind: kind.parse().expect("the kind comes first"),
        map_version: 0,
        body: Bytes::from(bytes),
    });
    let facts = unhex(include_str!("control/golden/control.txt").trim_end());
    let mut seeds: Vec<Vec<u8>> = raft.chain(runtime).map(seed).collect();
    seeds.extend(transport::probe::golden_frames().into_iter().map(|bytes| by(LANE, bytes)));
    seeds.extend(transport::probe::greetings().into_iter().map(|bytes| by(GREETING, bytes)));
    seeds.push(by(DOOR, join::probe::knock()));
    seeds.push(by(FACTS, facts));
    seeds
}

fn by(way: u8, mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.insert(0, way);
    bytes
}

/// Lines of a name and bytes.
fn golden(lines: &str) -> impl Iterator<Item = (&str, Vec<u8>)> {
    lines.lines().filter_map(|line| line.split_once(' ')).map(|(name, hex)| (name, unhex(hex)))
}

fn unhex(hex: &str) -> Vec<u8> {
    let digit = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).expect("hexadecimal digits");
    (0..hex.len()).step_by(2).map(digit).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_seed_is_understood() {
        let seeds = seeds();
        assert!(seeds.len() > 100, "{}", seeds.len());
        for seed in &seeds {
            assert_ne!(read(seed, |_| false), 0, "{seed:?}");
        }
    }

    #[test]
    fn a_message_to_the_actors_is_given_to_them() {
        let envelope = Envelope { kind: 100, map_version: 3, body: Bytes::from_static(b"x") };
        assert_eq!(read(&seed(envelope.clone()), |given| *given == envelope), 2);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, cases: 4_000, ..ProptestConfig::default() })]

        #[test]
        fn no_seed_that_was_tampered_with_makes_a_node_panic(
            which in any::<prop::sample::Index>(), at in any::<prop::sample::Index>(), with in any::<u8>(), cut: bool,
        ) {
            let mut bytes = which.get(&seeds()).clone();
            let at = at.index(bytes.len());
            bytes[at] ^= with;
            if cut {
                bytes.truncate(at);
            }
            // At most one frame, and the message in it.
            prop_assert!(read(&bytes, |_| false) <= 2);
        }
    }
}
