//! What stands on a lane: a length as `u32` little-endian, then a header, then the message as it is.
//!
//! # Invariants
//!
//! * A frame is read only when all of it is there, and never one of more than [`FRAME_BYTES_MAX`].
//! * [`Header`] grows only at its end; its bytes are pinned below.

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use hubbub_protocol::{
    codec::{self, CodecError},
    peer::{Envelope, PEER_VERSION, Rejection},
};
use serde::{Deserialize, Serialize};

use super::limits::{FRAME_BYTES_MAX, FRAME_HEADER_BYTES_MAX};

const LENGTH_BYTES: usize = 4;

/// What a frame is. Its message follows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Header {
    /// Wants no answer.
    Cast { kind: u16, map_version: u64 },
    /// Wants an answer within `deadline_ms` of its arrival.
    Ask { id: u64, deadline_ms: u32, kind: u16, map_version: u64 },
    /// Answers the ask `id`.
    Answer { id: u64, kind: u16, map_version: u64 },
    /// Says that the ask `id` was not carried out.
    Rejected { id: u64, rejection: Rejection },
    /// May be lost: the only one in a datagram.
    Whisper { kind: u16, map_version: u64 },
}

/// A header and its message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) header: Header,
    pub(super) body: Bytes,
}

impl Frame {
    pub(super) fn cast(envelope: Envelope) -> Self {
        let Envelope { kind, map_version, body } = envelope;
        Self { header: Header::Cast { kind, map_version }, body }
    }

    pub(super) fn ask(id: u64, deadline_ms: u32, envelope: Envelope) -> Self {
        let Envelope { kind, map_version, body } = envelope;
        Self { header: Header::Ask { id, deadline_ms, kind, map_version }, body }
    }

    pub(super) fn answer(id: u64, answer: Result<Envelope, Rejection>) -> Self {
        match answer {
            Ok(Envelope { kind, map_version, body }) => {
                Self { header: Header::Answer { id, kind, map_version }, body }
            }
            Err(rejection) => Self { header: Header::Rejected { id, rejection }, body: Bytes::new() },
        }
    }

    pub(super) fn whisper(envelope: Envelope) -> Self {
        let Envelope { kind, map_version, body } = envelope;
        Self { header: Header::Whisper { kind, map_version }, body }
    }

    /// An upper bound of its bytes on the lane.
    pub(super) const fn size(&self) -> usize {
        self.body.len() + FRAME_HEADER_BYTES_MAX
    }

    /// The frame without its length: what a datagram holds.
    pub(super) fn to_bytes(&self) -> Result<BytesMut, CodecError> {
        let header = codec::encode::<FRAME_HEADER_BYTES_MAX>(PEER_VERSION, &self.header)?;
        let mut out = BytesMut::with_capacity(header.len() + self.body.len());
        out.put_slice(&header);
        out.put_slice(&self.body);
        Ok(out)
    }

    /// Adds the frame to what a lane writes.
    pub(super) fn write(&self, out: &mut BytesMut) -> Result<(), CodecError> {
        let header = codec::encode::<FRAME_HEADER_BYTES_MAX>(PEER_VERSION, &self.header)?;
        // The queue took no frame beyond FRAME_BYTES_MAX, so the length fits.
        out.put_u32_le(u32::try_from(header.len() + self.body.len()).unwrap_or(u32::MAX));
        out.put_slice(&header);
        out.put_slice(&self.body);
        Ok(())
    }

    /// Reads a frame without its length.
    pub(super) fn from_bytes(bytes: &Bytes) -> Result<Self, CodecError> {
        let (header, body) = codec::decode_header::<FRAME_HEADER_BYTES_MAX, Header>(PEER_VERSION, bytes)?;
        Ok(Self { header, body })
    }
}

/// Bytes that are no frame.
#[derive(Debug, thiserror::Error)]
pub(super) enum FrameError {
    #[error("a frame of {bytes} bytes, where at most {FRAME_BYTES_MAX} go")]
    TooLarge { bytes: usize },
    #[error("a frame that cannot be read: {0}")]
    Codec(#[from] CodecError),
}

/// Takes the next whole frame out of what a lane has read, if there is one.
pub(super) fn take(read: &mut BytesMut) -> Result<Option<Frame>, FrameError> {
    let Some(length) = read.first_chunk::<LENGTH_BYTES>() else { return Ok(None) };
    let bytes = usize::try_from(u32::from_le_bytes(*length)).unwrap_or(usize::MAX);
    if bytes > FRAME_BYTES_MAX {
        return Err(FrameError::TooLarge { bytes });
    }
    if read.len() < LENGTH_BYTES + bytes {
        return Ok(None);
    }
    read.advance(LENGTH_BYTES);
    Ok(Some(Frame::from_bytes(&read.split_to(bytes).freeze())?))
}

/// One frame of each kind, as older nodes wrote it.
#[cfg(any(test, feature = "probe"))]
pub(super) const GOLDEN: [&[u8]; 5] = [
    &[16, 0, 0, 0, 1, 0, 0, 0, 0, 7, 0, 9, 0, 0, 0, 0, 0, 0, 0, b'c'],
    &[
        30, 0, 0, 0, 1, 1, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 244, 1, 0, 0, 7, 0, 9, 0, 0, 0, 0, 0, 0, 0, b'a', b's',
        b'k',
    ],
    &[23, 0, 0, 0, 1, 2, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 7, 0, 9, 0, 0, 0, 0, 0, 0, 0],
    &[21, 0, 0, 0, 1, 3, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 20, 0, 0, 0],
    &[16, 0, 0, 0, 1, 4, 0, 0, 0, 7, 0, 9, 0, 0, 0, 0, 0, 0, 0, b'w'],
];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn envelope(body: &'static [u8]) -> Envelope {
        Envelope { kind: 7, map_version: 9, body: Bytes::from_static(body) }
    }

    fn frames() -> [Frame; 5] {
        [
            Frame::cast(envelope(b"c")),
            Frame::ask(3, 500, envelope(b"ask")),
            Frame::answer(3, Ok(envelope(b""))),
            Frame::answer(4, Err(Rejection::Busy { retry_after_ms: 20 })),
            Frame::whisper(envelope(b"w")),
        ]
    }

    #[test]
    fn the_bytes_of_each_frame_are_those_that_older_nodes_wrote() {
        for (frame, bytes) in frames().iter().zip(GOLDEN) {
            let mut out = BytesMut::new();
            frame.write(&mut out).expect("small");
            assert_eq!(&out[..], bytes, "{frame:?}");
        }
    }

    #[test]
    fn frames_come_back_whole_however_the_bytes_arrive() {
        let mut written = BytesMut::new();
        frames().iter().for_each(|frame| frame.write(&mut written).expect("small"));
        for step in 1..=written.len() {
            let (mut read, mut got) = (BytesMut::new(), Vec::new());
            for chunk in written.chunks(step) {
                read.extend_from_slice(chunk);
                while let Some(frame) = take(&mut read).expect("as written") {
                    got.push(frame);
                }
            }
            assert_eq!(got, frames(), "{step} bytes at a time");
        }
    }

    #[test]
    fn a_frame_beyond_the_bound_is_refused_by_its_length_alone() {
        let mut read = BytesMut::from(&u32::MAX.to_le_bytes()[..]);
        assert!(matches!(take(&mut read), Err(FrameError::TooLarge { bytes: 0xffff_ffff })));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, cases: 4_000, ..ProptestConfig::default() })]

        #[test]
        fn no_bytes_on_a_lane_make_a_node_panic(bytes in any::<Vec<u8>>(), framed in any::<bool>()) {
            let mut read = BytesMut::new();
            if framed {
                read.put_u32_le(u32::try_from(bytes.len() + 1).expect("small"));
                read.put_u8(PEER_VERSION);
            }
            read.extend_from_slice(&bytes);
            while let Ok(Some(frame)) = take(&mut read) {
                prop_assert!(frame.size() <= FRAME_BYTES_MAX + FRAME_HEADER_BYTES_MAX);
            }
        }
    }
}
