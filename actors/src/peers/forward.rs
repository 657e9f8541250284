//! What is asked of rooms that another node orders, or that nobody orders for a moment.
//!
//! For each such room there is one queue and one task, which has one batch under way at a time: so asks reach the
//! room in the order in which they were made, whatever becomes of owners and links. What the owner did not take is
//! asked again, of whoever orders the room then, for up to [`HELD_MAX`].
//!
//! # Invariants
//!
//! * While a room has a queue here, everything that is asked of it goes through it, also once the room is here.
//! * What may have been carried out is asked again only if that does no harm; else it is answered `unavailable`.

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use hubbub_protocol::{
    error::{ErrorCode, Refusal},
    ids::{NodeId, RoomId, Seq},
    limits::ROOM_QUEUE_MAX,
    peer::{Aftermath, Class},
};
use parking_lot::Mutex;
use tokio::time::{Instant, sleep, timeout};

use super::wire::{RoomAnswers, RoomAsks};
use crate::{
    answer::{busy, unavailable},
    context::Context,
    room::{
        actor::Ask,
        asked::{Asked, Given, Pending, Waiting, archive_at},
        handle,
    },
};

/// Asks of one batch: as many as one commit takes.
pub const BATCH_ASKS_MAX: usize = 256;
/// Bytes of one batch, but for a single larger ask: half of what one message between nodes may have.
const BATCH_BYTES_MAX: usize = 512 * 1024;
/// How long an ask waits for somebody to order its room: a failover takes 3 s, 5 s when it takes the leader too.
pub const HELD_MAX: Duration = Duration::from_secs(8);
/// How long one batch waits for its answer: a store that does not answer is given up after 5 s.
const ANSWERED_WITHIN: Duration = Duration::from_secs(6);
/// Pause before asking again, unless the map changes sooner.
const PAUSE: Duration = Duration::from_millis(50);
/// Asks that may be held for all rooms together: at 1 KiB each, 64 MiB.
const HELD_ASKS_MAX: usize = 65_536;

/// The queues of rooms that are not here.
#[derive(Debug, Default)]
pub struct Forwards {
    rooms: Mutex<HashMap<RoomId, VecDeque<Pending>>>,
    /// What rooms that were let go of had not begun with; it goes ahead of what is in the queue.
    returned: Mutex<HashMap<RoomId, Vec<Pending>>>,
    /// Rooms with a queue, to be read without the lock.
    count: AtomicUsize,
    held: AtomicUsize,
}

impl Forwards {
    /// Whether what is asked of `room` must go through its queue.
    pub(crate) fn has(&self, room: RoomId) -> bool {
        self.count.load(Ordering::Acquire) > 0 && self.rooms.lock().contains_key(&room)
    }

    /// Rooms that have a queue, and asks that wait in them.
    #[must_use]
    pub fn counts(&self) -> (usize, usize) {
        (self.count.load(Ordering::Relaxed), self.held.load(Ordering::Relaxed))
    }

    /// Puts an ask into its room's queue; its answer says what became of it.
    pub(crate) fn push(&self, context: &Arc<Context>, room: RoomId, ask: Ask) {
        let mut rooms = self.rooms.lock();
        let queue = rooms.get(&room);
        let full = queue.is_some_and(|queue| queue.len() >= ROOM_QUEUE_MAX)
            || self.held.load(Ordering::Relaxed) >= HELD_ASKS_MAX;
        if full {
            drop(rooms);
            ask.refuse(&busy());
            return;
        }
        if queue.is_none() {
            self.count.fetch_add(1, Ordering::AcqRel);
            tokio::spawn(run(context.clone(), room));
        }
        rooms.entry(room).or_default().push_back(Pending::from(ask));
        self.held.fetch_add(1, Ordering::Relaxed);
    }

    /// Puts asks ahead of the room's queue, in their order.
    pub(crate) fn give_back(&self, context: &Arc<Context>, room: RoomId, asks: Vec<Ask>) {
        if asks.is_empty() {
            return;
        }
        let mut rooms = self.rooms.lock();
        self.returned.lock().entry(room).or_default().extend(asks.into_iter().map(Pending::from));
        if let std::collections::hash_map::Entry::Vacant(vacant) = rooms.entry(room) {
            vacant.insert(VecDeque::new());
            self.count.fetch_add(1, Ordering::AcqRel);
            tokio::spawn(run(context.clone(), room));
        }
    }

    /// What was given back for a room; archives among it are begun anew by who wanted them.
    fn returned(&self, room: RoomId) -> Vec<(Asked, Waiting)> {
        let mut returned = self.returned.lock();
        let asks = if returned.is_empty() { None } else { returned.remove(&room) };
        drop(returned);
        let plain = |pending| match pending {
            Pending::Plain(asked, waiting) => Some((asked, waiting)),
            Pending::Archive(_, answer) => {
                answer.give(Err(busy()));
                None
            }
        };
        asks.into_iter().flatten().filter_map(plain).collect()
    }

    /// The next batch of a room; `None` when there is none, and then the queue is gone.
    fn take(&self, room: RoomId) -> Option<Batch> {
        let mut rooms = self.rooms.lock();
        let queue = rooms.get_mut(&room)?;
        if queue.is_empty() {
            if self.returned.lock().contains_key(&room) {
                return Some(Batch::default());
            }
            rooms.remove(&room);
            self.count.fetch_sub(1, Ordering::AcqRel);
            return None;
        }
        let mut batch = Batch::default();
        while let Some(next) = queue.pop_front() {
            match next {
                Pending::Plain(asked, waiting) => {
                    let bytes = asked.bytes();
                    let full = batch.asks.len() >= BATCH_ASKS_MAX || batch.bytes + bytes > BATCH_BYTES_MAX;
                    if full && !batch.asks.is_empty() {
                        queue.push_front(Pending::Plain(asked, waiting));
                        break;
                    }
                    batch.bytes += bytes;
                    batch.asks.push((asked, waiting));
                }
                archive @ Pending::Archive(..) if batch.asks.is_empty() => {
                    batch.archive = Some(archive);
                    break;
                }
                archive @ Pending::Archive(..) => {
                    queue.push_front(archive);
                    break;
                }
            }
        }
        self.held.fetch_sub(batch.asks.len() + usize::from(batch.archive.is_some()), Ordering::Relaxed);
        Some(batch)
    }
}

/// Asks that go together.
#[derive(Debug, Default)]
struct Batch {
    asks: Vec<(Asked, Waiting)>,
    archive: Option<Pending>,
    bytes: usize,
}

async fn run(context: Arc<Context>, room: RoomId) {
    while let Some(batch) = context.forwards.take(room) {
        if let Some(Pending::Archive(build, answer)) = batch.archive {
            // An archive with no events tells where the next event goes.
            let place =
                Asked::Archive { first: Seq(0), events: Vec::new(), effects: crate::room::asked::no_facts() };
            let (waiting, wait) = crate::answer::Answer::awaited();
            settle(&context, room, vec![(place, Waiting::Seq(waiting))]).await;
            match wait.await.unwrap_or_else(|_| Err(unavailable())) {
                Ok(first) => settle(&context, room, vec![(archive_at(build, first), Waiting::Seq(answer))]).await,
                Err(refusal) => answer.give(Err(refusal)),
            }
        }
        settle(&context, room, batch.asks).await;
    }
}

/// Asks until everything is answered.
async fn settle(context: &Arc<Context>, room: RoomId, mut asks: Vec<(Asked, Waiting)>) {
    let until = Instant::now() + HELD_MAX;
    loop {
        let mut first = context.forwards.returned(room);
        first.append(&mut asks);
        asks = first;
        if asks.is_empty() {
            return;
        }
        let mut moved = context.map_changes.subscribe();
        let place = context.place_of(room);
        let asked: Vec<Asked> = asks.iter().map(|(asked, _)| asked.clone()).collect();
        let tried = if place.owner != context.this_node() {
            there(context, room, place.owner, asked).await
        } else if context.is_here(room) {
            Tried::Answered(handle::carry_out(context, room, asked).await)
        } else {
            Tried::NotTaken
        };
        match tried {
            Tried::Answered(given) => {
                let mut given = given.into_iter();
                for (asked, waiting) in asks.drain(..) {
                    match given.next() {
                        Some(given) => {
                            note_own(context, room, &asked, &given);
                            waiting.give(given);
                        }
                        None => waiting.refuse(&unavailable()),
                    }
                }
                return;
            }
            Tried::NotTaken => {}
            Tried::Unknown => {
                let (again, over): (Vec<_>, Vec<_>) = asks.into_iter().partition(|(asked, _)| asked.may_repeat());
                over.into_iter().for_each(|(_, waiting)| waiting.refuse(&unavailable()));
                asks = again;
            }
        }
        if Instant::now() >= until {
            let refusal = Refusal::new(ErrorCode::Moving, "the room is changing node: repeat with the same key");
            asks.drain(..).for_each(|(_, waiting)| waiting.refuse(&refusal.clone().after_ms(250)));
            return;
        }
        // The map that says where the room is now may be on its way.
        let _ = timeout(PAUSE, moved.changed()).await;
    }
}

/// An author who is here has read what was just sent.
fn note_own(context: &Context, room: RoomId, asked: &Asked, given: &Given) {
    if let (Asked::Post { caller, .. }, Given::Sent { seq, repeat: false, .. }) = (asked, given) {
        context.markers.sent(caller.user, room, *seq);
    }
}

/// What became of a try.
enum Tried {
    Answered(Vec<Given>),
    /// Nothing was done.
    NotTaken,
    /// It may have been carried out.
    Unknown,
}

/// Asks the room's owner on another node.
async fn there(context: &Arc<Context>, room: RoomId, owner: NodeId, asks: Vec<Asked>) -> Tried {
    let count = asks.len();
    let Some(envelope) = context.peers.pack(&RoomAsks { room, asks }) else {
        return Tried::Answered(vec![Given::refused(&too_large()); count]);
    };
    let lane = Class::Append.lane(room.raw());
    let asked = context.peers.bus().ask(owner, lane, envelope, ANSWERED_WITHIN);
    let moved = async {
        let mut moves = context.map_changes.subscribe();
        while context.place_of(room).owner == owner {
            if moves.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
        // What the old owner did is on its way, if the link stands.
        sleep(PAUSE).await;
    };
    tokio::select! {
        answer = asked => match answer {
            Ok(envelope) => match envelope.open::<RoomAnswers>() {
                Ok(RoomAnswers { answers: Some(answers) }) => Tried::Answered(answers),
                Ok(RoomAnswers { answers: None }) => Tried::NotTaken,
                Err(_) => Tried::Unknown,
            },
            Err(error) if error.aftermath() == Aftermath::Nothing => Tried::NotTaken,
            Err(error) => {
                tracing::warn!(room.id = %room, node.id = %owner, %error, "a room's owner did not answer");
                Tried::Unknown
            }
        },
        () = moved => Tried::Unknown,
    }
}

fn too_large() -> Refusal {
    Refusal::new(
        ErrorCode::TooLarge,
        "this is more than one node can hand to another at once: import it on the node that orders the room, with less at a time",
    )
}
