//! Whether the room of [`append`](crate::append) looks to its clients like one log that a single thread keeps.
//!
//! Each message is an operation that begins with the first try and ends with the first answer, however often it was
//! tried, and wherever; whoever reads sees the whole log at once. Stateright's [`LinearizabilityTester`] looks for an
//! order of all operations that such a log could have had, and in which none that had ended before another began
//! comes after it.
//!
//! # Bounds
//!
//! Those of `append`, but for [`EPOCHS`] epochs, [`CRASHES`] crash and [`READS`] read: a state is also its history.

use stateright::{
    Model, Property,
    semantics::{ConsistencyTester as _, LinearizabilityTester, SequentialSpec},
};

use crate::append::{Append, Mutant, State, Step};

/// Times the shard is given to a node.
pub const EPOCHS: usize = 2;
/// Crashes in all.
pub const CRASHES: u8 = 1;
/// Reads in all.
pub const READS: u8 = 1;
/// Who reads; messages are the other threads.
const READER: u8 = u8::MAX;

/// The history can be put in one order.
pub const LINEAR: &str = "answers and reads are those of one log";
/// Shows that the model can do what it is for.
pub const READ_BOTH: &str = "both messages are read";

/// The log as one thread would keep it: keys in their order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Log(Vec<u8>);

/// What is asked of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Asked {
    /// Store a message, unless it is there.
    Send(u8),
    /// Tell all.
    Read,
}

/// What it answers.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Told {
    /// The message's number.
    Number(u8),
    /// The messages.
    Keys(Vec<u8>),
}

impl SequentialSpec for Log {
    type Op = Asked;
    type Ret = Told;

    fn invoke(&mut self, asked: &Asked) -> Told {
        let Asked::Send(key) = asked else { return Told::Keys(self.0.clone()) };
        let at = self.0.iter().position(|stored| stored == key).unwrap_or_else(|| {
            self.0.push(*key);
            self.0.len() - 1
        });
        Told::Number(u8::try_from(at + 1).unwrap_or(u8::MAX))
    }
}

/// Everything there is, and what clients have lived through.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Lived {
    state: State,
    history: LinearizabilityTester<u8, Log>,
    /// Messages that were tried.
    tried: u8,
    reads: u8,
    read_both: bool,
}

/// What may happen next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Deed {
    /// As in the other model.
    Step(Step),
    /// Somebody reads the log.
    Read,
}

/// The model of one design.
#[derive(Debug, Clone)]
pub struct Linear {
    /// Which.
    pub mutant: Mutant,
}

impl Linear {
    const fn within(&self) -> Append {
        Append { mutant: self.mutant }
    }
}

/// Takes down that a message is tried for the first time.
fn tried(lived: &mut Lived, step: &Step) {
    if let Step::Send { key, .. } = step
        && lived.tried & (1 << key) == 0
    {
        lived.tried |= 1 << key;
        lived.history.on_invoke(*key, Asked::Send(*key)).expect("one operation a thread");
    }
}

/// Takes down the answers that are new. A second answer to a message is that to another try.
fn answered(lived: &mut Lived, before: &State) {
    for (key, (numbers, known)) in (0..).zip(lived.state.acked.iter().zip(&before.acked)) {
        for number in numbers.difference(known) {
            if !known.is_empty() {
                lived.history.on_invoke(key, Asked::Send(key)).expect("the first try has its answer");
            }
            lived.history.on_return(key, Told::Number(*number)).expect("it was tried");
        }
    }
}

impl Model for Linear {
    type State = Lived;
    type Action = Deed;

    fn init_states(&self) -> Vec<Lived> {
        let lived = |state| Lived {
            state,
            history: LinearizabilityTester::new(Log::default()),
            tried: 0,
            reads: 0,
            read_both: false,
        };
        self.within().init_states().into_iter().map(lived).collect()
    }

    fn actions(&self, lived: &Lived, deeds: &mut Vec<Deed>) {
        let mut steps = Vec::new();
        self.within().actions(&lived.state, &mut steps);
        let crashed = lived.state.starts.iter().sum::<u8>();
        steps.retain(|step| match step {
            Step::Give { .. } => lived.state.given.len() < EPOCHS,
            Step::Crash { .. } => crashed < CRASHES,
            _ => true,
        });
        deeds.extend(steps.into_iter().map(Deed::Step));
        if lived.reads < READS {
            deeds.push(Deed::Read);
        }
    }

    fn next_state(&self, lived: &Lived, deed: Deed) -> Option<Lived> {
        let mut next = lived.clone();
        match deed {
            Deed::Step(step) => {
                next.state = self.within().next_state(&lived.state, step.clone())?;
                tried(&mut next, &step);
                answered(&mut next, &lived.state);
            }
            Deed::Read => {
                let keys: Vec<u8> = lived.state.log.iter().map(|(_, key)| *key).collect();
                next.reads += 1;
                next.read_both |= keys.len() == 2;
                next.history.on_invret(READER, Asked::Read, Told::Keys(keys)).expect("one operation a thread");
            }
        }
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(LINEAR, |_, lived: &Lived| lived.history.is_consistent()),
            Property::sometimes(READ_BOTH, |_, lived: &Lived| lived.read_both),
        ]
    }
}
