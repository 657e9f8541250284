//! A message of 120 bytes, as the load generator sends them, and what it becomes on its way.

use std::sync::Arc;

use hubbub_actors::{
    peers::wire::{Deliver, Delivered},
    room::NewPost,
};
use hubbub_protocol::{
    event::{Created, Event, EventBody},
    frame::Frame,
    ids::{MessageKey, RoomId, Seq, UserId},
    time::Timestamp,
};
use uuid::Uuid;

pub(crate) const ROOM: RoomId = RoomId::from_raw(5_000_000_000);
pub(crate) const ADA: UserId = UserId::from_raw(7_000_000_000);
pub(crate) const NOW: Timestamp = Timestamp(1_795_435_200_000);

const TEXT: &str = "so it goes, one line after the other, as people talk when they have time: \
     about this and that, and sometimes about rooms";

pub(crate) fn key() -> MessageKey {
    MessageKey(Uuid::now_v7())
}

pub(crate) fn post() -> NewPost {
    NewPost { key: key(), text: TEXT.to_owned(), reply_to: None, files: Vec::new(), retry: false }
}

pub(crate) fn event() -> Event {
    let created = Created { text: TEXT.to_owned(), ..Created::default() };
    let body = EventBody::MessageCreated(Box::new(created));
    Event { room: ROOM, seq: Seq(1_042), ts: NOW, by: ADA, key: Some(key()), body }
}

pub(crate) fn frame() -> Arc<Frame> {
    Arc::new(Frame::event(&event()))
}

/// What a room's owner sends another node for `events` messages.
pub(crate) fn deliver(events: u64) -> Deliver {
    let event = event();
    let delivered = |seq| Delivered {
        seq: Seq(seq),
        class: event.body.kind().class(),
        gone: None,
        calls_everyone: None,
        push: event.encode(),
    };
    Deliver { room: ROOM, events: (1..=events).map(delivered).collect() }
}
