//! The appender: takes what rooms have accepted, commits it in batches under the fence, and tells
//! the rooms.
//!
//! A lane serves a fixed set of shards and has one batch in flight. At low load there is no timer: an
//! append that finds the lane idle is committed at once, and whatever arrives meanwhile makes up the
//! next batch. Above [`LINGER_ABOVE_PER_S`] a commit would hold one or two events and cost as much as
//! a hundred, so a batch waits [`LINGER`] for company.
//!
//! # Invariants
//!
//! * A shard's appends are committed in the order in which they were handed in, and only under the activation of the
//!   shard that their room was loaded under: what was decided before a shard was lost is never stored after.
//! * After one append of a room has failed, none of that activation's later ones is tried: its seqs
//!   would leave a gap.
//! * A room is told `Committed` only after the store said so.
//!
//! # Failure
//!
//! When the store cannot say what became of a batch, the lane asks [`LogStore::resolve`] until it
//! can, and sends what was not stored once more; the batch is immutable, so that is safe. A fenced shard is given
//! up; its rooms are loaded anew, and take it over at a fresh epoch if it is still ours.

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
    event::Event,
    frame::Frame,
    ids::{Epoch, ShardSeq},
    ports::Placement,
    shard::ShardId,
};
use hubbub_storage::{
    Activation, AppendBatch, AppendOutcome, Effect, ErrorChain, LogStore, NewEvent, ShardAppend, Store, StoreError,
};
use tokio::sync::{mpsc, oneshot};
use tracing::{error, info, warn};

use crate::room::RoomRef;

/// Events of one batch: at 400 bytes each, 100 KB and about a millisecond to commit.
const BATCH_EVENTS_MAX: usize = 256;
/// Bytes of one batch, for rooms full of long messages.
const BATCH_BYTES_MAX: usize = 1024 * 1024;
/// Appends that may wait for a lane: eight batches, a few milliseconds of work.
pub const LANE_QUEUE_MAX: usize = 8 * BATCH_EVENTS_MAX;
/// Events a second from which a batch waits for company: below, a commit each is less than a
/// hundredth of a core, and nobody should wait.
const LINGER_ABOVE_PER_S: f64 = 100.0;
/// How long a batch waits for company. At 200 events a second it gathers five.
const LINGER: Duration = Duration::from_millis(20);
/// Events that are company enough.
const LINGER_EVENTS: usize = 32;
/// Pause between two tries to learn what became of a batch.
const RESOLVE_PAUSE: Duration = Duration::from_millis(100);
/// Tries before the events of a batch are given up as not answered: 5 s.
const RESOLVE_TRIES_MAX: u32 = 50;

/// Events of one room on their way to the disk.
#[derive(Debug)]
pub struct Append {
    /// The room's shard.
    pub shard: ShardId,
    /// The activation of the room that accepted them.
    pub room: RoomRef,
    /// The activation of the shard that the room was loaded under.
    pub epoch: Epoch,
    /// Set once an append of this activation has failed.
    pub dead: Arc<AtomicBool>,
    /// The events with their pushes, in seq order.
    pub events: Vec<(Event, Arc<Frame>)>,
    /// Facts that commit with them.
    pub effects: Vec<Effect>,
}

enum Job {
    Append(Box<Append>),
    /// Done once everything handed in before is settled.
    After(After),
}

/// What is done once everything handed in before is settled.
enum After {
    /// Tell so.
    Barrier(oneshot::Sender<()>),
    /// Take the shard over, unless it is ours already; answered with the epoch, `None` when it is another node's.
    Activate(ShardId, oneshot::Sender<Result<Option<Epoch>, StoreError>>),
    /// Give these shards up, or what is older than the epoch.
    GiveUp(Vec<(ShardId, Option<Epoch>)>, oneshot::Sender<()>),
}

/// Hands appends to a lane.
#[derive(Debug, Clone)]
pub struct Lane {
    jobs: mpsc::Sender<Job>,
    appended: Arc<AtomicU64>,
    batches: Arc<AtomicU64>,
}

impl Lane {
    /// Starts the lane's task; it ends when the last handle is gone and all is settled.
    #[must_use]
    pub fn start(store: Arc<dyn Store>, placement: Arc<dyn Placement>) -> Self {
        let (jobs, queue) = mpsc::channel(LANE_QUEUE_MAX);
        let (appended, batches) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let lane = Self { jobs, appended: appended.clone(), batches: batches.clone() };
        let task = Task { store, placement, fences: HashMap::new(), appended, batches };
        tokio::spawn(task.run(queue));
        lane
    }

    /// Hands `append` in; gives it back when the queue is full.
    pub fn hand_in(&self, append: Box<Append>) -> Result<(), Box<Append>> {
        self.jobs.try_send(Job::Append(append)).map_err(|refused| match refused.into_inner() {
            Job::Append(append) => append,
            Job::After(_) => unreachable!("an append was handed in"),
        })
    }

    /// Whether the queue is full.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.jobs.capacity() == 0
    }

    /// Waits until everything handed in before is settled.
    pub async fn barrier(&self) {
        let (done, wait) = oneshot::channel();
        if self.jobs.send(Job::After(After::Barrier(done))).await.is_ok() {
            // The lane drops a barrier only when it is gone, and then nothing is in flight.
            let _ = wait.await;
        }
    }

    /// Makes this node the owner of `shard` in the store, if it is in the map; gives the epoch, `None` when another
    /// node's is newer. Everything handed in before is settled, and what another owner stores later is refused.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn activate(&self, shard: ShardId) -> Result<Option<Epoch>, StoreError> {
        let (done, wait) = oneshot::channel();
        if self.jobs.send(Job::After(After::Activate(shard, done))).await.is_err() {
            return Ok(None);
        }
        wait.await.unwrap_or(Ok(None))
    }

    /// Gives shards up, or those that are held under an older epoch, from this call on if the queue has room; once the future is done, everything handed in before
    /// is settled, and nothing of what was decided before is stored after.
    pub fn give_up(&self, shards: Vec<(ShardId, Option<Epoch>)>) -> impl Future<Output = ()> + Send + use<> {
        let (done, wait) = oneshot::channel();
        let refused = self.jobs.try_send(Job::After(After::GiveUp(shards, done))).err();
        let jobs = self.jobs.clone();
        async move {
            let sent = match refused {
                None => true,
                Some(refused) => jobs.send(refused.into_inner()).await.is_ok(),
            };
            if sent {
                // As with a barrier.
                let _ = wait.await;
            }
        }
    }

    /// Events appended and batches committed since the start.
    #[must_use]
    pub fn counts(&self) -> (u64, u64) {
        (self.appended.load(Ordering::Relaxed), self.batches.load(Ordering::Relaxed))
    }
}

/// How many events a second a lane has lately taken.
#[derive(Debug)]
struct Pace {
    per_s: f64,
    at: tokio::time::Instant,
}

impl Pace {
    fn new() -> Self {
        Self { per_s: 0.0, at: tokio::time::Instant::now() }
    }

    const fn is_brisk(&self) -> bool {
        self.per_s > LINGER_ABOVE_PER_S
    }

    /// Takes a batch of `events` in. A pause of a second or more forgets what was before.
    fn note(&mut self, events: usize) {
        let passed_s = self.at.elapsed().as_secs_f64().max(0.000_1);
        self.at = tokio::time::Instant::now();
        let weight = passed_s.min(1.0);
        let now = f64::from(u32::try_from(events).unwrap_or(u32::MAX)) / passed_s;
        self.per_s += (now - self.per_s) * weight.max(0.05);
    }
}

#[derive(Debug, Clone, Copy)]
struct Fence {
    epoch: Epoch,
    head: ShardSeq,
}

struct Task {
    store: Arc<dyn Store>,
    placement: Arc<dyn Placement>,
    fences: HashMap<ShardId, Fence>,
    appended: Arc<AtomicU64>,
    batches: Arc<AtomicU64>,
}

impl Task {
    async fn run(mut self, mut queue: mpsc::Receiver<Job>) {
        let mut after = Vec::new();
        let mut pace = Pace::new();
        let mut left = None;
        while let Some(first) = next_job(&mut left, &mut queue).await {
            if pace.is_brisk()
                && queue.len() < LINGER_EVENTS
                && matches!(&first, Job::Append(a) if a.events.len() < LINGER_EVENTS)
            {
                tokio::time::sleep(LINGER).await;
            }
            let appends;
            (appends, left) = collect(first, &mut queue, &mut after);
            pace.note(appends.iter().map(|append| append.events.len()).sum());
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
        let outcomes = self.append(&batch).await;
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
            append.room.committed(events);
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
        for _ in 0..RESOLVE_TRIES_MAX {
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

async fn next_job(left: &mut Option<Job>, queue: &mut mpsc::Receiver<Job>) -> Option<Job> {
    match left.take() {
        Some(job) => Some(job),
        None => queue.recv().await,
    }
}

/// Takes what waits, up to the bounds of one batch; what is to be done after ends it. Gives also the job that was
/// taken from the queue and does not belong to it.
fn collect(first: Job, queue: &mut mpsc::Receiver<Job>, after: &mut Vec<After>) -> (Vec<Append>, Option<Job>) {
    let (mut appends, mut events, mut bytes) = (Vec::new(), 0, 0);
    let mut next = Some(first);
    while let Some(job) = next.take() {
        match job {
            Job::Append(append) => {
                events += append.events.len();
                bytes += append.events.iter().map(|(_, frame)| frame.payload().len()).sum::<usize>();
                appends.push(*append);
            }
            Job::After(done) => {
                after.push(done);
                return (appends, gather(queue, after));
            }
        }
        if events < BATCH_EVENTS_MAX && bytes < BATCH_BYTES_MAX {
            next = queue.try_recv().ok();
        }
    }
    (appends, None)
}

/// Takes what else is to be done after the same appends: rooms that are loaded at the same time take their shards
/// over together. A shard that is given up comes last, so that no later activation goes ahead of it.
fn gather(queue: &mut mpsc::Receiver<Job>, after: &mut Vec<After>) -> Option<Job> {
    while after.len() < LANE_QUEUE_MAX && !matches!(after.last(), Some(After::GiveUp(..))) {
        match queue.try_recv().ok()? {
            Job::After(done) => after.push(done),
            append @ Job::Append(_) => return Some(append),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn pace_of(every: Duration, events: usize, batches: usize) -> Pace {
        let mut pace = Pace::new();
        for _ in 0..batches {
            tokio::time::advance(every).await;
            pace.note(events);
        }
        pace
    }

    #[tokio::test(start_paused = true)]
    async fn a_quiet_lane_makes_nobody_wait_and_a_busy_one_gathers() {
        assert!(!pace_of(Duration::from_millis(50), 1, 100).await.is_brisk());
        assert!(pace_of(Duration::from_millis(5), 1, 100).await.is_brisk());
        let mut pace = pace_of(Duration::from_millis(5), 1, 100).await;
        tokio::time::advance(Duration::from_secs(2)).await;
        pace.note(1);
        assert!(!pace.is_brisk(), "what was before a pause still counts");
    }
}
