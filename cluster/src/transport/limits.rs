//! Every bound of the transport, with the sum that gave it.

use std::time::Duration;

use hubbub_protocol::peer::{Class, PEER_MESSAGE_BYTES_MAX};

/// Most that a frame has beside its message: version 1, variant 4, id 8, kind 2, map version 8, deadline 4, rejection
/// 8, rounded up.
pub const FRAME_HEADER_BYTES_MAX: usize = 64;
/// Largest frame: the largest message and its header.
pub const FRAME_BYTES_MAX: usize = PEER_MESSAGE_BYTES_MAX + FRAME_HEADER_BYTES_MAX;
/// Frames that wait on one lane: 4 MiB in frames of 1 KiB. Smaller ones meet this bound before that of bytes.
pub const LANE_FRAMES_MAX: usize = 4_096;
/// What one write takes from a lane, unless its first frame alone is larger: 60 KiB, where a larger buffer stops
/// making frames cheaper.
pub const BATCH_BYTES: usize = 60 * 1024;

/// Bytes that wait for one peer in one class: a second of a full lane of appends is under 4 MiB; a room's fan-out
/// comes in bursts and gets 8. With all classes full 4 × 4 + 8 = 24 MiB wait for a stuck peer, twice with answers.
#[must_use]
pub const fn class_bytes_max(class: Class) -> usize {
    match class {
        Class::Deliver => 8 << 20,
        Class::Raft | Class::Control | Class::Append | Class::Bulk => 4 << 20,
    }
}

/// When to send again after a full lane: it drains 4 MiB in 17 ms at the 236 MB/s that one connection was measured
/// at; twice that, rounded up.
pub const BUSY_RETRY_AFTER: Duration = Duration::from_millis(50);

/// Asks to one peer that wait for an answer: 32 for each of 128 sessions at once. An ask costs about 200 bytes here.
pub const ASKS_WAITING_MAX: usize = 4_096;
/// Asks of one peer that are being answered; the lane with the next one waits. A quarter of what may be asked, so that
/// one peer does not fill the rooms' gates alone.
pub const ASKS_ANSWERING_MAX: usize = 1_024;
/// Longest time to answer; longer ones are cut to it. A handoff, the slowest ask, gives up after 5 s.
pub const ASK_TIMEOUT_MAX: Duration = Duration::from_secs(30);

/// Largest datagram, whatever the path takes: under the 1,200 bytes that every QUIC path carries, less QUIC's own.
pub const WHISPER_BYTES_MAX: usize = 1_100;
/// Datagrams that wait to be sent; the oldest are dropped. 256 KiB is 230 of the largest.
pub const WHISPER_BUFFER_BYTES: usize = 256 << 10;

/// From the first packet to the end of the greeting: 3 round trips of at most 300 ms across a continent, lost once.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// Silence after which a link is broken. The leader calls a node down after 6 s, so links break before nodes do.
pub const LINK_SILENCE_MAX: Duration = Duration::from_secs(4);
/// How often a silent link says that it lives: three may be lost before [`LINK_SILENCE_MAX`].
pub const KEEP_ALIVE: Duration = Duration::from_secs(1);
/// First wait before dialling again; doubled each time up to [`REDIAL_MAX`], each between half and all of itself.
pub const REDIAL_MIN: Duration = Duration::from_millis(100);
/// Longest wait before dialling again: a node that comes back is linked within 5 s.
pub const REDIAL_MAX: Duration = Duration::from_secs(5);
/// How long the node with the higher number waits for the other to dial: one handshake of 3 ms, and slack.
pub const HIGHER_DIALS_AFTER: Duration = Duration::from_millis(200);
/// Handshakes under way; beyond it the next is refused, beyond half of it a dialler must prove its address. A cell has
/// at most 500 nodes and each dials twice.
pub const HANDSHAKES_MAX: usize = 256;
/// Streams that a peer may open: its lanes and answers come to 24.
pub const STREAMS_MAX: u32 = 32;
/// Packets that a node takes before it acknowledges them at once; fewer are acknowledged within 25 ms. An acknowledgement
/// is a packet, and costs both ends what a message does.
pub(super) const PACKETS_UNACKNOWLEDGED: u32 = 10;
/// Unacknowledged bytes of one lane at the receiver: 4 MiB, the most that waits in most classes.
pub const STREAM_WINDOW_BYTES: u32 = 4 << 20;
/// Unacknowledged bytes of a link: four full lanes.
pub const LINK_WINDOW_BYTES: u32 = 16 << 20;
/// What the kernel may hold for the socket. At its default of 208 KiB loopback lost 1 % of a full link's packets.
pub const SOCKET_BUFFER_BYTES: usize = 8 << 20;
/// Round trip assumed before one was measured: nodes stand in one region.
pub const INITIAL_RTT: Duration = Duration::from_millis(2);
/// Largest greeting: two numbers, a name and a version come to under 100 bytes.
pub const HELLO_BYTES_MAX: usize = 512;
