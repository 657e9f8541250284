//! The newest page of messages, folded out of the newest events.

use std::collections::HashMap;

use bytes::Bytes;
use hubbub_protocol::{
    event::{Event, EventBody},
    ids::Seq,
    message::MessageState,
};
use hubbub_storage::MessagePage;

/// The newest `limit` messages, as the store gives them, of a log whose newest events are `events`, without a hole;
/// `None` when these are too few to tell, or one of them cannot be read.
///
/// All that happened to a message comes after it, so what the events do not show of one of them did not happen.
pub(crate) fn newest(events: &[(Seq, Bytes)], limit: usize) -> Option<MessagePage> {
    let whole = events.first()?.0 == Seq(1);
    let mut messages: Vec<MessageState> = Vec::new();
    let mut at: HashMap<Seq, usize> = HashMap::new();
    for (_, push) in events {
        let event = Event::decode(push).ok()?;
        if let Some(message) = MessageState::begin(&event) {
            at.insert(message.seq, messages.len());
            messages.push(message);
        } else if matches!(event.body, EventBody::MessagesPurged { .. }) {
            messages.iter_mut().for_each(|message| message.apply(&event));
        } else if let Some(message) = event.target().and_then(|seq| at.get(&seq)).map(|at| &mut messages[*at]) {
            message.apply(&event);
        }
    }
    let more_before = messages.len() > limit;
    if !more_before && !whole {
        return None;
    }
    messages.drain(..messages.len().saturating_sub(limit));
    Some(MessagePage { messages, more_before, more_after: false })
}
