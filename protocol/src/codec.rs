//! The form of what nodes keep in the Raft log and send each other: one version byte, then bincode.
//!
//! This is the only file that names the library. Its layout (little endian, integers of fixed width) can be read by
//! other libraries too, so changing the library does not change what stands on disk.
//!
//! # Invariants
//!
//! * Bytes of another version, bytes cut short, bytes left over and lengths beyond the limit are refused, never
//!   guessed at.
//! * Enums written with it only grow at their end; golden vectors beside each of them say so.

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
    let (&found, body) = bytes.split_first().ok_or(CodecError::Empty)?;
    if found != version {
        return Err(CodecError::Version { found, known: version });
    }
    let (value, read) = bincode::serde::decode_from_slice(body, layout::<LIMIT>()).map_err(CodecError::Decode)?;
    if read == body.len() { Ok(value) } else { Err(CodecError::Trailing(body.len() - read)) }
}

#[cfg(test)]
mod tests {
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
}
