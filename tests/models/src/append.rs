//! The fence, the activation of a shard, the append, and the retry under a key.
//!
//! One shard with one room. The control plane gives the shard to one node after the other, each time at a new epoch.
//! A node raises the fence to its epoch, loads the log, and appends what clients send, one statement at a
//! time. Clients send any message to any node at any time, as often as they like: that is loss, delay, doubling and
//! retry at once. A statement that was sent may reach the store at any later time, any number of times, or
//! never, also after its node has crashed. Its answer may get lost: then the node resolves what became of it from the
//! fence's epoch and head, and the store sees to it that what was not committed by then never is.
//!
//! The next place of the shard is [`ShardPlace::given_to`], the product's own.
//!
//! # Bounds
//!
//! [`NODES`] nodes, [`KEYS`] messages, [`EPOCHS`] epochs, [`CRASHES`] crashes.

use std::collections::BTreeSet;

use hubbub_cluster::control::{Place, ShardPlace};
use hubbub_protocol::ids::{Epoch, NodeId};
use stateright::{Model, Property};

mod steps;

/// Nodes that may own the shard.
pub const NODES: u8 = 2;
/// Messages that clients send, each under its key.
pub const KEYS: u8 = 2;
/// Times the shard is given to a node.
pub const EPOCHS: u8 = 3;
/// Crashes in all.
pub const CRASHES: u8 = 2;

/// Invariant 1.
pub const FENCED: &str = "an append is accepted only at the fence's epoch";
/// Invariants 2 and 6.
pub const FRESH: &str = "every activation has an epoch of its own";
/// Invariant 3.
pub const READABLE: &str = "what was acknowledged stays readable under its number";
/// Invariant 4.
pub const DENSE: &str = "the room's numbers are dense from one";
/// Invariant 5, first half.
pub const ONCE: &str = "a key is stored at most once";
/// Invariant 5, second half.
pub const SAME_ANSWER: &str = "a repeat is given the first number";
/// Invariant 7.
pub const WHOLE_HEAD: &str = "an owner at the fence's epoch knows every append accepted before";
/// Shows that the model can do what it is for.
pub const BOTH_ACKED: &str = "both messages are acknowledged";
/// Shows that the fence is put to work.
pub const FENCE_REFUSED: &str = "an append of a former owner reaches the store and is refused";

/// A design with one thing changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mutant {
    /// The design as it is.
    None,
    /// Acknowledges when a message is taken in.
    AckBeforeCommit,
    /// Does not look whether a key is there already.
    NoDedupe,
    /// The store compares the head alone.
    NoEpochCheck,
    /// A node that starts again goes on at the epoch it had.
    SameEpoch,
    /// The store compares the epoch alone.
    NoHeadCheck,
    /// An owner reads the log before it raises the fence, and hears what became of each append.
    StaleHead,
    /// The same, and it may have to resolve what became of one.
    StaleHeadResolved,
    /// What was resolved as not committed may still land.
    LateStatement,
}

/// A node, as far as the shard goes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Node {
    /// Does not own it.
    Idle,
    /// Has read the log but not raised the fence: what a mutant does.
    Read { head: u8, keys: [u8; KEYS as usize] },
    /// Has raised the fence to its epoch.
    Raised { epoch: u8 },
    /// Orders it. `keys` holds the number of each stored message, 0 for none; `sent` the key under way.
    Owner { epoch: u8, head: u8, keys: [u8; KEYS as usize], sent: Option<u8> },
}

/// A statement on its way: store `key` as number `seq`, if the fence is at `epoch` and the head at `seq - 1`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Statement {
    /// Who sent it, and the number of that node's start: an answer reaches no other process.
    pub node: u8,
    /// See `node`.
    pub start: u8,
    /// The owner's epoch.
    pub epoch: u8,
    /// What to store.
    pub key: u8,
    /// As which number.
    pub seq: u8,
}

/// Everything there is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct State {
    /// The owner and the epoch that the control plane has decided on; epoch 0 before the first.
    pub place: (u8, u8),
    /// Which node each epoch was given to, by `epoch - 1`.
    pub given: Vec<u8>,
    /// The nodes.
    pub nodes: [Node; NODES as usize],
    /// How often each has started again.
    pub starts: [u8; NODES as usize],
    /// Epochs up to this one are not for this start of a node.
    pub floor: [u8; NODES as usize],
    /// The fence's epoch.
    pub fence: u8,
    /// The fence's head.
    pub head: u8,
    /// The log: numbers and keys.
    pub log: Vec<(u8, u8)>,
    /// Every statement ever sent: each may still come.
    pub statements: BTreeSet<Statement>,
    /// By key: the numbers that were acknowledged.
    pub acked: [BTreeSet<u8>; KEYS as usize],
    /// How often the fence was raised to each epoch.
    pub raised: [u8; EPOCHS as usize],
    /// Whether an append was accepted at another epoch than the fence's.
    pub unfenced: bool,
    /// Whether an append of a former owner was refused.
    pub refused: bool,
}

/// What may happen next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// The control plane gives the shard to a node.
    Give { node: u8 },
    /// A node reads the log too early.
    ReadEarly { node: u8 },
    /// A node that was given `epoch` raises the fence.
    Raise { node: u8, epoch: u8 },
    /// It reads the log, and owns the shard.
    Load { node: u8 },
    /// A client's message reaches a node.
    Send { node: u8, key: u8 },
    /// A statement reaches the store. `heard`: its answer reaches the node.
    Execute { statement: Statement, heard: bool },
    /// A node in doubt asks the store for its fence.
    Resolve { node: u8 },
    /// A node crashes and starts again.
    Crash { node: u8 },
}

/// The model of one design.
#[derive(Debug, Clone)]
pub struct Append {
    /// Which.
    pub mutant: Mutant,
}

impl Append {
    /// The place after `place`, by the product's own rule.
    fn given_to(place: (u8, u8), node: u8) -> (u8, u8) {
        let before = ShardPlace {
            owner: NodeId(u64::from(place.0)),
            epoch: Epoch(u64::from(place.1)),
            place: Place::Stable,
            cell: 0,
        };
        let after = before.given_to(NodeId(u64::from(node)));
        let small = |n: u64| u8::try_from(n).unwrap_or(u8::MAX);
        (small(after.owner.0), small(after.epoch.0))
    }
}

impl Model for Append {
    type State = State;
    type Action = Step;

    fn init_states(&self) -> Vec<State> {
        vec![State {
            place: (0, 0),
            given: Vec::new(),
            nodes: std::array::from_fn(|_| Node::Idle),
            starts: [0; NODES as usize],
            floor: [0; NODES as usize],
            fence: 0,
            head: 0,
            log: Vec::new(),
            statements: BTreeSet::new(),
            acked: std::array::from_fn(|_| BTreeSet::new()),
            raised: [0; EPOCHS as usize],
            unfenced: false,
            refused: false,
        }]
    }

    fn actions(&self, state: &State, steps: &mut Vec<Step>) {
        self.possible(state, steps);
    }

    fn next_state(&self, state: &State, step: Step) -> Option<State> {
        let mut next = state.clone();
        self.take(&mut next, step);
        (next != *state).then_some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(FENCED, |_, state: &State| !state.unfenced),
            Property::always(FRESH, |_, state: &State| state.raised.iter().all(|times| *times <= 1)),
            Property::always(READABLE, |_, state: &State| {
                (0..).zip(&state.acked).all(|(key, seqs)| seqs.iter().all(|seq| state.log.contains(&(*seq, key))))
            }),
            Property::always(DENSE, |_, state: &State| {
                (1..).zip(&state.log).all(|(seq, stored)| stored.0 == seq)
                    && usize::from(state.head) == state.log.len()
            }),
            Property::always(ONCE, |_, state: &State| {
                (0..KEYS).all(|key| state.log.iter().filter(|stored| stored.1 == key).count() <= 1)
            }),
            Property::always(SAME_ANSWER, |_, state: &State| state.acked.iter().all(|seqs| seqs.len() <= 1)),
            Property::always(WHOLE_HEAD, |_, state: &State| {
                state.nodes.iter().all(|node| match node {
                    Node::Owner { epoch, head, sent: None, .. } => *epoch != state.fence || *head == state.head,
                    _ => true,
                })
            }),
            Property::sometimes(BOTH_ACKED, |_, state: &State| state.acked.iter().all(|seqs| !seqs.is_empty())),
            Property::sometimes(FENCE_REFUSED, |_, state: &State| state.refused),
        ]
    }
}
