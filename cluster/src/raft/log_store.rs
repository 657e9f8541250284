//! The Raft log and vote of this node, on disk.
//!
//! Every change is one record of the [`Journal`]; what they come to is kept in memory, where openraft reads it. The
//! log is short: what a snapshot covers is purged.
//!
//! # Invariants
//!
//! * A vote, an entry, a cut and a purge are on disk before openraft hears that they are.
//! * Changes reach the disk in the order openraft made them.
//!
//! # Failure
//!
//! Any failed write ends Raft on this node until the next start; see [`Journal`].

use std::{
    collections::BTreeMap,
    fmt::Debug,
    ops::{Bound, RangeBounds},
    path::Path,
    sync::Arc,
};

use hubbub_protocol::codec;
use openraft::{
    LogState, OptionalSend, RaftLogReader, StorageIOError,
    storage::{LogFlushed, RaftLogStorage},
};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::{
    journal::{Journal, JournalError, RECORD_BYTES_MAX},
    types::{Entry, LogId, StorageError, Types, Vote},
    wire::ENTRIES_BYTES,
};

/// The version of [`Record`]'s form.
const FORMAT: u8 = 1;
/// A journal at least this large is rewritten when half of it is purged, in bytes.
const REWRITE_FROM_BYTES: usize = 1024 * 1024;

/// One change of the log. New variants go to the end.
#[derive(Debug, Serialize, Deserialize)]
enum Record {
    Vote(Vote),
    Committed(Option<LogId>),
    Entry(Entry),
    /// Entries from this index on are gone.
    Cut(u64),
    /// Entries up to this one are covered by a snapshot.
    Purged(LogId),
}

/// A record of another release, which the sum says is whole.
#[derive(Debug, thiserror::Error)]
pub enum LogStoreError {
    /// The file.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// A record in it.
    #[error("a record of the Raft journal was written by another release")]
    Record(#[source] codec::CodecError),
}

#[derive(Debug, Default)]
struct Log {
    vote: Option<Vote>,
    committed: Option<LogId>,
    purged: Option<LogId>,
    /// Each entry with its size on disk.
    entries: BTreeMap<u64, (Entry, usize)>,
}

impl Log {
    fn play(&mut self, record: Record, bytes: usize) {
        match record {
            Record::Vote(vote) => self.vote = Some(vote),
            Record::Committed(committed) => self.committed = committed,
            Record::Entry(entry) => {
                self.entries.insert(entry.log_id.index, (entry, bytes));
            }
            Record::Cut(from) => drop(self.entries.split_off(&from)),
            Record::Purged(upto) => {
                self.entries = self.entries.split_off(&(upto.index + 1));
                self.purged = Some(upto);
            }
        }
    }

    fn live_bytes(&self) -> usize {
        self.entries.values().map(|(_, bytes)| bytes).sum()
    }

    /// The records a file with nothing but this log would hold.
    fn records(&self) -> Result<Vec<Vec<u8>>, codec::CodecError> {
        let facts =
            [self.vote.map(Record::Vote), self.purged.map(Record::Purged), Some(Record::Committed(self.committed))];
        let entries = self.entries.values().map(|(entry, _)| Record::Entry(entry.clone()));
        facts.into_iter().flatten().chain(entries).map(|record| to_bytes(&record)).collect()
    }
}

fn to_bytes(record: &Record) -> Result<Vec<u8>, codec::CodecError> {
    codec::encode::<RECORD_BYTES_MAX>(FORMAT, record)
}

/// The log, shared between openraft's core and its replication tasks.
#[derive(Debug, Clone)]
pub(super) struct LogStore {
    inner: Arc<Mutex<(Log, Journal)>>,
}

impl LogStore {
    /// Opens the log in `directory`, or makes an empty one there. Blocks on the disk.
    ///
    /// # Errors
    /// [`LogStoreError`], with the remedy in its text.
    pub(super) fn open(directory: &Path) -> Result<Self, LogStoreError> {
        let (journal, records) = Journal::open(&directory.join("raft.journal"))?;
        let mut log = Log::default();
        for bytes in records {
            let record = codec::decode::<RECORD_BYTES_MAX, _>(FORMAT, &bytes).map_err(LogStoreError::Record)?;
            log.play(record, bytes.len());
        }
        Ok(Self { inner: Arc::new(Mutex::new((log, journal))) })
    }

    /// The last entry that is gone because a snapshot covers it.
    #[must_use]
    pub(super) fn purged(&self) -> Option<LogId> {
        self.inner.lock().0.purged
    }

    /// Writes `records` and takes them in, on a thread that may wait for the disk.
    async fn write(&self, records: Vec<Record>, durable: bool) -> Result<(), StorageIOError<u64>> {
        let inner = Arc::clone(&self.inner);
        let written = tokio::task::spawn_blocking(move || -> Result<(), WriteError> {
            let bytes: Vec<Vec<u8>> = records.iter().map(to_bytes).collect::<Result<_, _>>()?;
            let (log, journal) = &mut *inner.lock();
            journal.append(&bytes, durable)?;
            for (record, bytes) in records.into_iter().zip(&bytes) {
                log.play(record, bytes.len());
            }
            if journal.len() > REWRITE_FROM_BYTES.max(2 * log.live_bytes()) {
                journal.rewrite(&log.records()?)?;
            }
            Ok(())
        });
        let written = written.await.unwrap_or_else(|panicked| Err(panicked.into()));
        written.map_err(|error| StorageIOError::write_logs(&error))
    }
}

/// Why a write failed; any of them ends Raft here.
#[derive(Debug, thiserror::Error)]
enum WriteError {
    #[error("the Raft journal cannot be written")]
    Disk(#[from] std::io::Error),
    #[error("a record is too large for the Raft journal")]
    Record(#[from] codec::CodecError),
    #[error("writing the Raft journal panicked")]
    Panicked(#[from] tokio::task::JoinError),
}

impl RaftLogReader<Types> for LogStore {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: RB,
    ) -> Result<Vec<Entry>, StorageError> {
        let bounds: (Bound<u64>, Bound<u64>) = (range.start_bound().cloned(), range.end_bound().cloned());
        Ok(self.inner.lock().0.entries.range(bounds).map(|(_, (entry, _))| entry.clone()).collect())
    }

    /// The first entries, as many as one message takes; at least one.
    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> Result<Vec<Entry>, StorageError> {
        let mut bytes = 0;
        let inner = self.inner.lock();
        let fits = |(at, (_, (_, size))): &(usize, (&u64, &(Entry, usize)))| {
            bytes += size;
            *at == 0 || bytes <= ENTRIES_BYTES
        };
        let entries = inner.0.entries.range(start..end).enumerate().take_while(fits);
        Ok(entries.map(|(_, (_, (entry, _)))| entry.clone()).collect())
    }
}

impl RaftLogStorage<Types> for LogStore {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> Result<LogState<Types>, StorageError> {
        let (log, _) = &*self.inner.lock();
        let last = log.entries.last_key_value().map(|(_, (entry, _))| entry.log_id).or(log.purged);
        Ok(LogState { last_purged_log_id: log.purged, last_log_id: last })
    }

    async fn get_log_reader(&mut self) -> Self::LogReader {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> Result<(), StorageError> {
        Ok(self.write(vec![Record::Vote(*vote)], true).await?)
    }

    async fn read_vote(&mut self) -> Result<Option<Vote>, StorageError> {
        Ok(self.inner.lock().0.vote)
    }

    /// Only tells how far a start may apply at once, so it need not be on disk before anything else happens.
    async fn save_committed(&mut self, committed: Option<LogId>) -> Result<(), StorageError> {
        Ok(self.write(vec![Record::Committed(committed)], false).await?)
    }

    async fn read_committed(&mut self) -> Result<Option<LogId>, StorageError> {
        Ok(self.inner.lock().0.committed)
    }

    async fn append<I>(&mut self, entries: I, callback: LogFlushed<Types>) -> Result<(), StorageError>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let records = entries.into_iter().map(Record::Entry).collect();
        let written = self.write(records, true).await;
        callback.log_io_completed(written.clone().map_err(|error| std::io::Error::other(error.to_string())));
        Ok(written?)
    }

    async fn truncate(&mut self, log_id: LogId) -> Result<(), StorageError> {
        Ok(self.write(vec![Record::Cut(log_id.index)], true).await?)
    }

    async fn purge(&mut self, log_id: LogId) -> Result<(), StorageError> {
        Ok(self.write(vec![Record::Purged(log_id)], true).await?)
    }
}
