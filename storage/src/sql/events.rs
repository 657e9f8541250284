//! Rows of the log into events, and events into messages, pins and keys.

use bytes::Bytes;
use hubbub_protocol::{
    event::{Event, EventKind},
    ids::{Epoch, MessageKey, RoomId, Seq, ShardSeq, UserId},
    message::MessageState,
    time::Timestamp,
};
use uuid::Uuid;

use super::columns::Columns;
use crate::{
    append::{AppendOutcome, ShardAppend},
    error::StoreError,
    log::{RecentKey, StoredEvent},
};

/// The form of `body`: this byte, then the push.
const BODY_PUSH: u8 = 1;

/// The stored form of a push.
pub(crate) fn body_of(push: &[u8]) -> Vec<u8> {
    let mut body = Vec::with_capacity(push.len() + 1);
    body.push(BODY_PUSH);
    body.extend_from_slice(push);
    body
}

/// The push inside a stored body.
fn push_of(body: &[u8]) -> Bytes {
    Bytes::copy_from_slice(body.get(1..).unwrap_or_default())
}

/// An event, of the columns `room_id, seq, shard_seq, kind, sender, ts, body` in this order.
pub(crate) fn stored(row: &impl Columns) -> Result<StoredEvent, StoreError> {
    let (room, seq) = (RoomId::from_sql(row.number(0)), Seq::from_sql(row.number(1)));
    let number = row.number(3);
    let kind = u8::try_from(number).ok().and_then(EventKind::from_number).ok_or_else(|| {
        let source = format!("kind {number} is none of ours").into();
        StoreError::Undecodable { room, seq, source }
    })?;
    Ok(StoredEvent {
        room,
        seq,
        shard_seq: ShardSeq::from_sql(row.number(2)),
        kind,
        by: UserId::from_sql(row.number(4)),
        ts: Timestamp(row.number(5)),
        push: push_of(row.bytes(6)),
    })
}

/// A key of a message.
pub(crate) fn recent(by: i64, key: &[u8], seq: i64, ts: i64) -> Option<RecentKey> {
    Some(RecentKey {
        by: UserId::from_sql(by),
        key: MessageKey(Uuid::from_slice(key).ok()?),
        seq: Seq::from_sql(seq),
        ts: Timestamp(ts),
    })
}

fn decoded(event: &StoredEvent) -> Result<Event, StoreError> {
    let source = |error: hubbub_protocol::event::EventError| StoreError::Undecodable {
        room: event.room,
        seq: event.seq,
        source: error.into(),
    };
    Event::decode(&event.push).map_err(source)
}

/// The messages that `created` began, in seq order.
pub(crate) fn begun(created: &[StoredEvent]) -> Result<Vec<MessageState>, StoreError> {
    let mut states = Vec::with_capacity(created.len());
    for event in created {
        states.extend(MessageState::begin(&decoded(event)?));
    }
    Ok(states)
}

/// Folds messages in seq order with every later event about them, and every purge of the room, in any
/// order.
pub(crate) fn folded(
    mut states: Vec<MessageState>,
    mut later: Vec<StoredEvent>,
) -> Result<Vec<MessageState>, StoreError> {
    later.sort_unstable_by_key(|event| event.seq);
    for event in &later {
        let event = decoded(event)?;
        match event.target() {
            Some(seq) => {
                if let Ok(at) = states.binary_search_by_key(&seq, |state| state.seq) {
                    states[at].apply(&event);
                }
            }
            None => states.iter_mut().filter(|state| state.seq < event.seq).for_each(|state| state.apply(&event)),
        }
    }
    Ok(states)
}

/// What `marks`, the pins and unpins of a room in seq order, leave pinned, oldest pin first.
pub(crate) fn pinned(marks: &[StoredEvent]) -> Result<Vec<Seq>, StoreError> {
    let mut pins: Vec<Seq> = Vec::new();
    for mark in marks {
        let Some(target) = decoded(mark)?.target() else { continue };
        match mark.kind {
            EventKind::MessagePinned if !pins.contains(&target) => pins.push(target),
            EventKind::MessageUnpinned => pins.retain(|pin| *pin != target),
            _ => {}
        }
    }
    Ok(pins)
}

/// Why a part of a batch was not appended: what its fence says instead.
pub(crate) fn refused(part: &ShardAppend, (epoch, head): (Epoch, ShardSeq)) -> AppendOutcome {
    // A shard without a row was never activated: nobody may append to it.
    if epoch != part.epoch || epoch == Epoch(0) {
        AppendOutcome::Fenced { epoch }
    } else {
        AppendOutcome::Conflict { head }
    }
}

/// What became of a part of a batch that nobody is writing any more, by its fence.
pub(crate) fn resolved(part: &ShardAppend, (epoch, head): (Epoch, ShardSeq)) -> AppendOutcome {
    if epoch != part.epoch {
        AppendOutcome::Fenced { epoch }
    } else if head == part.new_head() && !part.events.is_empty() {
        AppendOutcome::Committed
    } else {
        AppendOutcome::Conflict { head }
    }
}
