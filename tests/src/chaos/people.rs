//! People who talk while things break: each sends, follows every room, reads history, and writes down what it sees.
//!
//! Half of them sit behind a [`Gate`] and move to another node now and then; the other half stay with one node whatever
//! happens to it.
//!
//! # Invariants
//!
//! * A line is written before what it tells of can have an effect (`send`, `read`), or after it has happened.
//! * Every try of a send is a line of its own, since a repeat may be stored on either side of what was sent meanwhile.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::Context as _;
use futures_util::future::join_all;
use hubbub_client::{Client, RequestError, Update, Updates};
use hubbub_protocol::{
    event::EventBody,
    ids::{MessageKey, RoomId, Seq},
    op::{Mode, Op, Page},
    rest::Sent,
};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use serde::Deserialize as _;
use tokio::{
    sync::watch,
    task::JoinHandle,
    time::{Instant, sleep},
};
use uuid::Uuid;

use super::{
    gate::{Gate, Health},
    members::Members,
    recorder::{Recorder, now_ms, record},
    stage::{Stage, config},
};
use crate::history::{Op as What, Record};

/// How long a send is tried, as the client's own default.
const SEND_WITHIN: Duration = Duration::from_secs(60);
/// Pause before a send is tried again, in milliseconds.
const AGAIN_MS: std::ops::Range<u64> = 50..400;
/// Pause of a person between what it does, in milliseconds: 12 people make some 60 messages a second, which two cores
/// carry beside three nodes and a database.
const PAUSE_MS: std::ops::Range<u64> = 100..700;
/// Most messages that somebody sends without waiting for answers.
const BURST_MAX: usize = 4;
/// One of so many things a person does is to read history.
const READS_ONE_IN: u32 = 6;
/// How long a person stays at a node, in milliseconds.
const STAYS_MS: std::ops::Range<u64> = 4_000..15_000;
/// How long the nodes may take to find each other again after a fault: a link is dialled at most 2 s late.
const RECOVERS_MS: u64 = 4_000;
/// Messages of a page of history.
const PAGE: usize = 100;

/// What a run counts.
#[derive(Debug, Default)]
pub struct Tally {
    /// Acknowledged sends.
    pub acks: AtomicU64,
    /// Sends that came to nothing over all their tries.
    pub failed: AtomicU64,
    /// Events handed on.
    pub events: AtomicU64,
    /// Connections after the first.
    pub resumes: AtomicU64,
    /// Reads of history that were answered.
    pub reads: AtomicU64,
    /// Tries of sends that were refused for now, or whose connection was lost.
    pub again: AtomicU64,
}

/// What all people of a run share.
#[derive(Debug)]
pub struct Shared {
    /// Where they write.
    pub recorder: Recorder,
    /// What is counted.
    pub tally: Tally,
    /// What no history has a line for: a client that was ended, a room that is followed no longer.
    pub troubles: Mutex<Vec<String>>,
    /// Unix milliseconds until when something was broken; `u64::MAX` while it is.
    pub broken_until_ms: AtomicU64,
    /// The last fault, as it was told.
    pub last_fault: Mutex<String>,
}

impl Shared {
    /// Begins with an empty history.
    #[must_use]
    pub fn new(recorder: Recorder) -> Self {
        Self {
            recorder,
            tally: Tally::default(),
            troubles: Mutex::default(),
            broken_until_ms: AtomicU64::new(0),
            last_fault: Mutex::default(),
        }
    }

    /// Something breaks.
    ///
    /// # Panics
    /// Never: nobody panics with the fault in hand.
    pub fn breaks(&self, fault: &str) {
        self.broken_until_ms.store(u64::MAX, Ordering::Release);
        fault.trim().clone_into(&mut self.last_fault.lock().expect("nobody panics with the fault in hand"));
    }

    /// It is whole again.
    pub fn is_whole(&self) {
        self.broken_until_ms.store(now_ms(), Ordering::Release);
    }

    /// The last fault, or that there was none.
    ///
    /// # Panics
    /// Never: nobody panics with the fault in hand.
    #[must_use]
    pub fn after_what(&self) -> String {
        let fault = self.last_fault.lock().expect("nobody panics with the fault in hand");
        if fault.is_empty() { "before any fault".to_owned() } else { format!("during or after `{fault}`") }
    }

    /// Whether anything was broken at, or up to [`RECOVERS_MS`] before, `since_ms`, or after it.
    #[must_use]
    pub fn broken_since(&self, since_ms: u64) -> bool {
        self.broken_until_ms.load(Ordering::Acquire).saturating_add(RECOVERS_MS) > since_ms
    }

    /// Notes a trouble.
    ///
    /// # Panics
    /// Never: nobody panics with the list in hand.
    pub fn trouble(&self, story: String) {
        self.troubles.lock().expect("nobody panics with the list in hand").push(story);
    }
}

/// Newest seq that somebody was handed, by room.
type Seen = Arc<Mutex<BTreeMap<RoomId, Seq>>>;

/// Somebody.
#[derive(Debug)]
pub struct Person {
    name: String,
    /// Kept, since a client without handles ends.
    _client: Client,
    seen: Seen,
    follows: JoinHandle<()>,
    talks: Option<JoinHandle<Option<Gate>>>,
    /// Stays while the person does, so that what is still to come has a way.
    gate: Option<Gate>,
}

impl Person {
    /// Makes an account, connects at `node` and begins to follow and to talk until `over`.
    ///
    /// # Errors
    /// What a node refused.
    pub async fn begin(
        members: &Members,
        stage: &Stage,
        shared: &Arc<Shared>,
        health: &Health,
        number: usize,
        seed: u64,
        over: watch::Receiver<bool>,
    ) -> anyhow::Result<Self> {
        let (name, node) = (format!("person-{number}"), number % members.len());
        let signed = stage.person(&members.url(node), &name).await?;
        let nodes: Vec<SocketAddr> = (0..members.len())
            .map(|node| SocketAddr::from((members.lab.address(node), members.lab.ports(node).public)))
            .collect();
        // One of each two, at every node.
        let moves = (number / members.len()) % 2 == 1;
        let gate = if moves { Some(Gate::before(nodes, node, health.clone()).await?) } else { None };
        let url = gate.as_ref().map_or_else(|| members.url(node), Gate::url);
        let (client, updates) =
            Client::connect(config(&url, signed)).await.with_context(|| format!("{name} cannot connect"))?;
        let seen = Seen::default();
        let follows = tokio::spawn(follow(name.clone(), updates, shared.clone(), seen.clone()));
        for room in &stage.rooms {
            let begin = Record { seq: Some(0), ..record(&name, What::Begin, &room.to_string()) };
            shared.recorder.note(&begin);
            client.subscribe(*room, Some(Seq(0)), Mode::Live).await.context("subscribe")?;
        }
        let talker = Talker {
            name: name.clone(),
            client: client.clone(),
            rooms: stage.rooms.clone(),
            shared: shared.clone(),
            random: StdRng::seed_from_u64(seed ^ (number as u64)),
            gate,
        };
        let talks = Some(tokio::spawn(talker.talk(over)));
        Ok(Self { name, _client: client, seen, follows, talks, gate: None })
    }

    /// Waits until the person has the answers to all it sent.
    pub async fn falls_silent(&mut self) {
        if let Some(talks) = self.talks.take() {
            // A panic there is told by the default hook and fails the run, since its sends lack their answers.
            self.gate = talks.await.ok().flatten();
        }
    }

    /// Whether the person was handed everything up to `heads`.
    ///
    /// # Panics
    /// Never: nobody panics with the map in hand.
    #[must_use]
    pub fn has_seen(&self, heads: &BTreeMap<RoomId, Seq>) -> bool {
        let seen = self.seen.lock().expect("nobody panics with the map in hand");
        heads.iter().all(|(room, head)| *head == Seq(0) || seen.get(room).is_some_and(|seq| seq >= head))
    }

    /// Notes that all is quiet, and leaves.
    pub fn leaves(self, shared: &Shared, rooms: &[RoomId]) {
        self.follows.abort();
        for room in rooms {
            shared.recorder.note(&record(&self.name, What::Quiet, &room.to_string()));
        }
    }
}

/// Writes down what comes.
async fn follow(name: String, mut updates: Updates, shared: Arc<Shared>, seen: Seen) {
    let mut connections = 0_u64;
    while let Some(update) = updates.next().await {
        let handed = |room: RoomId, seq: Seq, key: Option<MessageKey>| {
            let key = key.map(|key| key.to_string());
            shared.recorder.note(&Record {
                seq: Some(seq.0),
                key,
                ..record(&name, What::Event, &room.to_string())
            });
            shared.tally.events.fetch_add(1, Ordering::Relaxed);
            seen.lock().expect("nobody panics with the map in hand").insert(room, seq);
        };
        match update {
            Update::Event(event, _) => {
                let key = event.key.filter(|_| matches!(event.body, EventBody::MessageCreated(_)));
                handed(event.room, event.seq, key);
            }
            Update::LaterEvent { room, seq, .. } => handed(room, seq, None),
            Update::Lost { room, from, to } => {
                let (from, to) = (Some(from.0), Some(to.0));
                shared.recorder.note(&Record { from, to, ..record(&name, What::Gap, &room.to_string()) });
                // Nothing is purged in a run, so nothing may be gone.
                shared.trouble(format!("{name} was told that {from:?} to {to:?} of {room} are gone from the log"));
            }
            Update::Connected => {
                connections += 1;
                if connections > 1 {
                    shared.tally.resumes.fetch_add(1, Ordering::Relaxed);
                    let at: Vec<_> = {
                        let seen = seen.lock().expect("nobody panics with the map in hand");
                        seen.iter().map(|(room, seq)| (*room, *seq)).collect()
                    };
                    for (room, seq) in at {
                        let resume = record(&name, What::Resume, &room.to_string());
                        shared.recorder.note(&Record { seq: Some(seq.0), ..resume });
                    }
                }
            }
            Update::Rewound { room, head } => {
                shared
                    .trouble(format!("{name} was told that the log of {room} ends at {head}, before what it saw"));
            }
            Update::Unfollowed { room, refusal } => {
                shared.trouble(format!("{name} was told that it follows {room} no longer: {refusal}"));
            }
            Update::Ended(code) => shared.trouble(format!("{name} was sent away with {code}")),
            Update::Push(_) | Update::Disconnected => {}
        }
    }
}

/// What became of a send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Became {
    /// It is stored.
    Acked(Seq),
    /// The last try was refused, or not answered.
    Nothing(RequestError),
}

/// Sends a message until it is answered or `within` is over; each try is a line.
pub async fn send(
    shared: &Shared,
    name: &str,
    client: &Client,
    room: RoomId,
    text: &str,
    within: Duration,
) -> Became {
    let (key, until) = (MessageKey(Uuid::now_v7()), Instant::now() + within);
    let line = |what| Record { key: Some(key.to_string()), ..record(name, what, &room.to_string()) };
    for tries in 0_u32.. {
        shared.recorder.note(&line(What::Send));
        let op = Op::Send { room, key, text: text.to_owned(), reply_to: None, files: Vec::new(), retry: tries > 0 };
        let answer =
            client.request(op).await.and_then(|ok| Sent::deserialize(ok).map_err(|_| RequestError::Unreadable));
        let error = match answer {
            Ok(sent) => {
                shared.recorder.note(&Record { seq: Some(sent.seq.0), ..line(What::Ack) });
                shared.tally.acks.fetch_add(1, Ordering::Relaxed);
                return Became::Acked(sent.seq);
            }
            Err(error) => error,
        };
        let (what, last) = match &error {
            RequestError::Refused(refusal) => (What::Fail, !refusal.retryable),
            RequestError::Disconnected | RequestError::Late => (What::Unknown, false),
            RequestError::Ended(_) | RequestError::NoToken(_) | RequestError::Unreadable => (What::Unknown, true),
        };
        shared.recorder.note(&line(what));
        if last || Instant::now() >= until {
            shared.tally.failed.fetch_add(1, Ordering::Relaxed);
            shared.trouble(format!("{name} sent {key} to {room} {} times, and at last: {error}", tries + 1));
            return Became::Nothing(error);
        }
        shared.tally.again.fetch_add(1, Ordering::Relaxed);
        sleep(Duration::from_millis(rand::random_range(AGAIN_MS))).await;
    }
    Became::Nothing(RequestError::Late)
}

/// The half of a person that does things.
struct Talker {
    name: String,
    client: Client,
    rooms: Vec<RoomId>,
    shared: Arc<Shared>,
    random: StdRng,
    gate: Option<Gate>,
}

impl Talker {
    async fn talk(mut self, over: watch::Receiver<bool>) -> Option<Gate> {
        let mut said = 0_u64;
        let mut moves_at = self.stays();
        while !*over.borrow() {
            let room = self.rooms[self.random.random_range(0..self.rooms.len())];
            if self.random.random_range(0..READS_ONE_IN) == 0 {
                self.read(room).await;
            } else {
                let burst = self.random.random_range(1..=BURST_MAX);
                let texts: Vec<String> = (0..burst)
                    .map(|_| {
                        said += 1;
                        format!("{} {} says {said}", crate::canary::TEXT, self.name)
                    })
                    .collect();
                // They are handed to the connection in this order, and each is tried by itself from there.
                join_all(
                    texts.iter().map(|text| send(&self.shared, &self.name, &self.client, room, text, SEND_WITHIN)),
                )
                .await;
            }
            if let Some(gate) = self.gate.as_ref().filter(|_| Instant::now() >= moves_at) {
                gate.move_on();
                moves_at = self.stays();
            }
            sleep(Duration::from_millis(self.random.random_range(PAUSE_MS))).await;
        }
        self.gate
    }

    fn stays(&mut self) -> Instant {
        Instant::now() + Duration::from_millis(self.random.random_range(STAYS_MS))
    }

    /// Reads the newest page; one that does not come is nothing to complain about while things break.
    async fn read(&mut self, room: RoomId) {
        let line = |what| record(&self.name, what, &room.to_string());
        self.shared.recorder.note(&line(What::Read));
        let Ok(page) = self.client.history(room, Page::Newest, PAGE).await else { return };
        let first = page.messages.first().map_or(1, |message| message.seq.0);
        let events = page
            .messages
            .iter()
            .filter_map(|message| message.key.map(|key| (message.seq.0, key.to_string())))
            .collect();
        let from = Some(if page.more_before { first } else { 1 });
        self.shared.recorder.note(&Record { from, to: Some(page.head.0), events, ..line(What::History) });
        self.shared.tally.reads.fetch_add(1, Ordering::Relaxed);
    }
}
