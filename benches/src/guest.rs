//! A client that comes back: what the protocol asks of one that is cut off, at the price of a load generator's.
//!
//! It resumes with its cursor at another node after a random wait, and sends what had no answer once more under the
//! same key. So whatever happens to nodes meanwhile, every message must be shown to every member once and in order.
//!
//! # Invariants
//! - A message is answered once in the books, however often it was sent.
//! - An answer that says "again" is not entered; any other refusal is.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use hubbub_client::Backoff;
use serde_json::Value;
use tokio::sync::mpsc::Receiver;
use tokio::time::{Interval, MissedTickBehavior, interval_at, sleep, sleep_until};
use uuid::Uuid;

use crate::ledger::{Entry, Ledger};
use crate::link::Link;
use crate::party::{Act, Return, Shared, lock};
use crate::peer::Peer;
use crate::peer::hubbub::Session;
use crate::scan::{Heard, text_of};
use crate::schedule::BODY_BYTES;
use crate::scratch;
use crate::ws::{self, Inbox};

/// How often it says that it is there: within the 30 s a node announces.
const HEARTBEAT: Duration = Duration::from_secs(20);
/// From an answer that says "again" to the next try.
const AGAIN_AFTER: Duration = Duration::from_millis(250);
/// Ids of requests that are no sends, above every message's number.
const OTHER: u32 = u32::MAX - 8;

#[derive(Debug)]
pub(crate) struct Guest {
    number: usize,
    /// Which node it was at last, counted on beyond their number.
    place: usize,
    room: Arc<str>,
    shared: Arc<Shared>,
    session: String,
    link: Arc<Link>,
    inbox: Inbox,
    ledger: Arc<Mutex<Ledger>>,
    /// Where to resume from while nothing was shown.
    head: u64,
    unanswered: BTreeMap<u32, Unanswered>,
    acts: Receiver<Act>,
    heartbeat: Interval,
}

#[derive(Debug)]
struct Unanswered {
    key: Uuid,
    again_at: Option<Instant>,
}

/// Who a guest is, and what it is given by its party.
#[derive(Debug)]
pub(crate) struct Invitation {
    pub(crate) number: usize,
    pub(crate) place: usize,
    pub(crate) room: Arc<str>,
    pub(crate) ledger: Arc<Mutex<Ledger>>,
    pub(crate) acts: Receiver<Act>,
    pub(crate) shared: Arc<Shared>,
}

impl Guest {
    pub(crate) fn new(invitation: Invitation, session: Session) -> Self {
        let Invitation { number, place, room, ledger, acts, shared } = invitation;
        // Many that arrive together do not beat together.
        let first = Instant::now() + HEARTBEAT.mul_f64(rand::random());
        let mut heartbeat = interval_at(first.into(), HEARTBEAT);
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let Session { token: session, link, inbox, head } = session;
        let (link, unanswered) = (Arc::new(link), BTreeMap::new());
        Self { number, place, room, shared, session, link, inbox, ledger, head, unanswered, acts, heartbeat }
    }

    /// Stays, and comes back, until its task is ended.
    pub(crate) async fn run(mut self) {
        loop {
            let willingly = self.stay().await;
            self.come_back(willingly).await;
        }
    }

    /// Ends with the connection: true when that was its own will.
    async fn stay(&mut self) -> bool {
        if !self.take(&mut []) {
            return false;
        }
        loop {
            let again_at = self.unanswered.values().filter_map(|waiting| waiting.again_at).min();
            let again = sleep_until(again_at.unwrap_or_else(Instant::now).into());
            let stays = tokio::select! {
                ready = self.link.stream().readable() => ready.is_ok() && self.read(),
                Some(act) = self.acts.recv() => match act {
                    Act::Reconnect => return true,
                    act => self.act(act).await,
                },
                _ = self.heartbeat.tick() => self.say(&format!(r#"{{"id":{},"op":"heartbeat"}}"#, u32::MAX)).await,
                () = again, if again_at.is_some() => self.send_again(Some(Instant::now())).await,
            };
            if !stays {
                return false;
            }
        }
    }

    async fn come_back(&mut self, willingly: bool) {
        self.shared.counts.away.fetch_add(1, Ordering::Relaxed);
        let mut failures = 0;
        let session = loop {
            if !willingly || failures > 0 {
                sleep(Backoff::default().wait(failures, rand::random())).await;
            }
            self.place += usize::from(!willingly || failures > 0);
            match self.session().await {
                Some(session) => break session,
                None => failures += 1,
            }
        };
        (self.session, self.link, self.inbox) = (session.token, Arc::new(session.link), session.inbox);
        lock(&self.shared.returns).push(Return { back: Instant::now(), failures });
        self.shared.counts.away.fetch_sub(1, Ordering::Relaxed);
        // A failure is found again by the next read.
        let _ = self.send_again(None).await;
    }

    /// Its session taken up again, or a new one where the node knows it no more; `None` when neither was to be had.
    async fn session(&self) -> Option<Session> {
        let cursor = lock(&self.ledger).last_seq().unwrap_or(0).max(self.head);
        let (peer, number, place) = (&self.shared.peer, self.number, self.place);
        match peer.resume(number, place, &self.session, &self.room, cursor).await {
            Ok(session) => Some(session),
            Err(error) if error.is::<crate::link::SessionUnknown>() => {
                self.shared.counts.sessions_lost.fetch_add(1, Ordering::Relaxed);
                peer.identify(number, place, &self.room, Some(cursor)).await.ok()
            }
            Err(_) => None,
        }
    }

    /// Reads what has arrived; false when the connection has ended.
    fn read(&mut self) -> bool {
        let link = Arc::clone(&self.link);
        matches!(scratch::read(link.stream(), |fresh| self.take(fresh)), Ok(None | Some(true)))
    }

    fn take(&mut self, fresh: &mut [u8]) -> bool {
        lock(&self.shared.recorder).bytes(fresh.len());
        let mut inbox = std::mem::take(&mut self.inbox);
        let mut open = true;
        let whole = inbox.drain(fresh, |opcode, payload| {
            open &= opcode != ws::CLOSE;
            if opcode == ws::TEXT {
                self.enter(payload);
            }
        });
        self.inbox = inbox;
        whole.is_ok() && open
    }

    fn enter(&mut self, payload: &[u8]) {
        let mut heard = self.shared.peer.hear(payload, &self.room);
        if let Heard::Reply { id, ok } = heard {
            heard = self.answered(id, ok, payload);
        }
        let entry = lock(&self.ledger).enter(heard, &self.shared.schedule);
        let now = Instant::now();
        match entry {
            Entry::Delivery { number } => lock(&self.shared.recorder).delivery(number, now, &self.shared.schedule),
            Entry::Answer { number } => {
                lock(&self.shared.recorder).answer(number, now, &self.shared.schedule);
                lock(&self.shared.answers).push((number, now));
            }
            Entry::Nothing => {}
        }
    }

    /// What a reply is to be entered as.
    fn answered(&mut self, id: u32, ok: bool, payload: &[u8]) -> Heard {
        let counts = &self.shared.counts;
        let Some(waiting) = self.unanswered.get_mut(&id) else {
            counts.other_answers.fetch_add(1, Ordering::Relaxed);
            counts.other_refusals.fetch_add(u64::from(!ok), Ordering::Relaxed);
            return Heard::Other;
        };
        if !ok && is_retryable(payload) {
            counts.again.fetch_add(1, Ordering::Relaxed);
            waiting.again_at = Some(Instant::now() + AGAIN_AFTER);
            return Heard::Other;
        }
        self.unanswered.remove(&id);
        Heard::Reply { id, ok }
    }

    async fn act(&mut self, act: Act) -> bool {
        let room = &self.room;
        let request = match act {
            Act::Send(number) => {
                let key = Uuid::now_v7();
                self.unanswered.insert(number, Unanswered { key, again_at: None });
                self.shared.peer.say(number, room, key, &text_of(number, BODY_BYTES))
            }
            Act::React => {
                let seq = lock(&self.ledger).last_message();
                let Some(seq) = seq else { return true };
                format!(r#"{{"id":{OTHER},"op":"react","room":"{room}","seq":{seq},"emoji":"👍"}}"#)
            }
            Act::Type => format!(r#"{{"id":{OTHER},"op":"typing","room":"{room}"}}"#),
            Act::Page => format!(r#"{{"id":{OTHER},"op":"history","room":"{room}","limit":50}}"#),
            // Its connection ends instead.
            Act::Reconnect => return false,
        };
        self.say(&request).await
    }

    /// Sends unanswered messages again: those whose time has come, or all.
    async fn send_again(&mut self, due: Option<Instant>) -> bool {
        let mut requests = Vec::new();
        for (number, waiting) in &mut self.unanswered {
            if due.is_none_or(|now| waiting.again_at.is_some_and(|at| at <= now)) {
                waiting.again_at = None;
                let text = text_of(*number, BODY_BYTES);
                let first = self.shared.peer.say(*number, &self.room, waiting.key, &text);
                requests.push(format!(r#"{},"retry":true}}"#, first.trim_end_matches('}')));
            }
        }
        for request in requests {
            if !self.say(&request).await {
                return false;
            }
        }
        true
    }

    async fn say(&self, request: &str) -> bool {
        self.link.send(ws::TEXT, request.as_bytes()).await.is_ok()
    }
}

fn is_retryable(refusal: &[u8]) -> bool {
    let refusal: Value = serde_json::from_slice(refusal).unwrap_or_default();
    refusal["error"]["retryable"] == true
}
