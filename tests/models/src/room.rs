//! One room's rules through crashes, retries and the passing of time. The rules are the product's:
//! every decision is [`RoomCore::decide_post`], every number [`RoomCore::apply`], every memory of keys [`KeyWindow`].
//!
//! One owner, of one room. Clients send any message at any time, as often as they like. What is accepted is on its way
//! to the disk, in order; what was not stored when the owner crashes, or an append fails, may have been stored
//! all the same, from its first event on. The successor begins from the log, with the keys of the last ten minutes.
//! A key that is older is looked for in the log; the log is read at one time, the answer comes at a later one. Neither that
//! nor an append takes as long as a room remembers keys, since the store is given up after seconds.
//!
//! # Bounds
//!
//! [`KEYS`] messages: one of ada's; one of bob's under the same key; one of ada's under a key that is an hour old. [`TIMES`]
//! times, each [`STEP_MS`] after the other and so beyond what a room remembers; [`CRASHES`] crashes.

use std::collections::{BTreeMap, BTreeSet};

use hubbub_actors::room::{
    NewPost,
    core::{Decision, RoomCore, Rules},
    keys::KeyWindow,
};
use hubbub_protocol::{
    event::Event,
    ids::{MessageKey, RoomId, Seq, UserId},
    limits::KEY_WINDOW_MS,
    permissions::Permissions,
    time::Timestamp,
};
use stateright::{Model, Property};

/// Messages that clients send.
pub const KEYS: u8 = 3;
/// Crashes in all.
pub const CRASHES: u8 = 2;
/// Times there are.
pub const TIMES: u8 = 3;
/// From one to the next: eleven minutes.
pub const STEP_MS: i64 = 660_000;

const NOON: Timestamp = Timestamp(1_800_000_000_000);
const ROOM: RoomId = RoomId::from_raw(5);

/// Invariant 5, first half.
pub const ONCE: &str = "a key of an author is stored at most once";
/// Invariant 5, second half.
pub const SAME_ANSWER: &str = "a repeat is given the first number";
/// Invariant 3.
pub const READABLE: &str = "what was acknowledged is stored under its number";
/// The log's times.
pub const FORWARD: &str = "times never go back";
/// Shows that the model can do what it is for.
pub const ALL_ACKED: &str = "all messages are acknowledged";
/// Shows that the window is put to work.
pub const FOUND: &str = "a repeat that was forgotten is found in the log";

/// A design with one thing changed, beside the rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mutant {
    /// The design as it is.
    None,
    /// A successor does not read the keys of the log's end.
    NoKeysLoaded,
    /// A key that may be older than what is remembered is not looked for.
    NoSearch,
    /// A message is acknowledged when it is accepted.
    AckAtAccept,
    /// A repeat of what is on its way is acknowledged at once.
    AckRepeatAtOnce,
    /// What is on its way, or looked for, may take longer than a room remembers.
    NoTimeout,
}

/// A message in the log, or on its way there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Stored {
    key: u8,
    ts: i64,
}

/// A search for a key: from which time on, and what was found, once the log was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Search {
    since: i64,
    read: Option<Option<u8>>,
}

/// Everything there is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct State {
    time: u8,
    crashes: u8,
    log: Vec<Stored>,
    /// How much of the log there was when the owner began, and when that was.
    loaded: usize,
    loaded_at: u8,
    /// Accepted, and not on disk.
    flying: Vec<Stored>,
    searches: BTreeMap<u8, Search>,
    acked: [BTreeSet<u8>; KEYS as usize],
    found: bool,
}

/// What may happen next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Time passes.
    Later,
    /// A client sends a message, for the first time or again.
    Send { key: u8 },
    /// The log is read for a key.
    Look { key: u8 },
    /// The owner hears what was found.
    Hear { key: u8 },
    /// The first event on its way is on disk.
    Commit,
    /// The owner crashes, or an append fails; so many events on their way are on disk.
    Crash { landed: u8 },
}

/// The model of one design.
#[derive(Debug, Clone)]
pub struct Room {
    /// Which.
    pub mutant: Mutant,
}

const fn author(key: u8) -> UserId {
    UserId::from_raw(if key == 1 { 2 } else { 1 })
}

fn post(key: u8) -> NewPost {
    // Version 7: 48 bits of milliseconds, then the version and the variant.
    let made = if key == 2 { NOON.plus_ms(-3_600_000) } else { NOON };
    let bits = (u128::try_from(made.0).unwrap_or(0) << 80) | (7 << 76) | (2 << 62) | 1;
    let key = MessageKey(uuid::Uuid::from_u128(bits));
    NewPost { key, text: "hi".into(), reply_to: None, files: Vec::new(), retry: false }
}

fn small(n: u64) -> u8 {
    u8::try_from(n).unwrap_or(u8::MAX)
}

impl State {
    fn now(&self) -> Timestamp {
        NOON.plus_ms(i64::from(self.time) * STEP_MS)
    }

    fn number_of(&self, at: usize) -> u8 {
        small(at as u64 + 1)
    }
}

impl Room {
    /// The owner's memory: what it loaded, as `actors/src/room/actor/loading.rs` does, and what it accepted since.
    fn core(&self, state: &State) -> RoomCore {
        let began = NOON.plus_ms(i64::from(state.loaded_at) * STEP_MS);
        let since = began.plus_ms(-KEY_WINDOW_MS.cast_signed());
        let mut keys = KeyWindow::new(since);
        let (known, after) = state.log.split_at(state.loaded);
        for (seq, stored) in (1..).zip(known) {
            if stored.ts >= since.0 && self.mutant != Mutant::NoKeysLoaded {
                keys.insert(author(stored.key), post(stored.key).key, Seq(seq), Timestamp(stored.ts));
            }
        }
        let last = known.last().map_or(Timestamp(0), |stored| Timestamp(stored.ts));
        let mut core = RoomCore::new(ROOM, Seq(known.len() as u64), last, keys, Rules::default());
        for stored in after.iter().chain(&state.flying) {
            let decided = Self::decide(&core, stored.key, Timestamp(stored.ts), true);
            match decided {
                Decision::Accept(event) => core.apply(&event),
                other => panic!("it was accepted before: {other:?}"),
            }
        }
        core
    }

    fn decide(core: &RoomCore, key: u8, now: Timestamp, searched: bool) -> Decision {
        let decided = core.decide_post(author(key), Permissions::MEMBER, &post(key), now, searched);
        decided.expect("members may send")
    }

    /// What `actors/src/room/actor/posting.rs` does with a decision.
    fn post(&self, state: &mut State, key: u8, searched: bool) {
        let searched = searched || self.mutant == Mutant::NoSearch;
        match Self::decide(&self.core(state), key, state.now(), searched) {
            Decision::Accept(event) => self.accept(state, key, &event),
            Decision::Repeat(seq, _) => self.repeat(state, key, small(seq.0)),
            Decision::Search(since) => {
                state.searches.entry(key).or_insert(Search { since: since.0, read: None });
            }
        }
    }

    fn accept(&self, state: &mut State, key: u8, event: &Event) {
        assert_eq!(event.seq.0, (state.log.len() + state.flying.len() + 1) as u64, "numbered without a gap");
        state.flying.push(Stored { key, ts: event.ts.0 });
        if self.mutant == Mutant::AckAtAccept {
            state.acked[usize::from(key)].insert(small(event.seq.0));
        }
    }

    /// A repeat of what is on its way is answered when it is on disk.
    fn repeat(&self, state: &mut State, key: u8, number: u8) {
        let on_disk = usize::from(number) <= state.log.len();
        if on_disk || self.mutant == Mutant::AckRepeatAtOnce {
            state.acked[usize::from(key)].insert(number);
        }
    }

    fn hear(&self, state: &mut State, key: u8) {
        match state.searches.remove(&key).and_then(|search| search.read) {
            Some(Some(number)) => {
                state.found = true;
                self.repeat(state, key, number);
            }
            _ => self.post(state, key, true),
        }
    }

    fn commit(state: &mut State) {
        let stored = state.flying.remove(0);
        let number = state.number_of(state.log.len());
        state.log.push(stored);
        state.acked[usize::from(stored.key)].insert(number);
    }

    fn crash(state: &mut State, landed: u8) {
        let landed: Vec<Stored> = state.flying.drain(..).take(usize::from(landed)).collect();
        state.log.extend(landed);
        state.searches.clear();
        (state.loaded, state.loaded_at, state.crashes) = (state.log.len(), state.time, state.crashes + 1);
    }
}

impl Model for Room {
    type State = State;
    type Action = Step;

    fn init_states(&self) -> Vec<State> {
        vec![State::default()]
    }

    fn actions(&self, state: &State, steps: &mut Vec<Step>) {
        let waits = !state.flying.is_empty() || !state.searches.is_empty();
        if state.time + 1 < TIMES && (!waits || self.mutant == Mutant::NoTimeout) {
            steps.push(Step::Later);
        }
        // Twice as many as there are would be a fault already, and is shown by then.
        if state.log.len() + state.flying.len() < usize::from(KEYS) + 1 {
            steps.extend((0..KEYS).map(|key| Step::Send { key }));
        }
        for (key, search) in &state.searches {
            steps.push(if search.read.is_none() { Step::Look { key: *key } } else { Step::Hear { key: *key } });
        }
        if !state.flying.is_empty() {
            steps.push(Step::Commit);
        }
        if state.crashes < CRASHES {
            steps.extend((0..=small(state.flying.len() as u64)).map(|landed| Step::Crash { landed }));
        }
    }

    fn next_state(&self, state: &State, step: Step) -> Option<State> {
        let mut next = state.clone();
        match step {
            Step::Later => next.time += 1,
            Step::Send { key } => self.post(&mut next, key, false),
            Step::Look { key } => {
                let is_it = |stored: &Stored, since: i64| stored.key == key && stored.ts >= since;
                if let Some(search) = next.searches.get_mut(&key) {
                    let at = state.log.iter().position(|stored| is_it(stored, search.since));
                    search.read = Some(at.map(|at| state.number_of(at)));
                }
            }
            Step::Hear { key } => self.hear(&mut next, key),
            Step::Commit => Self::commit(&mut next),
            Step::Crash { landed } => Self::crash(&mut next, landed),
        }
        (next != *state).then_some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(ONCE, |_, state: &State| {
                (0..KEYS).all(|key| state.log.iter().filter(|stored| stored.key == key).count() <= 1)
            }),
            Property::always(SAME_ANSWER, |_, state: &State| state.acked.iter().all(|numbers| numbers.len() <= 1)),
            Property::always(READABLE, |_, state: &State| {
                (0..).zip(&state.acked).all(|(key, numbers)| {
                    numbers.iter().all(|number| {
                        state.log.get(usize::from(*number) - 1).is_some_and(|stored| stored.key == key)
                    })
                })
            }),
            Property::always(FORWARD, |_, state: &State| state.log.is_sorted_by_key(|stored| stored.ts)),
            Property::sometimes(ALL_ACKED, |_, state: &State| {
                state.acked.iter().all(|numbers| !numbers.is_empty())
            }),
            Property::sometimes(FOUND, |_, state: &State| state.found),
        ]
    }
}
