//! Bytes as they come off a lane, for tests and fuzzing.

use bytes::BytesMut;
use hubbub_protocol::peer::Envelope;

use super::{
    frame::{self, Frame, Header},
    quic::hello,
};

/// Reads greetings.
pub(crate) fn greeting(bytes: &[u8]) -> bool {
    hello::probe(bytes)
}

/// Gives `take` every message in `bytes`, until a frame cannot be read; the number of frames.
///
/// # Panics
/// When a frame that was read is not written as it came.
pub(crate) fn lane(bytes: &[u8], mut take: impl FnMut(&Envelope)) -> usize {
    let mut read = BytesMut::from(bytes);
    let mut frames = 0;
    while let Ok(Some(frame)) = frame::take(&mut read) {
        let mut written = BytesMut::new();
        frame.write(&mut written).expect("what was read can be written");
        assert_eq!(frame::take(&mut written).ok().flatten().as_ref(), Some(&frame), "a frame is read as written");
        frames += 1;
        if let Some(envelope) = opened(frame) {
            take(&envelope);
        }
    }
    frames
}

fn opened(Frame { header, body }: Frame) -> Option<Envelope> {
    match header {
        Header::Cast { kind, map_version }
        | Header::Ask { kind, map_version, .. }
        | Header::Answer { kind, map_version, .. }
        | Header::Whisper { kind, map_version } => Some(Envelope { kind, map_version, body }),
        Header::Rejected { .. } => None,
    }
}

/// The golden frames.
pub(crate) fn golden_frames() -> Vec<Vec<u8>> {
    frame::GOLDEN.iter().map(|bytes| bytes.to_vec()).collect()
}

/// Greetings.
pub(crate) fn greetings() -> Vec<Vec<u8>> {
    hello::samples()
}

/// `envelope` as it stands on a lane.
pub(crate) fn on_a_lane(envelope: Envelope) -> Vec<u8> {
    let mut out = BytesMut::new();
    Frame::cast(envelope).write(&mut out).expect("small");
    out.to_vec()
}
