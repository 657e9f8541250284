//! Handing a shard over: from `Moving` to the next owner, without a message lost, doubled or out of order.
//!
//! One shard with one room, two nodes, and an edge through which one session sends its messages in order. Somebody else
//! sends one message, to either node, as often as they like. The control
//! plane is the product's [`Control::apply`]: it begins moves, ends them when the owner says that it has let go, or
//! without its word when it is silent for too long, and takes them back. Each node and the edge learn of the map when
//! they learn of it.
//!
//! The edge has one batch of asks under way at a time, and asks the owner it believes in, again and again, under the
//! same keys, until every ask of the batch is answered (`actors/src/peers/forward.rs`). An ask may arrive at any later
//! time, any number of times, or never. A statement arrives at any later time or never, unless the owner has resolved
//! that it was not committed.
//!
//! # Bounds
//!
//! [`KEYS`] messages of the session and one other, [`EPOCHS`] epochs, [`CANCELS`] moves taken back.

use std::collections::BTreeSet;

use hubbub_cluster::control::Control;
use stateright::{Model, Property};

mod map;
mod steps;

/// Messages of the session, in the order of their keys from 1.
pub const KEYS: u8 = 2;
/// The key of the message that somebody else sends.
pub const OTHER: u8 = KEYS + 1;
/// Epochs: one more than there are moves.
pub const EPOCHS: u8 = 3;
/// Moves taken back.
pub const CANCELS: u8 = 1;

/// Invariants 3 and 11.
pub const KEPT: &str = "what was acknowledged is readable under its number";
/// Invariants 5 and 11.
pub const ONCE: &str = "a key is stored once and answered with one number";
/// Invariant 9.
pub const IN_ORDER: &str = "the session's messages are stored in the order it sent them";
/// Invariant 1.
pub const FENCED: &str = "an append is accepted only at the fence's epoch";
/// Invariant 2.
pub const ONE_OWNER: &str = "no two nodes own the shard at one epoch";
/// Shows that the model can do what it is for.
pub const ALL_MOVED: &str = "all is acknowledged after two moves, and both nodes stored some of it";
/// Shows that the fence is put to work.
pub const LATE: &str = "an append of the old owner is under way when the new one owns the shard";

/// What of the design is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Design {
    /// An owner that lets go waits for the append under way.
    pub waits: bool,
    /// The store compares epoch and head. The primary key is always there.
    pub fence: bool,
    /// The leader ends the move of an owner that is silent.
    pub ends_silent_moves: bool,
    /// The edge waits for the answers to one batch before it sends the next.
    pub one_batch: bool,
}

impl Design {
    /// All of it.
    pub const WHOLE: Self = Self { waits: true, fence: true, ends_silent_moves: true, one_batch: true };
}

/// Where the shard is: its owner (0 or 1), its epoch, and whether it is on its way to the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Placed {
    /// The owner.
    pub owner: u8,
    /// The epoch.
    pub epoch: u8,
    /// Whether it is moving.
    pub moving: bool,
}

/// What an owner knows.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Owner {
    /// The epoch it raised the fence to.
    pub epoch: u8,
    /// The room's head.
    pub head: u8,
    /// The number of each stored key, 0 for none.
    pub keys: [u8; OTHER as usize],
    /// The key under way to the store.
    pub sent: Option<u8>,
}

/// A statement on its way to the store: `key` as number `seq`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Statement {
    /// Whose.
    pub node: u8,
    /// At which epoch.
    pub epoch: u8,
    /// What.
    pub key: u8,
    /// As which number.
    pub seq: u8,
}

/// A batch of asks on its way: the keys from `first` to `last`, to `node`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ask {
    /// To whom.
    pub node: u8,
    /// The first key.
    pub first: u8,
    /// The last.
    pub last: u8,
}

/// Everything there is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct State {
    /// What the control plane has decided.
    pub place: Placed,
    /// What the nodes and, last, the edge believe; of a shard that is another's they know only that.
    pub views: [Placed; 3],
    /// The nodes that own the shard, or think so.
    pub owners: [Option<Owner>; 2],
    /// Epochs whose owner has said that it let go.
    pub released: BTreeSet<u8>,
    /// Moves taken back.
    pub cancels: u8,
    /// The fence's epoch.
    pub fence: u8,
    /// The log, number by number: the key, and who stored it.
    pub log: Vec<(u8, u8)>,
    /// Every statement that may still come.
    pub statements: BTreeSet<Statement>,
    /// Every batch that may still come.
    pub asks: BTreeSet<Ask>,
    /// The edge's batch under way.
    pub batch: Option<(u8, u8)>,
    /// By key, the number it was answered with, 0 for none.
    pub acked: [u8; OTHER as usize],
    /// Whether some key was answered with two numbers.
    pub two_answers: bool,
    /// Whether an append was accepted at another epoch than the fence's.
    pub unfenced: bool,
}

/// What may happen next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// The leader begins a move to the other node.
    Begin,
    /// The leader takes it back.
    Cancel,
    /// The leader ends it without the owner's word.
    EndSilent,
    /// A command of an owner that let go at `epoch` is carried out.
    Finish { epoch: u8 },
    /// A node, or the edge as number 2, learns of the map.
    Learn { who: u8 },
    /// A node that the map names raises the fence, loads the log, and owns the shard.
    Activate { node: u8 },
    /// An owner has let go, and says so.
    Release { node: u8 },
    /// The edge asks for all up to `last`, or asks again.
    Ask { last: u8 },
    /// The other message reaches a node.
    Other { node: u8 },
    /// A batch reaches a node.
    Take { ask: Ask },
    /// The edge has every answer to its batch.
    Answered,
    /// A statement reaches the store. `heard`: its answer reaches the node.
    Execute { statement: Statement, heard: bool },
    /// An owner in doubt asks the store.
    Resolve { node: u8 },
}

/// The model of one design.
#[derive(Clone)]
pub struct Handoff {
    /// Which.
    pub design: Design,
    /// A founded cluster of both nodes, for the product's rules to work on.
    control: Control,
}

impl std::fmt::Debug for Handoff {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.design.fmt(f)
    }
}

impl Handoff {
    /// The model of `design`.
    #[must_use]
    pub fn new(design: Design) -> Self {
        Self { design, control: map::founded() }
    }
}

impl Model for Handoff {
    type State = State;
    type Action = Step;

    fn init_states(&self) -> Vec<State> {
        let place = Placed { owner: 0, epoch: 1, moving: false };
        vec![State {
            place,
            views: [place, Placed { epoch: 0, ..place }, Placed { epoch: 0, ..place }],
            owners: [None, None],
            released: BTreeSet::new(),
            cancels: 0,
            fence: 0,
            log: Vec::new(),
            statements: BTreeSet::new(),
            asks: BTreeSet::new(),
            batch: None,
            acked: [0; OTHER as usize],
            two_answers: false,
            unfenced: false,
        }]
    }

    fn actions(&self, state: &State, steps: &mut Vec<Step>) {
        self.possible(state, steps);
    }

    fn next_state(&self, state: &State, step: Step) -> Option<State> {
        let mut next = state.clone();
        self.carry_out(&mut next, step);
        (next != *state).then_some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(KEPT, |_, state: &State| {
                (1..)
                    .zip(state.acked)
                    .filter(|(_, seq)| *seq > 0)
                    .all(|(key, seq)| state.log.get(usize::from(seq) - 1).is_some_and(|stored| stored.0 == key))
            }),
            Property::always(ONCE, |_, state: &State| {
                let keys: BTreeSet<u8> = state.log.iter().map(|stored| stored.0).collect();
                keys.len() == state.log.len() && !state.two_answers
            }),
            Property::always(IN_ORDER, |_, state: &State| {
                state.log.iter().map(|stored| stored.0).filter(|key| *key <= KEYS).is_sorted()
            }),
            Property::always(FENCED, |_, state: &State| !state.unfenced),
            Property::always(ONE_OWNER, |_, state: &State| match &state.owners {
                [Some(one), Some(other)] => one.epoch != other.epoch,
                _ => true,
            }),
            Property::sometimes(ALL_MOVED, |_, state: &State| {
                let nodes: BTreeSet<u8> = state.log.iter().map(|stored| stored.1).collect();
                state.place.epoch == EPOCHS && state.acked.iter().all(|seq| *seq > 0) && nodes.len() == 2
            }),
            Property::sometimes(LATE, |_, state: &State| {
                let next = u8::try_from(state.log.len() + 1).unwrap_or(u8::MAX);
                state.statements.iter().any(|late| late.epoch < state.fence && late.seq == next)
            }),
        ]
    }
}
