//! Every bound a client can meet, in one place, with its reason.

/// Largest frame a client may send, in bytes: a text of 32 KiB in which every byte is escaped fits.
pub const FRAME_BYTES_MAX: usize = 64 * 1024;
/// Beyond this a frame is not read to its end; the connection is closed with 4002 at once.
pub const FRAME_BYTES_READ_MAX: usize = 1024 * 1024;
/// Longest text of a message, in Unicode scalar values.
pub const TEXT_CHARS_MAX: usize = 8_000;
/// Longest text of a message, in bytes of UTF-8: 8,000 characters of four bytes each.
pub const TEXT_BYTES_MAX: usize = 32 * 1024;
/// Requests of one session that may wait for their answer.
pub const IN_FLIGHT_MAX: usize = 32;
/// Rooms one session may be subscribed to.
pub const SUBSCRIPTIONS_MAX: usize = 16_384;
/// Longest `device` of an `identify`, in characters.
pub const DEVICE_CHARS_MAX: usize = 64;
/// Files of one message.
pub const FILES_MAX: usize = 10;
/// Different emoji on one message.
pub const REACTIONS_DISTINCT_MAX: usize = 20;
/// Pinned messages of one room.
pub const PINS_MAX: usize = 100;
/// Largest page of a list or of history, in items.
pub const PAGE_MAX: usize = 100;
/// A page when the client does not say, in items.
pub const PAGE_DEFAULT: usize = 50;
/// Events replayed by `subscribe` or `resume` in one room; who is further behind loads pages.
/// 1,000 events of about 400 bytes are 400 KB: well under a second on a slow line.
pub const REPLAY_EVENTS_MAX: u64 = 1_000;
/// Users one `watch` may name.
pub const WATCH_USERS_MAX: usize = 200;
/// Longest `reason`, in characters.
pub const REASON_CHARS_MAX: usize = 512;
/// Longest title of a thread and name of a room, in characters.
pub const NAME_CHARS_MAX: usize = 100;
/// Longest topic of a room or description of a community, in characters.
pub const TOPIC_CHARS_MAX: usize = 1_024;
/// Longest presence text, in characters.
pub const STATUS_CHARS_MAX: usize = 128;
/// Mentioned users that one message may notify.
pub const MENTIONS_MAX: usize = 50;
/// Members of a group conversation, its maker included.
pub const GROUP_MEMBERS_MAX: usize = 10;
/// One `typing` of a user in a room counts in this time, in milliseconds.
pub const TYPING_EVERY_MS: u64 = 3_000;
/// Time from the upgrade to `identify` or `resume`, in milliseconds.
pub const IDENTIFY_WITHIN_MS: u64 = 10_000;
/// What a client is told to beat, in milliseconds, unless the operator says otherwise.
pub const HEARTBEAT_MS: u64 = 30_000;
/// Frames that may wait for one connection.
pub const OUTBOX_FRAMES_MAX: usize = 256;
/// Bytes that may wait for one connection.
pub const OUTBOX_BYTES_MAX: usize = 256 * 1024;
/// How long an outbox may stay full before the connection is closed with 4008, in milliseconds.
pub const OUTBOX_STUCK_MS: u64 = 30_000;
/// Requests queued for one room; the next is answered `busy`.
pub const ROOM_QUEUE_MAX: usize = 1_024;
/// How far back a room remembers keys without asking the log, in milliseconds.
pub const KEY_WINDOW_MS: u64 = 10 * 60 * 1_000;
