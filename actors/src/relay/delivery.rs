//! An event on its way from the room's owner to those who follow the room.

use std::sync::Arc;

use hubbub_protocol::{
    event::{Event, EventBody, EventClass},
    frame::Frame,
    ids::{Seq, UserId},
};
use hubbub_storage::StoredEvent;

/// An event on its way to subscribers.
#[derive(Debug, Clone)]
pub struct Delivery {
    pub(super) seq: Seq,
    pub(super) class: EventClass,
    pub(super) frame: Arc<Frame>,
    pub(super) mentions: Option<Arc<Event>>,
    /// Who is no member of the room any more.
    pub(super) gone: Option<UserId>,
}

impl Delivery {
    /// The delivery of `event`, whose push is `frame`.
    #[must_use]
    pub fn of(event: Event, frame: Arc<Frame>) -> Self {
        let everyone = matches!(&event.body, EventBody::MessageCreated(created) if created.mentions.everyone);
        let (seq, class) = (event.seq, event.body.kind().class());
        let gone = match &event.body {
            EventBody::MemberLeft { user } | EventBody::MemberRemoved { user, .. } => Some(*user),
            _ => None,
        };
        Self { seq, class, frame, mentions: everyone.then(|| Arc::new(event)), gone }
    }

    pub(super) fn stored(event: &StoredEvent) -> Self {
        let frame = Arc::new(Frame::new(&event.push));
        Self { seq: event.seq, class: event.kind.class(), frame, mentions: None, gone: None }
    }
}
