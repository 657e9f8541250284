//! An event on its way from the room's owner to those who follow the room.

use std::sync::Arc;

use hubbub_protocol::{
    event::{Event, EventBody, EventClass},
    frame::Frame,
    ids::{Seq, UserId},
};
use hubbub_storage::StoredEvent;

use crate::peers::wire::Delivered;

/// An event on its way to subscribers.
#[derive(Debug, Clone)]
pub struct Delivery {
    pub(crate) seq: Seq,
    pub(crate) class: EventClass,
    pub(crate) frame: Arc<Frame>,
    /// The author, when everyone is mentioned.
    pub(crate) calls_everyone: Option<UserId>,
    /// Who is no member of the room any more.
    pub(crate) gone: Option<UserId>,
}

impl Delivery {
    /// The delivery of `event`, whose push is `frame`.
    #[must_use]
    pub fn of(event: &Event, frame: Arc<Frame>) -> Self {
        let everyone = matches!(&event.body, EventBody::MessageCreated(created) if created.mentions.everyone);
        let (seq, class) = (event.seq, event.body.kind().class());
        let gone = match &event.body {
            EventBody::MemberLeft { user } | EventBody::MemberRemoved { user, .. } => Some(*user),
            _ => None,
        };
        Self { seq, class, frame, calls_everyone: everyone.then_some(event.by), gone }
    }

    /// One that the room's owner on another node sent.
    pub(crate) fn received(sent: Delivered) -> Self {
        let Delivered { seq, class, gone, calls_everyone, push } = sent;
        Self { seq, class, frame: Arc::new(Frame::new(&push)), calls_everyone, gone }
    }

    /// One that was handed on before this relay began, for its ring.
    pub(super) fn past(event: &Event, push: &[u8]) -> Self {
        let class = event.body.kind().class();
        Self { seq: event.seq, class, frame: Arc::new(Frame::new(push)), calls_everyone: None, gone: None }
    }

    pub(super) fn stored(event: &StoredEvent) -> Self {
        let frame = Arc::new(Frame::new(&event.push));
        Self { seq: event.seq, class: event.kind.class(), frame, calls_everyone: None, gone: None }
    }
}
