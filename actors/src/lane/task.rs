//! The task of a lane: one batch after the other, under the fence.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use futures_util::FutureExt;
use hubbub_protocol::{
    ids::{Epoch, ShardSeq},
    ports::Placement,
    shard::ShardId,
};
use hubbub_storage::{
    Activation, AppendBatch, AppendOutcome, ErrorChain, LogStore, NewEvent, ShardAppend, Store, StoreError,
};
use tokio::sync::{Notify, mpsc};
use tracing::{error, info, warn};

use super::{
    After, Append, Job, LINGER_APPENDS,
    gather::{collect, next_job},
    pace::Pace,
};
use crate::meter::Meters;

/// Pause between two tries to learn what became of a batch.
const RESOLVE_PAUSE: Duration = Duration::from_millis(100);
/// How long it is tried before the events of a batch are given up as not answered. By time and not by tries: over a
/// database that takes nothing a try makes two connections, or waits for an answer.
const RESOLVE_WITHIN: Duration = Duration::from_secs(5);

#[derive(Debug, Clone, Copy)]
struct Fence {
    epoch: Epoch,
    head: ShardSeq,
}

pub(super) struct Task {
    store: Arc<dyn Store>,
    placement: Arc<dyn Placement>,
    fences: HashMap<ShardId, Fence>,
    appended: Arc<AtomicU64>,
    batches: Arc<AtomicU64>,
    meters: Arc<Meters>,
}

impl Task {
    pub(super) fn new(
        store: Arc<dyn Store>,
        placement: Arc<dyn Placement>,
        appended: Arc<AtomicU64>,
        batches: Arc<AtomicU64>,
        meters: Arc<Meters>,
    ) -> Self {
        Self { store, placement, fences: HashMap::new(), appended, batches, meters }
    }

    pub(super) async fn run(mut self, mut queue: mpsc::Receiver<Job>, hurry: Arc<Notify>) {
        let mut after = Vec::new();
        let mut pace = Pace::new();
        let mut left = None;
        while let Some(first) = next_job(&mut left, &mut queue).await {
            let waits = pace.is_brisk()
                && queue.len() < LINGER_APPENDS
                && matches!(&first, Job::Append(a) if a.may_wait && a.events.len() < LINGER_APPENDS);
            let linger = pace.linger();
            let waited = waits && tokio::time::timeout(linger, hurry.notified()).await.is_err();
            let appends;
            (appends, left) = collect(first, &mut queue, &mut after);
            let events = appends.iter().map(|append| append.events.len()).sum();
            pace.note(events);
            if let Some(last) = appends.last().filter(|_| waited) {
                pace.waited(linger, last.handed);
            }
            if !appends.is_empty() {
                self.commit(appends).await;
            }
            self.finish(std::mem::take(&mut after)).await;
        }
    }

    async fn commit(&mut self, appends: Vec<Append>) {
        let (mut alive, dead): (Vec<_>, Vec<_>) =
            appends.into_iter().partition(|append| !append.dead.load(Ordering::Acquire));
        dead.iter().for_each(|append| append.room.failed());
        alive.retain(|append| {
            let ours = self.fences.get(&append.shard).is_some_and(|fence| fence.epoch == append.epoch);
            if !ours {
                fail(append);
            }
            ours
        });
        if alive.is_empty() {
            return;
        }
        let (batch, events) = self.batch(&mut alive);
        let begun = self.meters.stamp();
        let outcomes = self.append(&batch).await;
        let at = self.meters.stamp();
        self.meters.batch.observe(begun, at);
        self.batches.fetch_add(1, Ordering::Relaxed);
        let mut committed: HashMap<ShardId, bool> = HashMap::new();
        for (part, outcome) in batch.shards.iter().zip(outcomes) {
            committed.insert(part.shard, self.settle(part, outcome));
        }
        self.appended.fetch_add(events, Ordering::Relaxed);
        let mut told: HashMap<*const AtomicBool, (&Append, usize)> = HashMap::new();
        for append in &alive {
            if committed.get(&append.shard).copied().unwrap_or(false) {
                told.entry(Arc::as_ptr(&append.dead)).or_insert((append, 0)).1 += append.events.len();
            } else {
                fail(append);
            }
        }
        // Once for each room: it hands all of a batch on together.
        for (append, events) in told.into_values() {
            append.room.committed(events, at);
        }
    }

    /// Does what was to be done after the appends, all activations together.
    async fn finish(&mut self, after: Vec<After>) {
        let wanted: Vec<ShardId> = after.iter().filter_map(After::activates).collect();
        let activated = if wanted.is_empty() { Ok(()) } else { self.activate(wanted).await };
        if let Err(error) = &activated {
            error!(error = %ErrorChain(error), "could not take shards over; their rooms cannot be loaded");
        }
        for done in after {
            // Whoever asked may have ended meanwhile.
            match done {
                After::Barrier(done) => {
                    let _: Result<(), ()> = done.send(());
                }
                After::Activate(shard, done) => {
                    let epoch = self.fences.get(&shard).map(|fence| fence.epoch);
                    let result = if epoch.is_none() && activated.is_err() { Err(untaken()) } else { Ok(epoch) };
                    drop(done.send(result));
                }
                After::GiveUp(shards, done) => {
                    for (shard, newer) in shards {
                        if newer
                            .is_none_or(|newer| self.fences.get(&shard).is_some_and(|fence| fence.epoch < newer))
                        {
                            self.fences.remove(&shard);
                        }
                    }
                    let _: Result<(), ()> = done.send(());
                }
            }
        }
    }

    /// Takes over those of `shards` that are not ours yet, and are in the map.
    async fn activate(&mut self, mut shards: Vec<ShardId>) -> Result<(), StoreError> {
        shards.sort_unstable();
        shards.dedup();
        shards.retain(|shard| !self.fences.contains_key(shard));
        if shards.is_empty() {
            return Ok(());
        }
        let stored = self.store.fences(&shards).await?;
        let asked = shards.iter().zip(stored).map(|(shard, (epoch, _))| {
            let fresh = self.placement.fresh_epoch(*shard, epoch);
            async move { fresh.await.map(|fresh| (*shard, fresh)) }
        });
        let wanted: Vec<_> = futures_util::future::join_all(asked).await.into_iter().flatten().collect();
        let activations = self.store.activate(&wanted, self.placement.this_node()).await?;
        for ((shard, epoch), activation) in wanted.into_iter().zip(activations) {
            match activation {
                Activation::Active { head } => {
                    self.fences.insert(shard, Fence { epoch, head });
                }
                Activation::Superseded { epoch: holder } => {
                    warn!(shard = %shard, epoch = %holder, "shard {shard} was taken over by epoch {holder}");
                }
            }
        }
        Ok(())
    }

    fn batch(&self, appends: &mut [Append]) -> (AppendBatch, u64) {
        let mut parts: BTreeMap<ShardId, ShardAppend> = BTreeMap::new();
        let mut events = 0;
        for append in appends {
            let Some(fence) = self.fences.get(&append.shard) else {
                continue;
            };
            let part = parts.entry(append.shard).or_insert_with(|| ShardAppend {
                shard: append.shard,
                epoch: fence.epoch,
                old_head: fence.head,
                events: Vec::new(),
                effects: Vec::new(),
            });
            for (event, frame) in &append.events {
                let shard_seq = part.new_head().next();
                part.events.push(NewEvent::of(event, shard_seq, frame.payload_bytes()));
                events += 1;
            }
            part.effects.append(&mut append.effects);
        }
        (AppendBatch { shards: parts.into_values().collect() }, events)
    }

    async fn append(&self, batch: &AppendBatch) -> Vec<AppendOutcome> {
        let store: &dyn LogStore = &*self.store;
        let tried = std::panic::AssertUnwindSafe(store.append(batch)).catch_unwind().await;
        match tried {
            Ok(Ok(outcomes)) if !outcomes.contains(&AppendOutcome::Ambiguous) => return outcomes,
            Ok(Ok(_)) => warn!("the store cannot say what became of a batch"),
            Ok(Err(error)) => error!(error = %ErrorChain(&error), "an append failed"),
            Err(_) => error!("the store panicked in an append"),
        }
        let begun = tokio::time::Instant::now();
        while begun.elapsed() < RESOLVE_WITHIN {
            match self.store.resolve(batch).await {
                // Nothing of it was stored, and the shards are ours still.
                Ok(outcomes)
                    if outcomes.iter().zip(&batch.shards).all(|(outcome, part)| is_unstored(outcome, part)) =>
                {
                    match store.append(batch).await {
                        Ok(outcomes) if !outcomes.contains(&AppendOutcome::Ambiguous) => return outcomes,
                        Ok(_) => warn!("the store cannot say what became of a batch sent once more"),
                        Err(error) => warn!(error = %ErrorChain(&error), "a batch sent once more failed"),
                    }
                }
                Ok(outcomes) => return outcomes,
                Err(error) => {
                    warn!(error = %ErrorChain(&error), "cannot learn yet what became of a batch")
                }
            }
            tokio::time::sleep(RESOLVE_PAUSE).await;
        }
        vec![AppendOutcome::Ambiguous; batch.shards.len()]
    }

    /// Brings the fence up to date; says whether the part is committed.
    fn settle(&mut self, part: &ShardAppend, outcome: AppendOutcome) -> bool {
        match outcome {
            AppendOutcome::Committed => {
                if let Some(fence) = self.fences.get_mut(&part.shard) {
                    fence.head = part.new_head();
                }
                return true;
            }
            AppendOutcome::Conflict { head } if head == part.old_head => {}
            AppendOutcome::Conflict { head } => {
                error!(shard = %part.shard, stored = %head, ours = %part.old_head, "another head than ours in the fence");
                self.fences.remove(&part.shard);
            }
            AppendOutcome::Fenced { epoch } => {
                info!(shard = %part.shard, epoch = %epoch, "lost shard {} to epoch {epoch}", part.shard);
                self.fences.remove(&part.shard);
            }
            AppendOutcome::Ambiguous => drop(self.fences.remove(&part.shard)),
        }
        false
    }
}

/// Whether `part` was not stored, and could still be.
fn is_unstored(outcome: &AppendOutcome, part: &ShardAppend) -> bool {
    matches!(outcome, AppendOutcome::Conflict { head } if *head == part.old_head)
}

impl After {
    const fn activates(&self) -> Option<ShardId> {
        match self {
            Self::Activate(shard, _) => Some(*shard),
            Self::Barrier(_) | Self::GiveUp(..) => None,
        }
    }
}

fn untaken() -> StoreError {
    let source = "the store did not answer".into();
    StoreError::Write { what: "a shard's new owner", source }
}

fn fail(append: &Append) {
    append.dead.store(true, Ordering::Release);
    append.room.failed();
}
