//! One room's log in memory, with what it takes to fold its messages quickly.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Bound::{Excluded, Included, Unbounded},
};

use hubbub_protocol::{
    event::{Event, EventKind},
    ids::{MessageKey, Seq, UserId},
    message::MessageState,
    time::Timestamp,
};

use crate::{
    append::NewEvent,
    error::StoreError,
    log::{MessagePage, RecentKey, StoredEvent, Window},
};

/// The log of one room.
#[derive(Debug, Default)]
pub(super) struct RoomLog {
    events: BTreeMap<Seq, StoredEvent>,
    messages: BTreeSet<Seq>,
    /// Events by the message they are about.
    about: BTreeMap<Seq, Vec<Seq>>,
    purges: Vec<Seq>,
    keys: BTreeMap<(UserId, MessageKey), Seq>,
    /// The same by message, for reading them newest first.
    keyed: BTreeMap<Seq, (UserId, MessageKey)>,
}

impl RoomLog {
    pub(super) fn head(&self) -> Seq {
        self.events.last_key_value().map_or(Seq(0), |(&seq, _)| seq)
    }

    pub(super) fn push(&mut self, event: &NewEvent) {
        let seq = event.seq;
        match event.kind {
            EventKind::MessageCreated => {
                self.messages.insert(seq);
            }
            EventKind::MessagesPurged => self.purges.push(seq),
            _ => {}
        }
        if let Some(target) = event.target {
            self.about.entry(target).or_default().push(seq);
        }
        if let Some(key) = event.key {
            self.keys.insert((event.by, key), seq);
            self.keyed.insert(seq, (event.by, key));
        }
        let stored = StoredEvent {
            room: event.room,
            seq,
            shard_seq: event.shard_seq,
            kind: event.kind,
            by: event.by,
            ts: event.ts,
            push: event.push.clone(),
        };
        self.events.insert(seq, stored);
    }

    pub(super) fn get(&self, seq: Seq) -> Option<&StoredEvent> {
        self.events.get(&seq)
    }

    pub(super) fn after(&self, after: Seq, limit: usize) -> Vec<StoredEvent> {
        let range = self.events.range((Excluded(after), Unbounded));
        range.take(limit).map(|(_, event)| event.clone()).collect()
    }

    pub(super) fn page(&self, window: Window, limit: usize) -> Result<MessagePage, StoreError> {
        // Positions before `split` are read backwards, from it on forwards.
        let (split, before_max, after_max) = match window {
            Window::Newest => (Unbounded, limit, 0),
            Window::Before(seq) => (Included(seq), limit, 0),
            Window::After(seq) => (Excluded(seq), 0, limit),
            Window::Around(seq) => (Included(seq), limit / 2, limit),
        };
        let until = match split {
            Included(seq) => Excluded(seq),
            Excluded(seq) => Included(seq),
            Unbounded => Unbounded,
        };
        let mut before = self.messages.range((Unbounded, until)).rev();
        let mut seqs: Vec<Seq> = before.by_ref().take(before_max).copied().collect();
        let more_before = before.next().is_some();
        seqs.reverse();
        let more_after = if split == Unbounded {
            false
        } else {
            let mut after = self.messages.range((split, Unbounded));
            seqs.extend(after.by_ref().take(after_max.min(limit - seqs.len())));
            after.next().is_some()
        };
        let messages = seqs.into_iter().filter_map(|seq| self.message(seq).transpose());
        Ok(MessagePage { messages: messages.collect::<Result<_, _>>()?, more_before, more_after })
    }

    pub(super) fn message(&self, seq: Seq) -> Result<Option<MessageState>, StoreError> {
        Ok(self.fold(seq)?.map(|(state, _)| state))
    }

    /// The message, and the event that pinned it if it is pinned.
    fn fold(&self, seq: Seq) -> Result<Option<(MessageState, Option<Seq>)>, StoreError> {
        let Some(event) = self.events.get(&seq).filter(|_| self.messages.contains(&seq)) else {
            return Ok(None);
        };
        let Some(mut state) = MessageState::begin(&decode(event)?) else {
            return Ok(None);
        };
        let mut pinned_by = None;
        let about = self.about.get(&seq).into_iter().flatten();
        let later: BTreeSet<Seq> = about.chain(&self.purges).copied().filter(|&later| later > seq).collect();
        for later in later {
            let was_pinned = state.pinned;
            state.apply(&decode(&self.events[&later])?);
            if !state.pinned {
                pinned_by = None;
            } else if !was_pinned {
                pinned_by = Some(later);
            }
        }
        Ok(Some((state, pinned_by)))
    }

    pub(super) fn pins(&self) -> Result<Vec<Seq>, StoreError> {
        let pinned = |seq: &Seq| self.events[seq].kind == EventKind::MessagePinned;
        let mut pins = BTreeMap::new();
        for (&message, about) in &self.about {
            if !about.iter().any(pinned) {
                continue;
            }
            if let Some((_, Some(by))) = self.fold(message)? {
                pins.insert(by, message);
            }
        }
        Ok(pins.into_values().collect())
    }

    pub(super) fn edits(&self, seq: Seq, limit: usize) -> Vec<StoredEvent> {
        if !self.messages.contains(&seq) {
            return Vec::new();
        }
        let about = self.about.get(&seq).into_iter().flatten();
        let edits = about.filter(|seq| self.events[seq].kind == EventKind::MessageEdited);
        let told = std::iter::once(&seq).chain(edits).take(limit);
        told.map(|seq| self.events[seq].clone()).collect()
    }

    pub(super) fn recent_keys(&self, since: Timestamp, limit: usize) -> Vec<RecentKey> {
        let newest = self.keyed.iter().rev();
        let recent = newest.map(|(&seq, &(by, key))| self.recent_key(seq, by, key));
        recent.take_while(|known| known.ts >= since).take(limit).collect()
    }

    pub(super) fn find_key(&self, by: UserId, key: MessageKey, since: Timestamp) -> Option<RecentKey> {
        let seq = *self.keys.get(&(by, key))?;
        Some(self.recent_key(seq, by, key)).filter(|known| known.ts >= since)
    }

    fn recent_key(&self, seq: Seq, by: UserId, key: MessageKey) -> RecentKey {
        let ts = self.events[&seq].ts;
        RecentKey { by, key, seq, ts }
    }

    pub(super) fn count(&self) -> (u64, Option<Timestamp>) {
        let newest = self.messages.last().map(|seq| self.events[seq].ts);
        (self.messages.len() as u64, newest)
    }
}

fn decode(event: &StoredEvent) -> Result<Event, StoreError> {
    Event::decode(&event.push).map_err(|source| StoreError::Undecodable {
        room: event.room,
        seq: event.seq,
        source: source.into(),
    })
}
