//! Clients that come back, with a timeline of what they do: the load of storms, failovers and the mixed day.
//!
//! Only Hubbub has sessions to be resumed, so this is not for other peers; [`crowd`](crate::crowd) is.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tokio::sync::mpsc::{Sender, channel};
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::guest::{Guest, Invitation};
use crate::ledger::{self, Ledger, Verdict};
use crate::parallel::in_parallel;
use crate::peer::hubbub::{HubbubPeer, Session};
use crate::recorder::Recorder;
use crate::schedule::Schedule;

/// Acts one guest may be behind: half a minute away, at 30 a second. What is beyond is not done, and counted.
const ACTS_MAX: usize = 1_024;
/// Silence after everything has arrived, in which a double would still be noticed.
const SETTLE: Duration = Duration::from_millis(300);

/// What a guest does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Act {
    /// Sends the message of this number.
    Send(u32),
    /// Puts a reaction to the newest message it was shown.
    React,
    /// Says that it is typing.
    Type,
    /// Reads the newest page of its room.
    Page,
    /// Drops its connection and resumes.
    Reconnect,
}

/// An act, who does it, and when, from the start of the schedule.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cue {
    pub(crate) after: Duration,
    pub(crate) guest: usize,
    pub(crate) act: Act,
}

/// A guest that was away.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Return {
    pub(crate) back: Instant,
    pub(crate) failures: u32,
}

/// Counts over all guests.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    /// Guests without a connection now.
    pub(crate) away: AtomicU64,
    /// Sessions that no node knew any more.
    pub(crate) sessions_lost: AtomicU64,
    /// Sends answered with "again".
    pub(crate) again: AtomicU64,
    /// Answers to requests that are no sends, and those of them that were refusals.
    pub(crate) other_answers: AtomicU64,
    pub(crate) other_refusals: AtomicU64,
    /// Acts for which a guest was too far behind.
    pub(crate) undone: AtomicU64,
}

/// What all guests of a party share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) peer: Arc<HubbubPeer>,
    pub(crate) schedule: Schedule,
    pub(crate) recorder: Mutex<Recorder>,
    pub(crate) returns: Mutex<Vec<Return>>,
    /// Numbers of messages, as they were answered.
    pub(crate) answers: Mutex<Vec<(u32, Instant)>>,
    pub(crate) counts: Counts,
}

/// Guests that are there and have not begun.
#[derive(Debug)]
pub(crate) struct Arrived {
    peer: Arc<HubbubPeer>,
    rooms: Vec<Arc<str>>,
    /// The room of each guest, and its session.
    seats: Vec<(usize, Session)>,
}

#[derive(Debug)]
pub(crate) struct Party {
    pub(crate) shared: Arc<Shared>,
    rooms: Vec<usize>,
    ledgers: Vec<Arc<Mutex<Ledger>>>,
    tasks: JoinSet<()>,
    clock: thread::JoinHandle<()>,
}

/// What the books say when a party is over.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) verdict: Verdict,
    pub(crate) shared: Shared,
}

impl Arrived {
    /// Lets a guest come for each of `seats`, into that room, `at_once` at a time.
    pub(crate) async fn gather(
        peer: &Arc<HubbubPeer>,
        rooms: &[String],
        seats: &[usize],
        at_once: usize,
    ) -> Result<Self> {
        let rooms: Vec<Arc<str>> = rooms.iter().map(|room| Arc::from(room.as_str())).collect();
        let places = places(seats);
        let arrivals = in_parallel(seats.len(), at_once, |number| {
            let (peer, room) = (Arc::clone(peer), Arc::clone(&rooms[seats[number]]));
            let place = places[number];
            async move {
                let session = peer.identify(number, place, &room, None).await;
                session.with_context(|| format!("guest {number} could not join"))
            }
        });
        let seats = seats.iter().copied().zip(arrivals.await?).collect();
        Ok(Self { peer: Arc::clone(peer), rooms, seats })
    }

    /// Begins: guests read, and do what `cues`, in the order of time, say.
    pub(crate) fn begin(self, schedule: Schedule, cues: Vec<Cue>) -> Result<Party> {
        let shared = Arc::new(Shared {
            peer: self.peer,
            schedule,
            recorder: Mutex::new(Recorder::new()?),
            returns: Mutex::default(),
            answers: Mutex::default(),
            counts: Counts::default(),
        });
        let (mut queues, mut ledgers, mut tasks) = (Vec::new(), Vec::new(), JoinSet::new());
        let rooms: Vec<usize> = self.seats.iter().map(|(room, _)| *room).collect();
        let places = places(&rooms);
        for (number, (room, session)) in self.seats.into_iter().enumerate() {
            let (queue, acts) = channel(ACTS_MAX);
            let ledger = Arc::<Mutex<Ledger>>::default();
            let invitation = Invitation {
                number,
                place: places[number],
                room: Arc::clone(&self.rooms[room]),
                ledger: Arc::clone(&ledger),
                acts,
                shared: Arc::clone(&shared),
            };
            queues.push(queue);
            ledgers.push(ledger);
            tasks.spawn(Guest::new(invitation, session).run());
        }
        let told = Arc::clone(&shared);
        let keeper = thread::Builder::new().name("cues".to_owned());
        let clock = keeper.spawn(move || give_cues(&told, &queues, cues))?;
        Ok(Party { shared, rooms, ledgers, tasks, clock })
    }
}

/// Which node each guest is at: those of a room follow each other around the nodes, rooms begin at different ones.
fn places(seats: &[usize]) -> Vec<usize> {
    let mut next: Vec<usize> = (0..=seats.iter().copied().max().unwrap_or_default()).collect();
    let place = |room: &usize| {
        next[*room] += 1;
        next[*room] - 1
    };
    seats.iter().map(place).collect()
}

#[expect(
    clippy::disallowed_methods,
    reason = "it has a thread of its own, so that the runtime's load cannot delay it"
)]
fn give_cues(shared: &Shared, queues: &[Sender<Act>], cues: Vec<Cue>) {
    for Cue { after, guest, act } in cues {
        let at = shared.schedule.start() + after;
        let wait = at.saturating_duration_since(Instant::now());
        if !wait.is_zero() {
            thread::sleep(wait);
        }
        if queues[guest].try_send(act).is_err() {
            shared.counts.undone.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Party {
    /// Waits until every message was shown to everybody in its room, at most `longest` from now, and some more.
    pub(crate) async fn drain(&self, longest: Duration) {
        let schedule = &self.shared.schedule;
        let mut members = vec![0_u64; self.rooms.iter().max().map_or(0, |most| most + 1)];
        self.rooms.iter().for_each(|room| members[*room] += 1);
        let expected: u64 = (0..schedule.total()).map(|number| members[schedule.room(number)]).sum();
        let begun = Instant::now();
        let all = || lock(&self.shared.recorder).delivered() >= expected;
        while !all() && begun.elapsed() < longest {
            sleep(Duration::from_millis(20)).await;
        }
        sleep(SETTLE).await;
    }

    /// Guests without a connection now.
    pub(crate) fn away(&self) -> usize {
        usize::try_from(self.shared.counts.away.load(Ordering::Relaxed)).unwrap_or(usize::MAX)
    }

    /// Ends it and judges what everybody was shown.
    pub(crate) async fn finish(mut self) -> Result<Outcome> {
        self.tasks.shutdown().await;
        self.clock.join().map_err(|_| anyhow::anyhow!("whoever gives the cues panicked"))?;
        let ledgers = self.ledgers.into_iter().map(|ledger| {
            let ledger = Arc::into_inner(ledger).context("a guest outlived its party")?;
            Ok(ledger.into_inner().unwrap_or_else(PoisonError::into_inner))
        });
        let ledgers: Vec<Ledger> = ledgers.collect::<Result<_>>()?;
        let shared = Arc::into_inner(self.shared).context("a guest outlived its party")?;
        let sent: Vec<u32> = (0..shared.schedule.total()).collect();
        // Acts that were never done left their messages unsent, and show as lost and unanswered.
        let mut verdict = ledger::judge(&ledgers, |guest| self.rooms[guest], &shared.schedule, &sent, true);
        verdict.closed = shared.counts.away.load(Ordering::Relaxed);
        Ok(Outcome { verdict, shared })
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guests_of_a_room_go_around_the_nodes_and_rooms_begin_at_different_ones() {
        assert_eq!(places(&[0, 1, 0, 1, 0, 2]), [0, 1, 1, 2, 2, 2]);
        assert_eq!(places(&[]), Vec::<usize>::new());
    }
}
