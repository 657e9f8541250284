//! The clients of a run: joined, then each read by a task of its own, with a ledger and one common recorder.
//!
//! # Invariants
//! - A connection is quiet until [`Crowd::listen`]: what arrives before is read then and entered like the rest.
//! - All clients say their heartbeat once within [`HEARTBEAT`], spread evenly, so no window sees a burst of them.
//!
//! Tasks end with the crowd; the ledgers outlive them.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use crate::ledger::{Entry, Ledger};
use crate::link::Link;
use crate::parallel::in_parallel;
use crate::peer::{Acknowledgement, Peer};
use crate::recorder::Recorder;
use crate::scan::{Heard, hear};
use crate::schedule::Schedule;
use crate::scratch;
use crate::ws::{self, Inbox};

/// How often a client says that it is there: within the 30 s a Hubbub node announces, also after a slow joining.
const HEARTBEAT: Duration = Duration::from_secs(20);
const HEARTBEAT_SLICES: usize = 20;

#[derive(Debug)]
pub(crate) struct Crowd {
    clients: Vec<Client>,
    recorder: Arc<Mutex<Recorder>>,
    join_times: Vec<Duration>,
    tasks: JoinSet<()>,
}

#[derive(Debug)]
struct Client {
    link: Arc<Link>,
    /// Until a reader has it.
    inbox: Inbox,
    room: Arc<str>,
    ledger: Arc<Mutex<Ledger>>,
}

impl Crowd {
    /// Lets `clients` clients join, `at_once` at a time; client `c` joins `rooms[c % rooms.len()]`.
    pub(crate) async fn join<P: Peer>(
        peer: &Arc<P>,
        rooms: &[String],
        clients: usize,
        at_once: usize,
    ) -> Result<Self> {
        let rooms: Vec<Arc<str>> = rooms.iter().map(|room| Arc::from(room.as_str())).collect();
        let joined = in_parallel(clients, at_once, |index| {
            let (peer, room) = (Arc::clone(peer), Arc::clone(&rooms[index % rooms.len()]));
            async move {
                let begun = Instant::now();
                let (link, inbox) =
                    peer.join(index, &room).await.with_context(|| format!("client {index} could not join"))?;
                let client = Client { link: Arc::new(link), inbox, room, ledger: Arc::default() };
                Ok((client, begun.elapsed()))
            }
        });
        let (clients, join_times) = joined.await?.into_iter().unzip();
        Ok(Self { clients, recorder: Arc::new(Mutex::new(Recorder::new()?)), join_times, tasks: JoinSet::new() })
    }

    /// Starts the readers and the heartbeats.
    pub(crate) fn listen<P: Peer>(&mut self, schedule: &Arc<Schedule>) {
        for (index, client) in self.clients.iter_mut().enumerate() {
            let mut reader = Reader {
                index,
                link: Arc::clone(&client.link),
                room: Arc::clone(&client.room),
                ledger: Arc::clone(&client.ledger),
                recorder: Arc::clone(&self.recorder),
                schedule: Arc::clone(schedule),
                acknowledgement: P::ACKNOWLEDGEMENT,
            };
            let inbox = std::mem::take(&mut client.inbox);
            self.tasks.spawn(async move { reader.run(inbox).await });
        }
        if let Some(text) = P::HEARTBEAT {
            self.tasks.spawn(heartbeats(self.links(), text));
        }
    }

    pub(crate) fn links(&self) -> Vec<Arc<Link>> {
        self.clients.iter().map(|client| Arc::clone(&client.link)).collect()
    }

    pub(crate) fn join_times(&self) -> &[Duration] {
        &self.join_times
    }

    pub(crate) fn delivered(&self) -> u64 {
        lock(&self.recorder).delivered()
    }

    /// Ends all tasks and connections and gives what they wrote down.
    pub(crate) async fn finish(mut self) -> Result<(Vec<Ledger>, Recorder)> {
        self.tasks.shutdown().await;
        let ledgers = self.clients.into_iter().map(|client| take(client.ledger));
        let ledgers = ledgers.collect::<Result<_>>()?;
        Ok((ledgers, take(self.recorder)?))
    }
}

#[derive(Debug)]
struct Reader {
    index: usize,
    link: Arc<Link>,
    room: Arc<str>,
    ledger: Arc<Mutex<Ledger>>,
    recorder: Arc<Mutex<Recorder>>,
    schedule: Arc<Schedule>,
    acknowledgement: Acknowledgement,
}

impl Reader {
    /// Reads until the server ends the connection.
    async fn run(&mut self, mut inbox: Inbox) {
        let mut open = inbox.drain(&mut [], |opcode, payload| self.enter(opcode, payload)).is_ok();
        while open && self.link.stream().readable().await.is_ok() {
            let read = scratch::read(self.link.stream(), |fresh| {
                inbox.drain(fresh, |opcode, payload| self.enter(opcode, payload))
            });
            open = matches!(read, Ok(None | Some(Ok(()))));
        }
        lock(&self.ledger).close();
    }

    fn enter(&self, opcode: u8, payload: &[u8]) {
        let heard = match opcode {
            ws::TEXT => hear(payload, &self.room),
            _ => Heard::Other,
        };
        let entry = lock(&self.ledger).enter(heard, &self.schedule);
        let now = Instant::now();
        match entry {
            Entry::Delivery { number } => {
                let own = self.schedule.sender(number) == self.index;
                let mut recorder = lock(&self.recorder);
                recorder.delivery(number, now, &self.schedule);
                if own && self.acknowledgement == Acknowledgement::Echo {
                    recorder.answer(number, now, &self.schedule);
                }
            }
            Entry::Answer { number } => lock(&self.recorder).answer(number, now, &self.schedule),
            Entry::Nothing => {}
        }
    }
}

async fn heartbeats(links: Vec<Arc<Link>>, text: &'static str) {
    let mut ticks = interval(HEARTBEAT / HEARTBEAT_SLICES as u32);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for slice in (0..HEARTBEAT_SLICES).cycle() {
        ticks.tick().await;
        for link in links.iter().skip(slice).step_by(HEARTBEAT_SLICES) {
            // A link that fails here has failed its reader too, which writes it down.
            let _ = link.send(ws::TEXT, text.as_bytes()).await;
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn take<T>(shared: Arc<Mutex<T>>) -> Result<T> {
    let mutex = Arc::into_inner(shared).context("a reader outlived its crowd")?;
    Ok(mutex.into_inner().unwrap_or_else(PoisonError::into_inner))
}
