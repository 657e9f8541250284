//! From bytes to messages: the reading side of a WebSocket, without I/O.
//!
//! Headers are parsed by tungstenite; what is here is unmasking, joining fragments, and the limits.
//! While nothing is under way the reader owns no memory.
//!
//! # Invariants
//!
//! * However the bytes are cut into reads, the same messages come out.
//! * At most [`FRAME_BYTES_MAX`] bytes of a message and one header are ever held, and never more
//!   memory than about twice what has come: a header that promises much reserves nothing.

use std::io::Cursor;

use bytes::Buf;
use hubbub_protocol::{
    error::CloseCode,
    limits::{FRAME_BYTES_MAX, FRAME_BYTES_READ_MAX},
};
use tungstenite::protocol::frame::{
    FrameHeader,
    coding::{Control, Data, OpCode},
};

/// Longest payload of a ping, pong or close.
const CONTROL_BYTES_MAX: u64 = 125;
/// Longest header: two bytes, a length of eight, a mask of four.
const HEADER_BYTES_MAX: usize = 14;

/// What a client sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Incoming {
    /// A text message; not yet checked for UTF-8.
    Text(Vec<u8>),
    /// A binary message.
    Binary(Vec<u8>),
    /// A ping, to be answered with the same bytes.
    Ping(Vec<u8>),
    /// A pong.
    Pong,
    /// Goodbye.
    Close,
}

#[derive(Debug)]
struct Under {
    header: FrameHeader,
    missing: usize,
    mask_at: usize,
}

/// Reads one client's bytes.
#[derive(Debug, Default)]
pub struct Reader {
    /// Bytes of a header that has not come whole, and how many they are.
    pending: [u8; HEADER_BYTES_MAX],
    held: usize,
    under: Option<Under>,
    /// The payload of the frame under way.
    frame: Vec<u8>,
    /// The message under way, when it comes in fragments; `true` for text.
    message: Option<(bool, Vec<u8>)>,
}

impl Reader {
    /// Takes bytes in and appends the messages that are whole now to `out`.
    ///
    /// # Errors
    /// The code to close the connection with. Nothing can be read after it.
    pub fn feed(&mut self, bytes: &[u8], out: &mut Vec<Incoming>) -> Result<(), CloseCode> {
        let mut rest = bytes;
        loop {
            if self.under.is_none() && !self.header(&mut rest)? {
                return Ok(());
            }
            if !self.payload(&mut rest) {
                return Ok(());
            }
            let Some(under) = self.under.take() else { return Ok(()) };
            let payload = std::mem::take(&mut self.frame);
            self.whole(&under.header, payload, out)?;
        }
    }

    /// Reads a header; says whether there was a whole one.
    fn header(&mut self, rest: &mut &[u8]) -> Result<bool, CloseCode> {
        if rest.is_empty() {
            return Ok(false);
        }
        let taken = rest.len().min(HEADER_BYTES_MAX - self.held);
        self.pending[self.held..self.held + taken].copy_from_slice(&rest[..taken]);
        let mut cursor = Cursor::new(&self.pending[..self.held + taken]);
        let parsed = FrameHeader::parse(&mut cursor).map_err(|_| CloseCode::Protocol)?;
        let Some((header, length)) = parsed else {
            self.held += taken;
            rest.advance(taken);
            return Ok(false);
        };
        let used = usize::try_from(cursor.position()).unwrap_or(HEADER_BYTES_MAX);
        rest.advance(used - self.held);
        self.held = 0;
        self.judge(&header, length)?;
        let missing = usize::try_from(length).map_err(|_| CloseCode::TooLarge)?;
        self.under = Some(Under { header, missing, mask_at: 0 });
        Ok(true)
    }

    fn judge(&self, header: &FrameHeader, length: u64) -> Result<(), CloseCode> {
        let reserved = header.rsv1 || header.rsv2 || header.rsv3;
        if reserved || header.mask.is_none() {
            return Err(CloseCode::Protocol);
        }
        if let OpCode::Control(_) = header.opcode {
            return if header.is_final && length <= CONTROL_BYTES_MAX { Ok(()) } else { Err(CloseCode::Protocol) };
        }
        let begun = self.message.is_some();
        if matches!(header.opcode, OpCode::Data(Data::Continue)) != begun {
            return Err(CloseCode::Protocol);
        }
        let so_far = self.message.as_ref().map_or(0, |(_, message)| message.len());
        let whole = (so_far as u64).saturating_add(length);
        if length > FRAME_BYTES_READ_MAX as u64 || whole > FRAME_BYTES_MAX as u64 {
            return Err(CloseCode::TooLarge);
        }
        Ok(())
    }

    /// Reads and unmasks payload; says whether the frame is whole.
    fn payload(&mut self, rest: &mut &[u8]) -> bool {
        let Some(under) = &mut self.under else { return false };
        let taken = rest.len().min(under.missing);
        let mask = under.header.mask.unwrap_or_default();
        if self.frame.is_empty() {
            self.frame.reserve_exact(taken);
        }
        let unmasked =
            rest[..taken].iter().zip((under.mask_at..).map(|at| mask[at % 4])).map(|(byte, mask)| byte ^ mask);
        self.frame.extend(unmasked);
        under.mask_at = (under.mask_at + taken) % 4;
        under.missing -= taken;
        rest.advance(taken);
        under.missing == 0
    }

    fn whole(&mut self, header: &FrameHeader, payload: Vec<u8>, out: &mut Vec<Incoming>) -> Result<(), CloseCode> {
        match header.opcode {
            OpCode::Control(Control::Ping) => out.push(Incoming::Ping(payload)),
            OpCode::Control(Control::Pong) => out.push(Incoming::Pong),
            OpCode::Control(Control::Close) => out.push(Incoming::Close),
            OpCode::Control(Control::Reserved(_)) | OpCode::Data(Data::Reserved(_)) => {
                return Err(CloseCode::Protocol);
            }
            OpCode::Data(data) => {
                let (text, mut message) = self.message.take().unwrap_or((data == Data::Text, Vec::new()));
                if message.is_empty() {
                    message = payload;
                } else {
                    message.extend_from_slice(&payload);
                }
                if header.is_final {
                    out.push(if text { Incoming::Text(message) } else { Incoming::Binary(message) });
                } else {
                    self.message = Some((text, message));
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
        let mut bytes = vec![first];
        match payload.len() {
            short @ 0..=125 => bytes.push(0x80 | u8::try_from(short).expect("short")),
            long if long <= 65_535 => {
                bytes.push(0x80 | 126);
                bytes.extend(u16::try_from(long).expect("long").to_be_bytes());
            }
            huge => {
                bytes.push(0x80 | 127);
                bytes.extend((huge as u64).to_be_bytes());
            }
        }
        let mask = [1, 2, 3, 4];
        bytes.extend(mask);
        bytes.extend(payload.iter().enumerate().map(|(at, byte)| byte ^ mask[at % 4]));
        bytes
    }

    fn read(chunks: &[&[u8]]) -> Result<Vec<Incoming>, CloseCode> {
        let (mut reader, mut out) = (Reader::default(), Vec::new());
        for chunk in chunks {
            reader.feed(chunk, &mut out)?;
        }
        Ok(out)
    }

    #[test]
    fn however_the_bytes_are_cut_the_same_messages_come_out() {
        let mut bytes = frame(0x81, b"hello");
        bytes.extend(frame(0x01, "h\u{e9}l".as_bytes()));
        bytes.extend(frame(0x89, b"ping"));
        bytes.extend(frame(0x80, &[b'x'; 300]));
        bytes.extend(frame(0x82, &[7; 70]));
        bytes.extend(frame(0x88, &[]));
        let whole = read(&[&bytes]).expect("good frames");
        assert_eq!(whole.len(), 5);
        for size in 1..40 {
            let chunks: Vec<&[u8]> = bytes.chunks(size).collect();
            assert_eq!(read(&chunks).expect("good frames"), whole, "cut into {size}");
        }
    }

    #[test]
    fn a_message_beyond_the_limit_is_refused_by_its_header() {
        let header = &frame(0x81, &vec![b' '; FRAME_BYTES_MAX + 1])[..14];
        assert_eq!(read(&[header]), Err(CloseCode::TooLarge));
        let parts = [frame(0x01, &vec![b' '; 40_000]), frame(0x80, &vec![b' '; 40_000])].concat();
        assert_eq!(read(&[&parts]), Err(CloseCode::TooLarge));
        let full = frame(0x81, &vec![b' '; FRAME_BYTES_MAX]);
        assert_eq!(read(&[&full]).expect("just within").len(), 1);
    }

    #[test]
    fn broken_frames_are_refused() {
        let unmasked = [0x81, 0x01, b'x'];
        let lone_continuation = frame(0x80, b"x");
        let reserved_bit = frame(0xC1, b"x");
        let reserved_opcode = frame(0x83, b"x");
        let long_ping = frame(0x89, &[0; 126]);
        let cut_ping = frame(0x09, b"x");
        let two_beginnings = [frame(0x01, b"a"), frame(0x81, b"b")].concat();
        for bytes in [
            &unmasked[..],
            &lone_continuation,
            &reserved_bit,
            &reserved_opcode,
            &long_ping,
            &cut_ping,
            &two_beginnings,
        ] {
            assert_eq!(read(&[bytes]), Err(CloseCode::Protocol), "{bytes:?}");
        }
    }

    fn held_bytes(reader: &Reader) -> usize {
        reader.frame.capacity() + reader.message.as_ref().map_or(0, |(_, message)| message.capacity())
    }

    #[test]
    fn a_header_that_promises_much_reserves_nothing() {
        let mut reader = Reader::default();
        let header = &frame(0x81, &vec![b' '; FRAME_BYTES_MAX])[..14];
        reader.feed(header, &mut Vec::new()).expect("within the limit");
        assert_eq!(held_bytes(&reader), 0);
    }

    /// A message or control frame as a client may send it.
    fn any_message() -> impl Strategy<Value = Vec<u8>> {
        let payload = || prop::collection::vec(any::<u8>(), 0..400);
        let whole =
            (prop::sample::select(vec![0x81_u8, 0x82]), payload()).prop_map(|(first, all)| frame(first, &all));
        let control = (prop::sample::select(vec![0x89_u8, 0x8A]), prop::collection::vec(any::<u8>(), 0..=125))
            .prop_map(|(first, all)| frame(first, &all));
        // A control frame may stand between two fragments.
        let cut = (payload(), control.clone(), payload(), payload()).prop_map(|(one, control, two, three)| {
            [frame(0x01, &one), control, frame(0x00, &two), frame(0x80, &three)].concat()
        });
        prop_oneof![whole, control, cut]
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

        #[test]
        fn any_cut_of_any_stream_gives_the_same_messages(
            messages in prop::collection::vec(any_message(), 0..8),
            cuts in prop::collection::vec(1..600_usize, 1..40),
        ) {
            let stream = messages.concat();
            let whole = read(&[&stream]).expect("good frames");
            let (mut chunks, mut rest) = (Vec::new(), &stream[..]);
            for size in cuts.iter().cycle() {
                if rest.is_empty() {
                    break;
                }
                let (chunk, after) = rest.split_at((*size).min(rest.len()));
                chunks.push(chunk);
                rest = after;
            }
            prop_assert_eq!(read(&chunks).expect("good frames"), whole);
        }

        #[test]
        fn any_bytes_are_read_or_refused_and_little_is_held(
            chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..2_000), 0..40),
        ) {
            let (mut reader, mut out) = (Reader::default(), Vec::new());
            let mut fed = 0;
            for chunk in &chunks {
                fed += chunk.len();
                let refused = reader.feed(chunk, &mut out).is_err();
                prop_assert!(held_bytes(&reader) <= 2 * fed.min(2 * FRAME_BYTES_MAX) + 16);
                if refused {
                    break;
                }
            }
        }

        #[test]
        fn a_good_beginning_may_be_followed_by_anything(
            messages in prop::collection::vec(any_message(), 0..3),
            noise in prop::collection::vec(any::<u8>(), 0..200),
        ) {
            let good = read(&[&messages.concat()]).expect("good frames");
            let (mut reader, mut out) = (Reader::default(), Vec::new());
            // What the noise means does not matter; what came before it does.
            let _ = reader.feed(&[messages.concat(), noise].concat(), &mut out);
            prop_assert_eq!(&out[..good.len()], &good[..]);
        }
    }
}
