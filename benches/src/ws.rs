//! WebSocket frames, as little of RFC 6455 as a load generator and a floor need.
//!
//! A frame is encoded once and shared as [`Bytes`]; what arrives is parsed where it was read, and only the rest of a
//! cut frame is kept, so a quiet connection holds no buffer.
//!
//! # Invariants
//! - A message is one frame: both ends of these benchmarks send none in parts, and [`parse`] refuses a part.
//! - No frame is longer than [`FRAME_BYTES_MAX`], so a connection never holds more than one such frame.
//!
//! The handshake is in `ws/handshake.rs`.

pub(crate) mod handshake;

use std::ops::Range;

use bytes::{Buf, BufMut, Bytes, BytesMut};

pub(crate) const TEXT: u8 = 0x1;
pub(crate) const CLOSE: u8 = 0x8;
pub(crate) const PING: u8 = 0x9;
pub(crate) const PONG: u8 = 0xA;

/// Longest payload taken from the other end: the answer to `identify` names every room, 200 bytes each, and a
/// benchmark makes at most some thousands of them.
pub(crate) const FRAME_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Where a frame's parts lie in the buffer it was found in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) opcode: u8,
    pub(crate) mask: Option<[u8; 4]>,
    pub(crate) payload: Range<usize>,
}

/// Why the other end cannot be understood any more; the connection is of no further use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FrameError {
    #[error("a frame of {0} bytes is longer than {FRAME_BYTES_MAX}")]
    TooLong(u64),
    #[error("a message came in parts, or with reserved bits set")]
    Parts,
}

/// Finds the first frame of `buffer`, `None` while it is not whole.
pub(crate) fn parse(buffer: &[u8]) -> Result<Option<Frame>, FrameError> {
    let [first, second, ..] = *buffer else {
        return Ok(None);
    };
    if first & 0xF0 != 0x80 {
        return Err(FrameError::Parts);
    }
    let (length, mut at) = match second & 0x7F {
        126 => match buffer.get(2..4) {
            Some(mut bytes) => (u64::from(bytes.get_u16()), 4),
            None => return Ok(None),
        },
        127 => match buffer.get(2..10) {
            Some(mut bytes) => (bytes.get_u64(), 10),
            None => return Ok(None),
        },
        short => (u64::from(short), 2),
    };
    let length = usize::try_from(length)
        .ok()
        .filter(|bytes| *bytes <= FRAME_BYTES_MAX)
        .ok_or(FrameError::TooLong(length))?;
    let mut mask = None;
    if second & 0x80 != 0 {
        let Some(bytes) = buffer.get(at..at + 4) else {
            return Ok(None);
        };
        mask = <[u8; 4]>::try_from(bytes).ok();
        at += 4;
    }
    let payload = at..at + length;
    let opcode = first & 0x0F;
    Ok((buffer.len() >= payload.end).then_some(Frame { opcode, mask, payload }))
}

/// Takes the mask off (or puts it on) in place.
pub(crate) fn unmask(payload: &mut [u8], mask: [u8; 4]) {
    for (byte, key) in payload.iter_mut().zip(mask.iter().cycle()) {
        *byte ^= key;
    }
}

/// A text frame as a server sends it: unmasked, so that all receivers share the same bytes.
pub(crate) fn server_text(text: &[u8]) -> Bytes {
    let mut frame = BytesMut::with_capacity(text.len() + 10);
    put_head(&mut frame, TEXT, text.len(), 0);
    frame.put_slice(text);
    frame.freeze()
}

/// A frame as a client sends it, under `mask`.
pub(crate) fn client_frame(opcode: u8, payload: &[u8], mask: [u8; 4]) -> Bytes {
    let mut frame = BytesMut::with_capacity(payload.len() + 14);
    put_head(&mut frame, opcode, payload.len(), 0x80);
    frame.put_slice(&mask);
    let head = frame.len();
    frame.put_slice(payload);
    unmask(&mut frame[head..], mask);
    frame.freeze()
}

fn put_head(frame: &mut BytesMut, opcode: u8, length: usize, masked: u8) {
    frame.put_u8(0x80 | opcode);
    match (u8::try_from(length), u16::try_from(length)) {
        (Ok(short @ ..126), _) => frame.put_u8(masked | short),
        (_, Ok(middle)) => {
            frame.put_u8(masked | 126);
            frame.put_u16(middle);
        }
        (_, Err(_)) => {
            frame.put_u8(masked | 127);
            frame.put_u64(length as u64);
        }
    }
}

/// What a connection has received and not used: at most the beginning of one frame between two reads.
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    pending: BytesMut,
}

impl Inbox {
    /// Gives every whole frame of `fresh` (behind what was pending) to `take`, unmasked.
    pub(crate) fn drain(&mut self, fresh: &mut [u8], mut take: impl FnMut(u8, &[u8])) -> Result<(), FrameError> {
        if !self.pending.is_empty() {
            self.pending.extend_from_slice(fresh);
            let used = drain_buffer(&mut self.pending, &mut take)?;
            self.pending.advance(used);
            if self.pending.is_empty() {
                self.pending = BytesMut::new();
            }
            return Ok(());
        }
        let used = drain_buffer(fresh, &mut take)?;
        self.pending.extend_from_slice(&fresh[used..]);
        Ok(())
    }

    /// Keeps `fresh` for [`Inbox::next`].
    pub(crate) fn absorb(&mut self, fresh: &[u8]) {
        self.pending.extend_from_slice(fresh);
    }

    /// Takes one whole frame out of what was absorbed.
    pub(crate) fn next(&mut self) -> Result<Option<(u8, BytesMut)>, FrameError> {
        let Some(frame) = parse(&self.pending)? else {
            return Ok(None);
        };
        let mut bytes = self.pending.split_to(frame.payload.end);
        bytes.advance(frame.payload.start);
        if let Some(mask) = frame.mask {
            unmask(&mut bytes, mask);
        }
        Ok(Some((frame.opcode, bytes)))
    }
}

fn drain_buffer(buffer: &mut [u8], take: &mut impl FnMut(u8, &[u8])) -> Result<usize, FrameError> {
    let mut used = 0;
    while let Some(frame) = parse(&buffer[used..])? {
        let payload = &mut buffer[used..][frame.payload.clone()];
        if let Some(mask) = frame.mask {
            unmask(payload, mask);
        }
        take(frame.opcode, payload);
        used += frame.payload.end;
    }
    Ok(used)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_of_any_length_is_read_as_it_was_written() {
        for length in [0, 1, 125, 126, 65_535, 65_536, 70_000] {
            let text = vec![b'a'; length];
            for mut frame in [server_text(&text).to_vec(), client_frame(TEXT, &text, [1, 2, 3, 4]).to_vec()] {
                let mut heard = Vec::new();
                Inbox::default()
                    .drain(&mut frame, |opcode, payload| {
                        heard.push((opcode, payload.to_vec()));
                    })
                    .expect("a well-formed frame is understood");
                assert_eq!(heard, [(TEXT, text.clone())]);
            }
        }
    }

    #[test]
    fn frames_cut_anywhere_arrive_whole_and_in_order() {
        let stream = [&server_text(b"one")[..], &server_text(&[b'x'; 300]), &server_text(b"")].concat();
        for step in 1..stream.len() {
            let mut inbox = Inbox::default();
            let mut lengths = Vec::new();
            for part in stream.chunks(step) {
                inbox
                    .drain(&mut part.to_vec(), |_, payload| lengths.push(payload.len()))
                    .expect("a cut is no error");
            }
            assert_eq!(lengths, [3, 300, 0], "cut every {step} bytes");
        }
    }

    #[test]
    fn absorbed_frames_are_taken_one_by_one() {
        let mut inbox = Inbox::default();
        inbox.absorb(&client_frame(TEXT, b"first", [9, 8, 7, 6]));
        inbox.absorb(&server_text(b"second")[..4]);
        let (opcode, payload) = inbox.next().expect("well formed").expect("whole");
        assert_eq!((opcode, &payload[..]), (TEXT, &b"first"[..]));
        assert_eq!(inbox.next(), Ok(None));
    }

    #[test]
    fn a_message_in_parts_and_a_giant_frame_are_refused() {
        assert_eq!(parse(&[0x01, 0x00]), Err(FrameError::Parts));
        let giant = [0x81, 127, 0, 0, 0, 1, 0, 0, 0, 0];
        assert_eq!(parse(&giant), Err(FrameError::TooLong(1 << 32)));
    }
}
