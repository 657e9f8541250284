//! How a connection and a session come together.

use hubbub_protocol::{
    frame::Frame,
    ids::{RoomId, Seq},
};

/// What a client asked for when its connection was attached. The session answers it itself, once the
/// connection is its own: a client that has an answer may at once resume elsewhere.
#[derive(Debug)]
pub enum Begin {
    /// A new session, with the answer.
    Identified(Box<Frame>),
    /// One that was there before.
    Resumed(Resume),
}

/// What a resume asks for.
#[derive(Debug)]
pub struct Resume {
    /// The request to answer.
    pub re: u32,
    /// The session's token, to answer with.
    pub token: String,
    /// Where to go on, by room.
    pub cursors: Vec<(RoomId, Seq)>,
}
