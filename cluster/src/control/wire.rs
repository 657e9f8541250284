//! Requests and facts as bytes: what stands in the Raft log and in a snapshot.
//!
//! # Failure
//!
//! An unknown command is an error that stops the node, never one that is skipped: a node that skipped it would hold
//! other facts than the rest.

use hubbub_protocol::codec::{self, CodecError};

use super::{Control, Request};

/// The version of the form below.
pub const FORMAT: u8 = 1;
/// Most bytes of one request: the largest, a new certificate authority, has 12 KiB.
pub const REQUEST_BYTES_MAX: usize = 64 * 1024;
/// Most bytes of one batch of requests: four of the largest, or hundreds of the usual.
pub const BATCH_BYTES_MAX: usize = 256 * 1024;
/// Most bytes of all facts: 10,000 members of 4 KB each and 65,536 shards of 30 bytes are 42 MB.
pub const CONTROL_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Requests as one entry of the log holds them.
///
/// # Errors
/// [`CodecError::Encode`]: they are more than [`BATCH_BYTES_MAX`].
pub fn requests_to_bytes(requests: &[Request]) -> Result<Vec<u8>, CodecError> {
    codec::encode::<BATCH_BYTES_MAX>(FORMAT, &requests)
}

/// Back from [`requests_to_bytes`].
///
/// # Errors
/// Any [`CodecError`]: written by a newer release, or damaged.
pub fn requests_from_bytes(bytes: &[u8]) -> Result<Vec<Request>, CodecError> {
    codec::decode::<BATCH_BYTES_MAX, _>(FORMAT, bytes)
}

/// All facts, as a snapshot holds them.
///
/// # Errors
/// [`CodecError::Encode`]: they are more than [`CONTROL_BYTES_MAX`].
pub fn control_to_bytes(control: &Control) -> Result<Vec<u8>, CodecError> {
    codec::encode::<CONTROL_BYTES_MAX>(FORMAT, control)
}

/// Back from [`control_to_bytes`].
///
/// # Errors
/// Any [`CodecError`]: written by a newer release, or damaged.
pub fn control_from_bytes(bytes: &[u8]) -> Result<Control, CodecError> {
    codec::decode::<CONTROL_BYTES_MAX, _>(FORMAT, bytes)
}

/// Reads bytes as a batch of requests.
#[cfg(any(test, feature = "probe"))]
pub(crate) fn probe_requests(bytes: &[u8]) -> bool {
    codec::probe::<BATCH_BYTES_MAX, Vec<Request>>(FORMAT, bytes).is_some()
}

/// Reads bytes as the facts, which a snapshot brings.
#[cfg(any(test, feature = "probe"))]
pub(crate) fn probe_control(bytes: &[u8]) -> bool {
    codec::probe::<CONTROL_BYTES_MAX, Control>(FORMAT, bytes).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::samples;

    fn hex(bytes: &[u8]) -> String {
        use std::fmt::Write as _;
        bytes.iter().fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
    }

    /// When this fails, the log of every cluster out there has become unreadable. Add a variant at the end, or a new
    /// [`FORMAT`] that still reads this one.
    #[test]
    fn every_command_keeps_its_bytes_for_ever() {
        let golden = include_str!("golden/commands.txt");
        let mut lines = golden.lines();
        for (name, command) in samples::every_command() {
            let request = Request { id: Some(samples::request_id(1)), command };
            let bytes = requests_to_bytes(std::slice::from_ref(&request)).expect("small");
            assert_eq!(
                lines.next(),
                Some(format!("{name} {}", hex(&bytes)).as_str()),
                "the bytes of {name} changed"
            );
            assert_eq!(requests_from_bytes(&bytes).expect("as written"), [request]);
        }
        assert_eq!(lines.next(), None);
    }

    #[test]
    fn the_facts_keep_their_bytes_for_ever() {
        let control = samples::control_after_every_command();
        let bytes = control_to_bytes(&control).expect("small");
        assert_eq!(hex(&bytes), include_str!("golden/control.txt").trim_end());
        assert_eq!(control_from_bytes(&bytes).expect("as written"), control);
    }

    #[test]
    fn a_command_of_a_later_release_is_an_error() {
        let mut bytes = requests_to_bytes(&[Request { id: None, command: samples::finalize(1) }]).expect("small");
        assert_eq!(bytes[..10], [1, 1, 0, 0, 0, 0, 0, 0, 0, 0]);
        bytes[10] = 200;
        assert!(matches!(requests_from_bytes(&bytes), Err(CodecError::Decode(_))));
    }
}
