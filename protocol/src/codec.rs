//! The form of what nodes keep in the Raft log and send each other: one version byte, then bincode.
//!
//! This is the only file that names the library. Its layout (little endian, integers of fixed width) can be read by
//! other libraries too, so changing the library does not change what stands on disk.
//!
//! # Invariants
//!
//! * Bytes of another version, bytes cut short, bytes left over and lengths beyond the limit are refused, never
//!   guessed at.
//! * No bytes make a reader panic, or take more memory than the limit.
//! * Enums written with it only grow at their end; golden vectors beside each of them say so.
//! * A wire type holds no sequence of zero-sized values: it costs no bytes whatever its length, so no limit holds it.

use bytes::Bytes;
use serde::{Serialize, de::DeserializeOwned};

/// Why bytes could not be made or read.
#[derive(Debug, thiserror::Error)]
pub enum CodecError {
    /// There is no version byte.
    #[error("no bytes to read")]
    Empty,
    /// Written by a release that knows more, or damaged.
    #[error("format version {found} cannot be read, this release reads {known}")]
    Version {
        /// The version in the bytes.
        found: u8,
        /// The version this release reads.
        known: u8,
    },
    /// Not the shape that was expected.
    #[error("malformed bytes")]
    Decode(#[source] bincode::error::DecodeError),
    /// Something follows the value.
    #[error("{0} bytes too many")]
    Trailing(usize),
    /// Larger than the limit, or not representable.
    #[error("value cannot be written")]
    Encode(#[source] bincode::error::EncodeError),
}

const fn layout<const LIMIT: usize>() -> impl bincode::config::Config {
    bincode::config::standard().with_fixed_int_encoding().with_limit::<LIMIT>()
}

/// Writes `value` behind the byte `version`, in at most `LIMIT` bytes.
///
/// # Errors
/// [`CodecError::Encode`]: the value is larger than `LIMIT`.
pub fn encode<const LIMIT: usize>(version: u8, value: &impl Serialize) -> Result<Vec<u8>, CodecError> {
    let mut bytes = vec![version];
    bincode::serde::encode_into_std_write(value, &mut bytes, layout::<LIMIT>()).map_err(CodecError::Encode)?;
    if bytes.len() > LIMIT {
        return Err(CodecError::Encode(bincode::error::EncodeError::UnexpectedEnd));
    }
    Ok(bytes)
}

/// Reads what [`encode`] wrote under the same `version`.
///
/// # Errors
/// Any [`CodecError`] but [`CodecError::Encode`]: the bytes are not such a value.
pub fn decode<const LIMIT: usize, T: DeserializeOwned>(version: u8, bytes: &[u8]) -> Result<T, CodecError> {
    let (value, end) = decode_prefix::<LIMIT, T>(version, bytes)?;
    if end == bytes.len() { Ok(value) } else { Err(CodecError::Trailing(bytes.len() - end)) }
}

/// Reads a value and hands over what follows it, without a copy: a header before its body.
///
/// # Errors
/// As [`decode`], but for `Trailing`.
pub fn decode_header<const LIMIT: usize, T: DeserializeOwned>(
    version: u8,
    bytes: &Bytes,
) -> Result<(T, Bytes), CodecError> {
    let (value, end) = decode_prefix::<LIMIT, T>(version, bytes)?;
    Ok((value, bytes.slice(end..)))
}

/// Reads a value, writes it, and reads that again: what tests and fuzzing demand of every type that nodes send.
/// `None` when the bytes are no such value.
///
/// # Panics
/// When what was read cannot be written, or is written in another way once it was read back.
#[must_use]
pub fn probe<const LIMIT: usize, T: Serialize + DeserializeOwned>(version: u8, bytes: &[u8]) -> Option<T> {
    let value = decode::<LIMIT, T>(version, bytes).ok()?;
    let written = encode::<LIMIT>(version, &value).expect("what was read can be written");
    let again = decode::<LIMIT, T>(version, &written).expect("what was written can be read");
    let rewritten = encode::<LIMIT>(version, &again).expect("what was read can be written");
    assert_eq!(rewritten, written, "one value has one form");
    Some(value)
}

fn decode_prefix<const LIMIT: usize, T: DeserializeOwned>(
    version: u8,
    bytes: &[u8],
) -> Result<(T, usize), CodecError> {
    let (&found, body) = bytes.split_first().ok_or(CodecError::Empty)?;
    if found != version {
        return Err(CodecError::Version { found, known: version });
    }
    let (value, read) = bincode::serde::decode_from_slice(body, layout::<LIMIT>()).map_err(CodecError::Decode)?;
    Ok((value, read + 1))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::Deserialize;

    use super::*;

    #[test]
    fn a_value_reads_back_and_nothing_else_does() {
        let value = (7_u32, String::from("ada"), Some(9_u64));
        let bytes = encode::<64>(1, &value).expect("small");
        assert_eq!(bytes.len(), 1 + 4 + 8 + 3 + 1 + 8);
        assert_eq!(decode::<64, (u32, String, Option<u64>)>(1, &bytes).expect("as written"), value);

        let read = |bytes: &[u8]| decode::<64, (u32, String, Option<u64>)>(1, bytes);
        assert!(matches!(read(&[]), Err(CodecError::Empty)));
        assert!(matches!(read(&[&[2], &bytes[1..]].concat()), Err(CodecError::Version { found: 2, known: 1 })));
        assert!(matches!(read(&[&bytes[..], &[0]].concat()), Err(CodecError::Trailing(1))));
        for cut in 1..bytes.len() {
            assert!(read(&bytes[..cut]).is_err(), "cut at {cut}");
        }
    }

    #[test]
    fn a_length_beyond_the_limit_is_refused_before_memory_is_taken() {
        let mut bytes = vec![1];
        bytes.extend(u64::MAX.to_le_bytes());
        assert!(matches!(decode::<64, Vec<u8>>(1, &bytes), Err(CodecError::Decode(_))));
        bytes.truncate(1);
        bytes.extend(65_u64.to_le_bytes());
        bytes.extend([0; 65]);
        assert!(matches!(decode::<64, Vec<u8>>(1, &bytes), Err(CodecError::Decode(_))));
        assert!(matches!(encode::<64>(1, &vec![0_u8; 65]), Err(CodecError::Encode(_))));
    }

    const LIMIT: usize = 4_096;

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    enum Sample {
        Nothing,
        Pair(u16, Option<u64>),
        Named { text: String, bytes: Bytes, list: Vec<i32> },
    }

    fn named() -> Sample {
        Sample::Named { text: "hé".into(), bytes: Bytes::from_static(b"\x00\xff"), list: vec![-1, 2] }
    }

    #[test]
    fn the_bytes_of_a_value_are_those_that_older_nodes_wrote() {
        let bytes = |value: &Sample| encode::<LIMIT>(1, value).expect("small");
        assert_eq!(bytes(&Sample::Nothing), [1, 0, 0, 0, 0]);
        assert_eq!(bytes(&Sample::Pair(0x0102, Some(3))), [1, 1, 0, 0, 0, 2, 1, 1, 3, 0, 0, 0, 0, 0, 0, 0]);
        let mut golden = vec![1, 2, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, b'h', 0xc3, 0xa9];
        golden.extend([2, 0, 0, 0, 0, 0, 0, 0, 0x00, 0xff]);
        golden.extend([2, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0]);
        assert_eq!(bytes(&named()), golden);
    }

    #[test]
    fn a_header_leaves_its_body_untouched() {
        let frame = Bytes::from([encode::<LIMIT>(1, &named()).expect("small"), b"body".to_vec()].concat());
        let (header, body) = decode_header::<LIMIT, Sample>(1, &frame).expect("as written");
        assert_eq!((header, &body[..]), (named(), &b"body"[..]));
    }

    fn samples() -> impl Strategy<Value = Sample> {
        prop_oneof![
            Just(Sample::Nothing),
            any::<(u16, Option<u64>)>().prop_map(|(a, b)| Sample::Pair(a, b)),
            (".{0,40}", any::<Vec<u8>>(), any::<Vec<i32>>()).prop_map(|(text, bytes, list)| Sample::Named {
                text,
                bytes: bytes.into(),
                list
            }),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, cases: 2_000, ..ProptestConfig::default() })]

        #[test]
        fn every_value_is_read_back_as_it_was(value in samples()) {
            let bytes = encode::<LIMIT>(1, &value).expect("small");
            prop_assert_eq!(decode::<LIMIT, Sample>(1, &bytes).expect("as written"), value);
        }

        #[test]
        fn a_flipped_or_cut_value_is_refused_or_is_another_value(
            value in samples(), at in any::<usize>(), with in any::<u8>(), cut in any::<bool>(),
        ) {
            let mut bytes = encode::<LIMIT>(1, &value).expect("small");
            let at = at % bytes.len();
            bytes[at] ^= with;
            if cut {
                bytes.truncate(at);
            }
            if let Ok(read) = decode::<LIMIT, Sample>(1, &bytes) {
                prop_assert_eq!(encode::<LIMIT>(1, &read).expect("small"), bytes, "one value has one form");
            }
        }

        #[test]
        fn random_bytes_never_panic(mut bytes in any::<Vec<u8>>(), right_version in any::<bool>()) {
            if right_version && !bytes.is_empty() {
                bytes[0] = 1;
            }
            if let Ok(read) = decode::<LIMIT, Sample>(1, &bytes) {
                prop_assert_eq!(encode::<LIMIT>(1, &read).expect("small"), bytes);
            }
        }
    }
}
