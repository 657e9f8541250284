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
use crate::scan::Heard;
use crate::schedule::Schedule;
use crate::scratch;
use crate::ws::{self, Inbox};

/// How often a client says that it is there: within the 30 s a Hubbub node announces, also after a slow joining.
const HEARTBEAT: Duration = Duration::from_secs(20);
const HEARTBEAT_SLICES: usize = 20;

#[derive(Debug)]
pub(crate) struct Crowd {
    peer: Arc<dyn Peer>,
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
    pub(crate) async fn join(
        peer: &Arc<dyn Peer>,
        rooms: &[String],
        clients: usize,
        at_once: usize,
    ) -> Result<Self> {
        let rooms: Vec<Arc<str>> = rooms.iter().map(|room| Arc::from(room.as_str())).collect();
        let joined = in_parallel(clients, at_once, |index| {
            let (peer, room) = (Arc::clone(peer), Arc::clone(&rooms[index % rooms.len()]));
            let place = place(index, rooms.len());
            async move {
                let begun = Instant::now();
                let (link, inbox) = peer
                    .join(index, place, &room)
                    .await
                    .with_context(|| format!("client {index} could not join"))?;
                let client = Client { link: Arc::new(link), inbox, room, ledger: Arc::default() };
                Ok((client, begun.elapsed()))
            }
        });
        let (clients, join_times) = joined.await?.into_iter().unzip();
        let (peer, recorder) = (Arc::clone(peer), Arc::new(Mutex::new(Recorder::new()?)));
        Ok(Self { peer, clients, recorder, join_times, tasks: JoinSet::new() })
    }

    /// Starts the readers and the heartbeats.
    pub(crate) fn listen(&mut self, schedule: &Arc<Schedule>) {
        for (index, client) in self.clients.iter_mut().enumerate() {
            let mut reader = Reader {
                index,
                link: Arc::clone(&client.link),
                room: Arc::clone(&client.room),
                ledger: Arc::clone(&client.ledger),
                recorder: Arc::clone(&self.recorder),
                schedule: Arc::clone(schedule),
                echoes: self.peer.acknowledgement() == Acknowledgement::Echo,
                peer: Arc::clone(&self.peer),
            };
            let inbox = std::mem::take(&mut client.inbox);
            self.tasks.spawn(async move { reader.run(inbox).await });
        }
        if let Some(text) = self.peer.heartbeat() {
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

    /// Bytes that clients have read, without what TCP and IP put around them.
    pub(crate) fn received_bytes(&self) -> u64 {
        lock(&self.recorder).received_bytes()
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
    peer: Arc<dyn Peer>,
    /// Whether its own copy tells a sender that a message was taken.
    echoes: bool,
}

impl Reader {
    /// Reads until the server ends the connection.
    async fn run(&mut self, mut inbox: Inbox) {
        let mut open = inbox.drain(&mut [], |opcode, payload| self.enter(opcode, payload)).is_ok();
        while open && self.link.stream().readable().await.is_ok() {
            let read = scratch::read(self.link.stream(), |fresh| {
                lock(&self.recorder).bytes(fresh.len());
                inbox.drain(fresh, |opcode, payload| self.enter(opcode, payload))
            });
            open = matches!(read, Ok(None | Some(Ok(()))));
        }
        lock(&self.ledger).close();
    }

    fn enter(&self, opcode: u8, payload: &[u8]) {
        let heard = match opcode {
            ws::TEXT => self.peer.hear(payload, &self.room),
            _ => Heard::Other,
        };
        let entry = lock(&self.ledger).enter(heard, &self.schedule);
        let now = Instant::now();
        match entry {
            Entry::Delivery { number } => {
                let own = self.schedule.sender(number) == self.index;
                let mut recorder = lock(&self.recorder);
                recorder.delivery(number, now, &self.schedule);
                if own && self.echoes {
                    recorder.answer(number, now, &self.schedule);
                }
            }
            Entry::Answer { number } => lock(&self.recorder).answer(number, now, &self.schedule),
            Entry::Nothing => {}
        }
    }
}

/// Which of a server's nodes client `client` is at: members of a room follow each other around the nodes, and rooms
/// begin at different ones, so that senders are spread as well.
fn place(client: usize, rooms: usize) -> usize {
    client / rooms + client % rooms
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_of_every_room_and_all_senders_are_spread_over_the_nodes() {
        for (rooms, members, senders, nodes) in
            [(10, 100, 20, 3), (1, 500, 20, 2), (100, 10, 200, 3), (2, 30, 4, 3)]
        {
            let at = |clients: &mut dyn Iterator<Item = usize>| {
                let mut counts = vec![0_usize; nodes];
                clients.for_each(|client| counts[place(client, rooms) % nodes] += 1);
                counts
            };
            let even =
                |counts: &[usize]| counts.iter().max() <= counts.iter().min().map(|least| least + 1).as_ref();
            for room in 0..rooms {
                let counts = at(&mut (0..members).map(|member| room + member * rooms));
                assert!(even(&counts), "room {room} of {rooms}: {counts:?}");
            }
            let counts = at(&mut (0..senders));
            assert!(counts.iter().all(|count| *count * nodes * 2 > senders), "senders: {counts:?}");
        }
    }
}
