//! Where the log's entries become facts: openraft's state machine around [`Control`].
//!
//! The facts live in memory. A start takes them from the newest snapshot and applies the committed entries after it.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use openraft::{
    EntryPayload, OptionalSend, RaftSnapshotBuilder, Snapshot, StorageIOError, StoredMembership,
    storage::RaftStateMachine,
};
use parking_lot::RwLock;
use tokio::sync::watch;

use super::{
    snapshot::{self, SnapshotError, SnapshotMeta, Stored},
    types::{Answers, Entry, LogId, Peer, StorageError, Types},
};
use crate::control::{Control, wire};

#[derive(Debug, Clone, Default)]
struct Held {
    control: Control,
    applied: Option<LogId>,
    membership: StoredMembership<u64, Peer>,
}

#[derive(Debug)]
struct Shared {
    facts: RwLock<Held>,
    changes: watch::Sender<u64>,
}

/// The facts as this node knows them, for whoever wants to read them. They may be behind the leader's.
#[derive(Debug, Clone)]
pub struct Facts {
    shared: Arc<Shared>,
}

impl Facts {
    /// Reads the facts. `look` must be short: entries wait for it.
    pub fn read<T>(&self, look: impl FnOnce(&Control) -> T) -> T {
        look(&self.shared.facts.read().control)
    }

    /// Follows the index of the last entry that was applied.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.shared.changes.subscribe()
    }
}

/// openraft's state machine; also its own snapshot builder.
#[derive(Debug, Clone)]
pub(super) struct Machine {
    shared: Arc<Shared>,
    directory: PathBuf,
}

impl Machine {
    /// The facts of the snapshot in `directory`, or none. Blocks on the disk.
    ///
    /// # Errors
    /// [`SnapshotError`], with the remedy in its text.
    pub(super) fn open(directory: &Path) -> Result<Self, SnapshotError> {
        let facts = match snapshot::load(directory)? {
            Some(stored) => restore(&stored.meta, &stored.control).map_err(SnapshotError::Form)?,
            None => Held::default(),
        };
        let (changes, _) = watch::channel(facts.applied.map_or(0, |applied| applied.index));
        let shared = Arc::new(Shared { facts: RwLock::new(facts), changes });
        Ok(Self { shared, directory: directory.to_owned() })
    }

    /// A handle for readers.
    #[must_use]
    pub(super) fn reader(&self) -> Facts {
        Facts { shared: Arc::clone(&self.shared) }
    }

    /// The last entry that the facts include.
    #[must_use]
    pub(super) fn applied(&self) -> Option<LogId> {
        self.shared.facts.read().applied
    }

    async fn save(&self, stored: Stored) -> Result<(), StorageIOError<u64>> {
        let directory = self.directory.clone();
        let signature = Some(stored.meta.signature());
        let saved = tokio::task::spawn_blocking(move || snapshot::save(&directory, &stored)).await;
        match saved {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(StorageIOError::write_snapshot(signature, &error)),
            Err(panicked) => Err(StorageIOError::write_snapshot(signature, &panicked)),
        }
    }
}

fn restore(meta: &SnapshotMeta, control: &[u8]) -> Result<Held, hubbub_protocol::codec::CodecError> {
    let control = wire::control_from_bytes(control)?;
    Ok(Held { control, applied: meta.last_log_id, membership: meta.last_membership.clone() })
}

impl Held {
    /// # Errors
    /// The entry was written by a later release: this node must not go on without it.
    fn apply(&mut self, entry: Entry) -> Result<Answers, Box<StorageIOError<u64>>> {
        let index = entry.log_id.index;
        let answers = match entry.payload {
            EntryPayload::Blank => Answers::new(),
            EntryPayload::Normal(batch) => {
                let requests = wire::requests_from_bytes(&batch.0)
                    .map_err(|error| Box::new(StorageIOError::apply(entry.log_id, &error)))?;
                self.control.apply(index, requests)
            }
            EntryPayload::Membership(membership) => {
                self.membership = StoredMembership::new(Some(entry.log_id), membership);
                Answers::new()
            }
        };
        self.applied = Some(entry.log_id);
        Ok(answers)
    }
}

impl RaftSnapshotBuilder<Types> for Machine {
    /// Copies the facts, then writes the copy: entries wait only for the copying.
    async fn build_snapshot(&mut self) -> Result<Snapshot<Types>, StorageError> {
        let facts = self.shared.facts.read().clone();
        let control =
            wire::control_to_bytes(&facts.control).map_err(|error| StorageIOError::write_snapshot(None, &error))?;
        let snapshot_id = facts.applied.map_or_else(|| "empty".into(), |applied| applied.to_string());
        let meta = SnapshotMeta { last_log_id: facts.applied, last_membership: facts.membership, snapshot_id };
        self.save(Stored { meta: meta.clone(), control: control.clone() }).await?;
        Ok(Snapshot { meta, snapshot: Box::new(control) })
    }
}

impl RaftStateMachine<Types> for Machine {
    type SnapshotBuilder = Self;

    async fn applied_state(&mut self) -> Result<(Option<LogId>, StoredMembership<u64, Peer>), StorageError> {
        let facts = self.shared.facts.read();
        Ok((facts.applied, facts.membership.clone()))
    }

    async fn apply<I>(&mut self, entries: I) -> Result<Vec<Answers>, StorageError>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let mut answers = Vec::new();
        for entry in entries {
            let index = entry.log_id.index;
            answers.push(self.shared.facts.write().apply(entry).map_err(|error| *error)?);
            self.shared.changes.send_replace(index);
        }
        Ok(answers)
    }

    async fn get_snapshot_builder(&mut self) -> Self {
        self.clone()
    }

    async fn begin_receiving_snapshot(&mut self) -> Result<Box<Vec<u8>>, StorageError> {
        Ok(Box::default())
    }

    /// On disk first: once openraft hears of it, the log it replaces may go.
    async fn install_snapshot(&mut self, meta: &SnapshotMeta, bytes: Box<Vec<u8>>) -> Result<(), StorageError> {
        let facts =
            restore(meta, &bytes).map_err(|error| StorageIOError::read_snapshot(Some(meta.signature()), &error))?;
        self.save(Stored { meta: meta.clone(), control: *bytes }).await?;
        *self.shared.facts.write() = facts;
        self.shared.changes.send_replace(meta.last_log_id.map_or(0, |last| last.index));
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> Result<Option<Snapshot<Types>>, StorageError> {
        let directory = self.directory.clone();
        let loaded = tokio::task::spawn_blocking(move || snapshot::load(&directory)).await;
        let stored = match loaded {
            Ok(Ok(stored)) => stored,
            Ok(Err(error)) => return Err(StorageIOError::read_snapshot(None, &error).into()),
            Err(panicked) => return Err(StorageIOError::read_snapshot(None, &panicked).into()),
        };
        Ok(stored.map(|stored| Snapshot { meta: stored.meta, snapshot: Box::new(stored.control) }))
    }
}
