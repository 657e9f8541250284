//! How a room is loaded: the fence first, then what its rules must know of the log.

use hubbub_protocol::{
    ids::{Epoch, RoomId, Seq},
    time::Timestamp,
};
use hubbub_storage::{RecentKey, StoreError, StoredEvent, TogetherError};
use ractor::ActorProcessingErr;

use super::RoomState;
use crate::{
    context::Context,
    room::{
        core::{RoomCore, Rules},
        keys::{KEYS_MAX, KeyWindow},
    },
};

/// Why a room was not loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The store did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Nor did it when asked together with others.
    #[error(transparent)]
    Together(#[from] TogetherError),
    /// Another node orders the room.
    #[error("another node orders the room")]
    NotOurs,
}

/// What an activation starts from.
#[derive(Debug)]
pub struct Loaded {
    epoch: Epoch,
    head: Seq,
    last: Option<StoredEvent>,
    keys: Vec<RecentKey>,
    keys_since: Timestamp,
    rules: Rules,
}

pub(super) async fn load(context: &Context, room: RoomId) -> Result<Loaded, LoadError> {
    // The fence first: what another owner stored before it lost the shard is read below, and more cannot come.
    let shard = context.shard_of(room);
    let epoch = context.lane(shard).activate(shard).await?.ok_or(LoadError::NotOurs)?;
    let facts = context.directory.room(room).await.ok().flatten();
    let rules =
        facts.map_or(Rules::default(), |facts| Rules { archived: facts.archived, slow_mode_s: facts.slow_mode_s });
    let head = context.directory.stored_head(room).await?;
    let window_ms = hubbub_protocol::limits::KEY_WINDOW_MS.max(u64::from(rules.slow_mode_s) * 1_000);
    let since = context.now().plus_ms(-(window_ms.cast_signed()));
    let keys = context.store.recent_keys(room, since, KEYS_MAX).await?;
    let keys_since =
        if keys.len() < KEYS_MAX { since } else { keys.last().map_or(since, |oldest| oldest.ts.plus_ms(1)) };
    let last = context.store.events(room, Seq(head.0.saturating_sub(1)), 1).await?;
    Ok(Loaded { epoch, head, last: last.into_iter().next(), keys, keys_since, rules })
}

impl RoomState {
    pub(super) fn loaded(&mut self, loaded: Result<Loaded, LoadError>) -> Result<(), ActorProcessingErr> {
        match loaded {
            // What waited has been asked anew; a successor may be loaded already.
            _ if self.leaving.is_some() => {}
            Ok(loaded) => self.begin(loaded),
            Err(LoadError::Store(error)) => return Err(error.into()),
            Err(LoadError::Together(error)) => return Err(error.into()),
            Err(LoadError::NotOurs) => return Err(crate::shard::NotOurs.into()),
        }
        Ok(())
    }

    fn begin(&mut self, loaded: Loaded) {
        self.epoch = loaded.epoch;
        self.context.slots.loaded(self.room, self.me.get_id(), loaded.epoch);
        let mut keys = KeyWindow::new(loaded.keys_since);
        for key in loaded.keys.iter().rev() {
            keys.insert(key.by, key.key, key.seq, key.ts);
        }
        let last_ts = loaded.last.as_ref().map_or(Timestamp(0), |event| event.ts);
        self.core = Some(RoomCore::new(self.room, loaded.head, last_ts, keys, loaded.rules));
        self.context.tails.loaded(&*self.context.ports.cache, self.room, loaded.last.as_ref());
        self.committed = loaded.head;
        self.has_waited = true;
        self.context.directory.note_head(self.room, loaded.head);
        if let Some(relay) = self.relay.take() {
            self.watch(relay);
        }
        self.tell_watchers_where();
        for (permit, ask) in std::mem::take(&mut self.waiting) {
            self.ask(permit, ask);
        }
    }
}
