//! The supervisor of the rooms and relays of one shard: what happens when one of them ends.
//!
//! An actor that dies takes no other with it: its slot is cleared, so that the next message starts a
//! successor, and a relay's followers are handed to the relay's.
//!
//! A room that fails [`FAILURES_MAX`] times in [`FAILURES_WITHIN_MS`] is left alone for as long:
//! what is sent to it is answered `unavailable`. When the store fails that is not the room's doing and
//! does not count, so that rooms are there again as soon as the store is.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use hubbub_protocol::{
    error::{CloseCode, ErrorCode},
    ids::{RoomId, Seq},
    time::Timestamp,
};
use hubbub_storage::{Aftermath, StoreError};
use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort, SupervisionEvent};

use crate::{
    connection::Connection,
    context::{Context, Counters},
    relay::Follower,
    room::handle,
};

/// Failures of one room after which it is left alone.
pub const FAILURES_MAX: usize = 3;
/// The time within which they count, in milliseconds.
pub const FAILURES_WITHIN_MS: u64 = 60_000;
/// How long a dead relay's state is waited for, before its followers are taken over.
const ORPHANS_AFTER: Duration = Duration::from_millis(50);

/// An append of a room failed: it reads its log anew.
#[derive(Debug, thiserror::Error)]
#[error("an append failed; the log must be read anew")]
pub struct AppendFailed;

/// The room turned out to be ordered elsewhere when it was loaded.
#[derive(Debug, thiserror::Error)]
#[error("another node orders the room")]
pub struct NotOurs;

/// Whether an actor ended because the store failed it, and not by a fault of its own.
fn is_of_the_store(error: &ActorProcessingErr) -> bool {
    let read = error.downcast_ref::<StoreError>();
    error.is::<AppendFailed>()
        || error.is::<NotOurs>()
        || read.is_some_and(|error| error.aftermath() != Aftermath::NeedsRepair)
}

/// The mailbox of a shard's supervisor.
#[derive(Debug)]
pub enum ShardMessage {
    /// Take over the followers of a relay that died.
    TakeOver(RoomId),
    /// Tells how the supervisor stands.
    Observe(RpcReplyPort<ShardStatus>),
}

/// How a shard's supervisor stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShardStatus {
    /// Rooms that failed within [`FAILURES_WITHIN_MS`], by id, and how often.
    pub failing: Vec<(RoomId, usize)>,
}

/// Stands over the rooms and relays of one shard.
#[derive(Debug)]
pub struct ShardActor;

/// The state of a shard's supervisor.
#[derive(Debug)]
pub struct ShardState {
    context: Arc<Context>,
    me: ActorRef<ShardMessage>,
    failures: HashMap<RoomId, VecDeque<Timestamp>>,
}

impl Actor for ShardActor {
    type Msg = ShardMessage;
    type State = ShardState;
    type Arguments = Arc<Context>;

    async fn pre_start(
        &self,
        me: ActorRef<ShardMessage>,
        context: Arc<Context>,
    ) -> Result<ShardState, ActorProcessingErr> {
        Ok(ShardState { context, me, failures: HashMap::new() })
    }

    async fn handle(
        &self,
        _me: ActorRef<ShardMessage>,
        message: ShardMessage,
        state: &mut ShardState,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            ShardMessage::TakeOver(room) => state.take_over(room),
            ShardMessage::Observe(reply) => drop(reply.send(state.status())),
        }
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        _me: ActorRef<ShardMessage>,
        event: SupervisionEvent,
        state: &mut ShardState,
    ) -> Result<(), ActorProcessingErr> {
        match event {
            SupervisionEvent::ActorFailed(cell, error) => {
                if let Some((room, _)) = state.context.slots.ended(cell.get_id()) {
                    state.failed(room, &error);
                }
            }
            SupervisionEvent::ActorTerminated(cell, ..) => {
                state.context.slots.ended(cell.get_id());
            }
            SupervisionEvent::ActorStarted(_) | SupervisionEvent::ProcessGroupChanged(_) => {}
        }
        Ok(())
    }
}

impl ShardState {
    fn failed(&mut self, room: RoomId, error: &ActorProcessingErr) {
        Counters::add(&self.context.counters.actors_failed, 1);
        tracing::error!(room.id = %room, %error, "an actor of room {room} failed and is started anew");
        if !is_of_the_store(error) {
            self.count(room);
        }
        self.me.send_after(ORPHANS_AFTER, move || ShardMessage::TakeOver(room));
        // Those who follow are told where the successor's stretch begins.
        handle::wake(&self.context, room);
    }

    /// Counts a failure, and leaves the room alone when there are too many.
    fn count(&mut self, room: RoomId) {
        let now = self.context.now();
        self.forget_old();
        let failures = self.failures.entry(room).or_default();
        failures.push_back(now);
        if failures.len() >= FAILURES_MAX {
            tracing::error!(room.id = %room, "room {room} failed {FAILURES_MAX} times and is left alone for a minute");
            let until = now.plus_ms(FAILURES_WITHIN_MS.cast_signed());
            self.context.quarantine.lock().insert(room, until);
            failures.clear();
        }
    }

    /// Forgets failures that no longer count, and rooms that have none left.
    fn forget_old(&mut self) {
        let now = self.context.now();
        self.failures.retain(|_, failures| {
            failures.retain(|at| now.ms_since(*at) <= FAILURES_WITHIN_MS);
            !failures.is_empty()
        });
    }

    fn status(&mut self) -> ShardStatus {
        self.forget_old();
        let mut failing: Vec<_> = self.failures.iter().map(|(room, failures)| (*room, failures.len())).collect();
        failing.sort_unstable();
        ShardStatus { failing }
    }

    fn take_over(&self, room: RoomId) {
        let orphans: Vec<_> = {
            let mut all = self.context.orphans.lock();
            let (ours, others) = std::mem::take(&mut *all).into_iter().partition(|(of, ..)| *of == room);
            *all = others;
            ours
        };
        let context = self.context.clone();
        tokio::spawn(async move {
            for (_, head, followers) in orphans {
                for follower in followers {
                    take_up(&context, room, head, follower).await;
                }
            }
        });
    }
}

/// Hands one follower on, judged anew: it may have lost its right while it had no relay.
async fn take_up(context: &Arc<Context>, room: RoomId, head: Seq, mut follower: Box<Follower>) {
    let left = LeftBehind(Some(follower.connection.clone()));
    match context.directory.access(follower.user, room).await {
        Ok(access) => follower.access = access,
        Err(refusal) if refusal.code == ErrorCode::Unavailable => return,
        Err(_) => {
            left.taken_up();
            return;
        }
    }
    // An answer was given when the follower began; now there is only the rest to send.
    let taken = handle::follow(context, room, follower, Some(head), Box::new(move |_| left.taken_up()));
    if taken.is_err() {
        tracing::error!(room.id = %room, "could not take over a follower of a dead relay");
    }
}

/// A follower that no relay has; its client is asked to resume rather than left in silence.
struct LeftBehind(Option<Arc<dyn Connection>>);

impl LeftBehind {
    fn taken_up(mut self) {
        self.0 = None;
    }
}

impl Drop for LeftBehind {
    fn drop(&mut self) {
        if let Some(connection) = self.0.take() {
            connection.close(CloseCode::GoingAway);
        }
    }
}
