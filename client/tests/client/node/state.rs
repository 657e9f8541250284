//! What the node keeps: logs, keys, sessions and lines; and which promises it breaks.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use hubbub_client::rest::{EventPage, RestError};
use hubbub_protocol::{
    error::{ErrorCode, Refusal},
    event::{Created, Event, EventBody},
    ids::{MessageKey, RoomId, Seq, UserId},
    op::Mode,
    time::Timestamp,
};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use serde_json::{Value, json};
use tokio::sync::mpsc;

/// How often, from 0 to 1, a promise is broken, and other habits.
#[derive(Debug, Clone)]
pub(crate) struct Faults {
    pub(crate) seed: u64,
    /// An event is not sent, and nothing said.
    pub(crate) drop: f64,
    /// An event is sent twice.
    pub(crate) double: f64,
    /// An event is sent after the next one.
    pub(crate) late: f64,
    /// A `gap` is sent in an event's place.
    pub(crate) gap: f64,
    /// The connection is cut in an event's place.
    pub(crate) cut: f64,
    /// A page of the log is refused for now.
    pub(crate) no_page: f64,
    /// Events one resume replays in a room.
    pub(crate) replay_max: u64,
    pub(crate) heartbeat_ms: u64,
    /// Nothing is answered, and nothing said.
    pub(crate) mute: bool,
}

impl Default for Faults {
    fn default() -> Self {
        Self {
            seed: 1,
            drop: 0.0,
            double: 0.0,
            late: 0.0,
            gap: 0.0,
            cut: 0.0,
            no_page: 0.0,
            replay_max: 1_000,
            heartbeat_ms: 30_000,
            mute: false,
        }
    }
}

/// What goes over a line.
#[derive(Debug, Clone)]
pub(crate) enum Out {
    Frame(Value),
    Event(Bytes),
    Close(u16),
    Cut,
}

#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) session: String,
    pub(crate) out: mpsc::Sender<Out>,
    late: Option<Bytes>,
}

/// Everything the node keeps.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) faults: Faults,
    logs: BTreeMap<RoomId, Vec<Bytes>>,
    keys: HashMap<MessageKey, u64>,
    pub(crate) sessions: HashMap<String, BTreeMap<RoomId, Mode>>,
    pub(crate) lines: BTreeMap<u64, Line>,
    /// Requests in the order they came.
    pub(crate) asked: Vec<Value>,
    /// Answers to the next sends; `None` commits and cuts the connection before the answer.
    pub(crate) send_answers: Vec<Option<Refusal>>,
    /// Tokens that are refused, with the code.
    pub(crate) bad_tokens: HashMap<String, u16>,
    pub(crate) connections: u64,
    /// Events that a line has taken.
    pub(crate) sent: u64,
    random: StdRng,
}

impl State {
    pub(crate) fn new(faults: Faults) -> Self {
        Self {
            random: StdRng::seed_from_u64(faults.seed),
            faults,
            logs: BTreeMap::new(),
            keys: HashMap::new(),
            sessions: HashMap::new(),
            lines: BTreeMap::new(),
            asked: Vec::new(),
            send_answers: Vec::new(),
            bad_tokens: HashMap::new(),
            connections: 0,
            sent: 0,
        }
    }

    pub(crate) fn logs(&self) -> &BTreeMap<RoomId, Vec<Bytes>> {
        &self.logs
    }

    pub(crate) fn heads(&self) -> BTreeMap<RoomId, Seq> {
        self.logs.iter().map(|(room, log)| (*room, Seq(log.len() as u64))).collect()
    }

    pub(crate) fn head(&self, room: RoomId) -> u64 {
        self.logs.get(&room).map_or(0, |log| log.len() as u64)
    }

    /// Keeps every promise from now on.
    pub(crate) fn calm(&mut self) {
        self.faults = Faults { replay_max: self.faults.replay_max, ..Faults::default() };
    }

    /// How often `op` was asked.
    pub(crate) fn count(&self, op: &str) -> usize {
        self.asked.iter().filter(|asked| asked["op"] == op).count()
    }

    fn chance(&mut self, chance: f64) -> bool {
        self.random.random_bool(chance)
    }

    /// Commits a message and sends it to whoever follows the room.
    pub(crate) fn post(&mut self, room: RoomId, key: MessageKey, text: &str) -> (u64, bool) {
        if let Some(seq) = self.keys.get(&key) {
            return (*seq, true);
        }
        let seq = self.head(room) + 1;
        let created = Created { text: text.to_owned(), ..Created::default() };
        let (by, ts) = (UserId::from_raw(9), Timestamp(1_795_435_200_000));
        let body = EventBody::MessageCreated(Box::new(created));
        let push = Event { room, seq: Seq(seq), ts, by, key: Some(key), body }.encode();
        self.append(room, push);
        self.keys.insert(key, seq);
        (seq, false)
    }

    /// Commits a push as it is.
    pub(crate) fn append(&mut self, room: RoomId, push: Bytes) {
        self.logs.entry(room).or_default().push(push.clone());
        let follows = |line: &Line| {
            self.sessions.get(&line.session).is_some_and(|rooms| rooms.get(&room) == Some(&Mode::Live))
        };
        let lines: Vec<u64> = self.lines.iter().filter(|(_, line)| follows(line)).map(|(id, _)| *id).collect();
        lines.into_iter().for_each(|line| self.deliver(line, room, push.clone()));
    }

    fn deliver(&mut self, id: u64, room: RoomId, push: Bytes) {
        let Faults { drop, double, late, gap, cut, .. } = self.faults.clone();
        let seq = self.head(room);
        let mut outs = Vec::new();
        if self.chance(cut) {
            outs.push(Out::Cut);
        } else if self.chance(gap) {
            outs.push(Out::Frame(json!({"ev": "gap", "room": room, "from": seq, "to": seq})));
        } else if !self.chance(drop) {
            let (late, double) = (self.chance(late), self.chance(double));
            let Some(line) = self.lines.get_mut(&id) else { return };
            let before = line.late.take();
            if late {
                line.late = Some(push);
            } else {
                outs.push(Out::Event(push.clone()));
                outs.extend(double.then_some(Out::Event(push)));
            }
            outs.extend(before.map(Out::Event));
        }
        let line = self.lines.get(&id).map(|line| line.out.clone());
        // A line whose queue is full loses what it cannot hold, as a fault like the others.
        outs.into_iter().for_each(|out| std::mem::drop(line.as_ref().map(|line| line.try_send(out))));
    }

    pub(crate) fn join(&mut self, id: u64, session: String, out: mpsc::Sender<Out>) {
        self.lines.insert(id, Line { session, out, late: None });
    }

    /// Sends `out` over every line.
    pub(crate) fn everywhere(&self, out: &Out) {
        self.lines.values().for_each(|line| std::mem::drop(line.out.try_send(out.clone())));
    }

    /// Events after `after`, or none when there are more than may be replayed.
    pub(crate) fn replay(&self, room: RoomId, after: u64) -> Option<Vec<Bytes>> {
        let missed = self.head(room).checked_sub(after)?;
        let from = usize::try_from(after).expect("small");
        let events = || self.logs.get(&room).map(|log| log[from..].to_vec()).unwrap_or_default();
        (missed <= self.faults.replay_max).then(events)
    }

    pub(crate) fn page(&mut self, room: RoomId, after: Seq, limit: usize) -> Result<EventPage, RestError> {
        if self.chance(self.faults.no_page) {
            return Err(RestError::Refused(Refusal::new(ErrorCode::Busy, "later")));
        }
        let Some(log) = self.logs.get(&room) else { return Err(RestError::Refused(Refusal::not_found("room"))) };
        let after = usize::try_from(after.0).expect("small");
        let page: Vec<Bytes> = log.iter().skip(after).take(limit).cloned().collect();
        let next = (after + page.len() < log.len()).then(|| Seq((after + page.len()) as u64));
        Ok((page, next))
    }
}
