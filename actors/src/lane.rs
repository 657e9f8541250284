//! The appender: takes what rooms have accepted, commits it in batches under the fence, and tells
//! the rooms.
//!
//! A lane serves a fixed set of shards and has one batch in flight. At low load there is no timer: an
//! append that finds the lane idle is committed at once, and whatever arrives meanwhile makes up the
//! next batch. Above [`pace::LINGER_ABOVE_PER_S`] a commit would hold one or two events and cost as much as
//! a hundred, so a batch waits [`pace::Pace::linger`] for company.
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
//! When the store cannot say what became of a batch, the lane asks [`hubbub_storage::LogStore::resolve`] until it
//! can, and sends what was not stored once more; the batch is immutable, so that is safe. A fenced shard is given
//! up; its rooms are loaded anew, and take it over at a fresh epoch if it is still ours.

mod gather;
mod pace;
mod task;

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use hubbub_protocol::{event::Event, frame::Frame, ids::Epoch, ports::Placement, shard::ShardId};
use hubbub_storage::{Effect, Store, StoreError};
use tokio::{
    sync::{Notify, mpsc, oneshot},
    time::Instant,
};

use self::task::Task;
use crate::{meter::Meters, room::RoomRef};

/// Events of one batch: at 400 bytes each, 400 KB and a few milliseconds to commit.
const BATCH_EVENTS_MAX: usize = 1_024;
/// Appends that may wait for a lane: two batches of one event each, some ten milliseconds of work.
pub const LANE_QUEUE_MAX: usize = 2 * BATCH_EVENTS_MAX;
/// Appends that are company enough.
const LINGER_APPENDS: usize = 32;

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
    /// Whether they may wait for company; otherwise what waits already goes with them.
    pub may_wait: bool,
    /// When they were handed in.
    pub handed: Instant,
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
    /// Ends the wait of a batch for company: somebody waits for all that was handed in.
    hurry: Arc<Notify>,
    appended: Arc<AtomicU64>,
    batches: Arc<AtomicU64>,
}

impl Lane {
    /// Starts the lane's task; it ends when the last handle is gone and all is settled.
    #[must_use]
    pub fn start(store: Arc<dyn Store>, placement: Arc<dyn Placement>, meters: Arc<Meters>) -> Self {
        let (jobs, queue) = mpsc::channel(LANE_QUEUE_MAX);
        let (appended, batches) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let hurry = Arc::new(Notify::new());
        let lane = Self { jobs, hurry: hurry.clone(), appended: appended.clone(), batches: batches.clone() };
        tokio::spawn(Task::new(store, placement, appended, batches, meters).run(queue, hurry));
        lane
    }

    /// Hands `append` in; gives it back when the queue is full.
    pub fn hand_in(&self, append: Box<Append>) -> Result<(), Box<Append>> {
        let hurry = !append.may_wait;
        self.jobs.try_send(Job::Append(append)).map_err(|refused| match refused.into_inner() {
            Job::Append(append) => append,
            Job::After(_) => unreachable!("an append was handed in"),
        })?;
        if hurry {
            self.hurry.notify_one();
        } else if self.waiting() >= LINGER_APPENDS {
            // Whoever comes next tells it once more, should no batch wait yet.
            self.hurry.notify_waiters();
        }
        Ok(())
    }

    /// Whether the queue is full.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.jobs.capacity() == 0
    }

    /// How many appends wait, of [`LANE_QUEUE_MAX`].
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.jobs.max_capacity() - self.jobs.capacity()
    }

    /// Waits until everything handed in before is settled.
    pub async fn barrier(&self) {
        let (done, wait) = oneshot::channel();
        if self.jobs.send(Job::After(After::Barrier(done))).await.is_ok() {
            self.hurry.notify_one();
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
        self.hurry.notify_one();
        wait.await.unwrap_or(Ok(None))
    }

    /// Gives shards up, or those that are held under an older epoch, from this call on if the queue has room; once the future is done, everything handed in before
    /// is settled, and nothing of what was decided before is stored after.
    pub fn give_up(&self, shards: Vec<(ShardId, Option<Epoch>)>) -> impl Future<Output = ()> + Send + use<> {
        let (done, wait) = oneshot::channel();
        let refused = self.jobs.try_send(Job::After(After::GiveUp(shards, done))).err();
        self.hurry.notify_one();
        let (jobs, hurry) = (self.jobs.clone(), self.hurry.clone());
        async move {
            let sent = match refused {
                None => true,
                Some(refused) => jobs.send(refused.into_inner()).await.is_ok(),
            };
            if sent {
                hurry.notify_one();
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
