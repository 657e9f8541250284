//! Every bound of joining, with the sum that gave it.

use std::time::Duration;

/// Largest application: a request of 400 bytes, eight addresses of 260, three labels of 64, and numbers.
pub const APPLICATION_BYTES_MAX: usize = 4 << 10;
/// Largest answer: 64 members with eight addresses of 260 bytes are 133 KB; roots and certificate 12 KB.
pub const ANSWER_BYTES_MAX: usize = 192 << 10;
/// Members named in an answer: enough to find one that runs. The map comes with the first link.
pub const MEMBERS_TOLD_MAX: usize = 64;
/// Who stands at the door at once. Each costs a handshake and one ask to the leader.
pub const AT_THE_DOOR_MAX: usize = 16;
/// How many of them may come from one address, so that one stranger cannot keep the others out.
pub const AT_THE_DOOR_PER_ADDRESS_MAX: usize = 4;
/// From the first packet to the answer, at the door: a handshake of at most 3 s, and a proposal of at most 5 s.
pub const KNOCK_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the door waits for the leader's desk: a proposal takes at most 5 s there.
pub const DESK_TIMEOUT: Duration = Duration::from_secs(6);
/// How long the joiner waits at one seed; above [`KNOCK_TIMEOUT`], so that it hears why.
pub const SEED_TIMEOUT: Duration = Duration::from_secs(12);
/// Silence before a wrong token is answered, at the door: with [`AT_THE_DOOR_MAX`] 32 guesses a second, of 2^256.
pub const WRONG_TOKEN_PAUSE: Duration = Duration::from_millis(500);
/// How long the joiner may take to read the answer; then the connection is closed.
pub const READ_TIMEOUT: Duration = Duration::from_secs(2);
/// Rounds through all seeds before the joiner gives up: an election is over by the third.
pub const ROUNDS: u32 = 5;
/// Pause between two rounds.
pub const ROUND_PAUSE: Duration = Duration::from_secs(1);
