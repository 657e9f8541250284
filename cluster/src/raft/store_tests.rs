//! openraft's own suite for stores, and starts after interrupted writes.

use openraft::{
    Entry, EntryPayload, RaftLogReader as _,
    raft::AppendEntriesRequest,
    storage::{RaftLogStorage as _, RaftLogStorageExt as _},
    testing::{StoreBuilder, Suite},
};

use super::{
    log_store::LogStore,
    machine::Machine,
    types::{Batch, LogId, StorageError, Types, Vote},
    wire::Message,
};
use crate::control::wire::BATCH_BYTES_MAX;

struct InADirectory;

impl StoreBuilder<Types, LogStore, Machine, tempfile::TempDir> for InADirectory {
    async fn build(&self) -> Result<(tempfile::TempDir, LogStore, Machine), StorageError> {
        let directory = tempfile::tempdir().expect("a directory");
        let log = LogStore::open(directory.path()).expect("a new log");
        let machine = Machine::open(directory.path()).expect("no snapshot");
        Ok((directory, log, machine))
    }
}

#[test]
fn the_store_does_all_that_openraft_asks_of_one() {
    Suite::test_all(InADirectory).expect("every test of the suite");
}

fn entry(index: u64) -> Entry<Types> {
    let log_id = LogId::new(openraft::CommittedLeaderId::new(1, 1), index);
    Entry { log_id, payload: EntryPayload::Normal(Batch(vec![1; 20])) }
}

async fn entries(log: &mut LogStore) -> Vec<u64> {
    let entries = log.try_get_log_entries(..).await.expect("read");
    entries.into_iter().map(|entry| entry.log_id.index).collect()
}

/// The state after each acknowledged write is what a start finds, wherever the next write was interrupted.
#[tokio::test]
async fn a_start_after_a_kill_at_any_byte_finds_every_acknowledged_write() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("raft.journal");
    let mut log = LogStore::open(directory.path()).expect("a new log");
    let mut acknowledged = Vec::new();
    let len = || usize::try_from(std::fs::metadata(&path).expect("there").len()).expect("small");

    log.save_vote(&Vote::new(1, 1)).await.expect("saved");
    acknowledged.push((len(), Vote::new(1, 1), vec![]));
    log.blocking_append([entry(0), entry(1)]).await.expect("appended");
    acknowledged.push((len(), Vote::new(1, 1), vec![0, 1]));
    log.save_vote(&Vote::new(3, 2)).await.expect("saved");
    acknowledged.push((len(), Vote::new(3, 2), vec![0, 1]));
    log.truncate(entry(1).log_id).await.expect("cut");
    acknowledged.push((len(), Vote::new(3, 2), vec![0]));
    log.blocking_append([entry(1), entry(2), entry(3)]).await.expect("appended");
    acknowledged.push((len(), Vote::new(3, 2), vec![0, 1, 2, 3]));
    log.purge(entry(1).log_id).await.expect("purged");
    acknowledged.push((len(), Vote::new(3, 2), vec![2, 3]));
    drop(log);

    let bytes = std::fs::read(&path).expect("there");
    for cut in 0..=bytes.len() {
        std::fs::write(&path, &bytes[..cut]).expect("cut");
        let mut log = LogStore::open(directory.path()).expect("a torn tail is repaired");
        let Some((_, vote, indexes)) = acknowledged.iter().rev().find(|(end, ..)| *end <= cut) else {
            continue;
        };
        let next = acknowledged.iter().find(|(end, ..)| *end > cut);
        let (found_vote, found) = (log.read_vote().await.expect("read"), entries(&mut log).await);
        let votes = [Some(*vote), next.map(|next| next.1)];
        assert!(votes.contains(&found_vote), "cut at {cut}");
        // Of an append that was interrupted, a first part may be there: nobody was told.
        let lost = indexes.iter().any(|index| !found.contains(index));
        let next_drops = next.is_some_and(|next| found == next.2);
        assert!(!lost || next_drops, "cut at {cut}: {indexes:?} was acknowledged, {found:?} is there");
        assert!(found.windows(2).all(|pair| pair[1] == pair[0] + 1), "cut at {cut}: a hole in {found:?}");
    }
}

#[tokio::test]
async fn a_journal_that_is_mostly_purged_is_rewritten_and_still_holds_the_log() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("raft.journal");
    let mut log = LogStore::open(directory.path()).expect("a new log");
    log.save_vote(&Vote::new(4, 2)).await.expect("saved");
    let large = |index| Entry { payload: EntryPayload::Normal(Batch(vec![7; 200_000])), ..entry(index) };
    log.blocking_append((0..10).map(large)).await.expect("appended");
    log.save_committed(Some(entry(8).log_id)).await.expect("saved");
    let before = std::fs::metadata(&path).expect("there").len();
    log.purge(entry(7).log_id).await.expect("purged");
    assert!(std::fs::metadata(&path).expect("there").len() < before / 3);
    log.blocking_append([entry(10)]).await.expect("appended");

    let mut log = LogStore::open(directory.path()).expect("good");
    assert_eq!(entries(&mut log).await, [8, 9, 10]);
    assert_eq!(log.read_vote().await.expect("read"), Some(Vote::new(4, 2)));
    assert_eq!(log.read_committed().await.expect("read"), Some(entry(8).log_id));
    assert_eq!(log.get_log_state().await.expect("read").last_purged_log_id, Some(entry(7).log_id));
}

/// Two of the largest batches, and everything else that is short, go into one message.
#[tokio::test]
async fn entries_are_sent_in_portions_that_fit_a_message() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut log = LogStore::open(directory.path()).expect("a new log");
    let large = |index| Entry { payload: EntryPayload::Normal(Batch(vec![1; BATCH_BYTES_MAX])), ..entry(index) };
    log.blocking_append([entry(0), large(1), large(2), entry(3)]).await.expect("appended");
    let mut portion = async |from| {
        let entries = log.limited_get_log_entries(from, 4).await.expect("read");
        let append = AppendEntriesRequest::<Types> {
            vote: Vote::new(1, 1),
            prev_log_id: None,
            entries,
            leader_commit: None,
        };
        let indexes: Vec<u64> = append.entries.iter().map(|entry| entry.log_id.index).collect();
        Message::Append(append).to_bytes().expect("it fits a message");
        indexes
    };
    assert_eq!(portion(0).await, [0, 1]);
    assert_eq!(portion(2).await, [2, 3]);
    assert_eq!(portion(1).await, [1], "never none");
}
