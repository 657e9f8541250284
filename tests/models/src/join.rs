//! Joining: who a token admits, and under which number.
//!
//! Every step is an entry of the Raft log, carried out by the product's [`Control::apply`]. Candidates join and try
//! again, before and after the token's end; a proposal may stand in the log twice; nodes are removed, and come back
//! with the key they had.
//!
//! # Bounds
//!
//! [`CANDIDATES`] candidates, one token for [`USES`] of them, [`CHANGES`] entries that change anything.

use std::{
    collections::BTreeSet,
    hash::{Hash, Hasher},
};

use hubbub_cluster::control::{
    Answer, Command, Control, MemberState, NewMember, Request, RequestId, Role, Token, TokenId, VersionRange,
    state, wire,
};
use hubbub_protocol::ids::NodeId;
use stateright::{Model, Property};

/// Nodes that want to join.
pub const CANDIDATES: u8 = 3;
/// How many the token admits.
pub const USES: u8 = 2;
/// Entries after which a state has no next one.
pub const CHANGES: u8 = 6;

/// Invariant 15.
pub const WITHIN_USES: &str = "a token admits no more nodes than it says";
/// Invariant 15.
pub const BEFORE_ITS_END: &str = "a token admits nobody after its end";
/// Invariant 14.
pub const NEW_NUMBERS: &str = "no number is given to a second node";
/// A lost answer does no harm.
pub const SAME_NUMBER: &str = "a member that joins again with its key is given its number";
/// Invariant 14.
pub const REVOKED: &str = "a removed node is revoked and no member";
/// Shows that the model can do what it is for.
pub const ALL_USED: &str = "the token has admitted as many as it says, and refused another";
/// Shows that nodes leave and come back.
pub const CAME_BACK: &str = "a removed node is a member again, under another number";

const TOKEN: TokenId = TokenId(1);
const END_MS: u64 = 1_000;
/// The first entry after the cluster was founded.
const FIRST_INDEX: u64 = 10;

/// A design with one thing changed, around the product's rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mutant {
    /// The design as it is.
    None,
    /// A use of the token is not written down.
    UsesForgotten,
    /// The number of a node is not the index of its own entry.
    IndexRepeated,
    /// A member's key is not looked for: what a retry would be if each made a new key.
    KeyForgotten,
}

/// Everything there is.
#[derive(Debug, Clone, PartialEq)]
pub struct State {
    /// The product's facts.
    pub control: Control,
    /// Entries so far that changed something.
    pub changes: u8,
    /// Each admission: candidate, number, whether the token was over.
    pub admitted: Vec<(u8, u64, bool)>,
    /// Numbers of removed nodes.
    pub removed: BTreeSet<u64>,
    /// Whether a member was answered another number than its own.
    pub renumbered: bool,
    /// Whether the token refused somebody before its end.
    pub refused: bool,
}

impl Hash for State {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        let facts = wire::control_to_bytes(&self.control).expect("a few members are within the bounds");
        (facts, self.changes, &self.admitted, &self.removed, self.renumbered, self.refused).hash(hasher);
    }
}

/// An entry of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// A candidate joins. `late`: after the token's end. `named`: under the name of its one request, so that a second
    /// such entry is the same proposal twice.
    Join { candidate: u8, late: bool, named: bool },
    /// Two candidates in one entry.
    JoinTogether { first: u8, second: u8 },
    /// A node is removed.
    Remove { node: u64 },
}

/// The model of one design.
#[derive(Debug, Clone)]
pub struct Join {
    /// Which.
    pub mutant: Mutant,
}

impl Join {
    fn request(&self, candidate: u8, late: bool, named: bool, changes: u8) -> Request {
        let id = named.then_some(RequestId { proposer: u128::from(candidate) + 1, n: 1 });
        let now_ms = if late { END_MS } else { END_MS - 1 };
        let mut node = member(candidate + 1);
        if self.mutant == Mutant::KeyForgotten {
            node.key_sha256[1] = changes + 1;
            node.name = format!("node-{candidate}-{changes}");
            node.data_dir += 100 * u128::from(changes);
        }
        Request { id, command: Command::Join { token: TOKEN, node, now_ms } }
    }

    fn admit(&self, next: &mut State, candidates: &[(u8, bool, bool)]) {
        let index = match self.mutant {
            Mutant::IndexRepeated => FIRST_INDEX,
            _ => FIRST_INDEX + u64::from(next.changes),
        };
        let before = next.control.clone();
        let requests =
            candidates.iter().map(|(candidate, late, named)| self.request(*candidate, *late, *named, next.changes));
        let answers = next.control.apply(index, requests.collect());
        for (&(candidate, late, _), answer) in candidates.iter().zip(answers) {
            let known =
                next.admitted.iter().filter(|(of, number, _)| *of == candidate && !next.removed.contains(number));
            let known = known.map(|(_, number, _)| *number).next_back();
            match (answer, known) {
                // A proposal that stands in the log twice is answered as the first time, though its node was removed.
                (Answer::Joined { node: NodeId(number), .. }, _) if next.removed.contains(&number) => {}
                (Answer::Joined { node: NodeId(number), .. }, Some(known)) => next.renumbered |= number != known,
                (Answer::Joined { node: NodeId(number), .. }, None) => {
                    next.admitted.push((candidate, number, late));
                }
                (_, None) => next.refused |= !late,
                (_, Some(_)) => {}
            }
        }
        if self.mutant == Mutant::UsesForgotten {
            next.control.tokens = before.tokens;
        }
    }
}

impl Model for Join {
    type State = State;
    type Action = Step;

    fn init_states(&self) -> Vec<State> {
        let mut control = Control::default();
        let ca = state::CaFacts { roots: vec![vec![0x30]], sealed_key: vec![9] };
        let token =
            Token { secret_sha256: [3; 32], role: Role::Voter, uses_left: u32::from(USES), expires_ms: END_MS };
        for (index, command) in [
            Command::Found { cluster: 0xC1, shard_bits: 0, version: 1, ca, founder: member(0) },
            Command::CreateToken { id: TOKEN, token, now_ms: 0 },
        ]
        .into_iter()
        .enumerate()
        {
            control.apply(index as u64 + 1, vec![Request { id: None, command }]);
        }
        assert!(control.members.values().all(|member| member.state == MemberState::Up), "the founder is up");
        let (admitted, removed) = (Vec::new(), BTreeSet::new());
        vec![State { control, changes: 0, admitted, removed, renumbered: false, refused: false }]
    }

    fn actions(&self, state: &State, steps: &mut Vec<Step>) {
        if state.changes >= CHANGES {
            return;
        }
        for candidate in 0..CANDIDATES {
            for (late, named) in [(false, false), (false, true), (true, false), (true, true)] {
                steps.push(Step::Join { candidate, late, named });
            }
            let others = (0..CANDIDATES).filter(|other| *other != candidate);
            steps.extend(others.map(|second| Step::JoinTogether { first: candidate, second }));
        }
        steps.extend(state.admitted.iter().map(|(_, number, _)| Step::Remove { node: *number }));
    }

    fn next_state(&self, state: &State, step: Step) -> Option<State> {
        let mut next = state.clone();
        match step {
            Step::Join { candidate, late, named } => self.admit(&mut next, &[(candidate, late, named)]),
            Step::JoinTogether { first, second } => {
                self.admit(&mut next, &[(first, false, false), (second, false, false)]);
            }
            Step::Remove { node } => {
                let request = Request { id: None, command: Command::Remove { node: NodeId(node) } };
                let answers = next.control.apply(FIRST_INDEX + u64::from(next.changes), vec![request]);
                if answers == [Answer::Done] {
                    next.removed.insert(node);
                }
            }
        }
        if next == *state {
            return None;
        }
        next.changes += 1;
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(WITHIN_USES, |_, state: &State| state.admitted.len() <= usize::from(USES)),
            Property::always(BEFORE_ITS_END, |_, state: &State| state.admitted.iter().all(|(_, _, late)| !late)),
            Property::always(NEW_NUMBERS, |_, state: &State| {
                let numbers: BTreeSet<_> = state.admitted.iter().map(|(_, number, _)| number).collect();
                numbers.len() == state.admitted.len()
            }),
            Property::always(SAME_NUMBER, |_, state: &State| !state.renumbered),
            Property::always(REVOKED, |_, state: &State| {
                let control = &state.control;
                state
                    .removed
                    .iter()
                    .map(|number| NodeId(*number))
                    .all(|node| control.revoked.contains(&node) && !control.members.contains_key(&node))
            }),
            Property::sometimes(ALL_USED, |_, state: &State| {
                state.admitted.len() == usize::from(USES) && state.refused
            }),
            Property::sometimes(CAME_BACK, |_, state: &State| {
                state.admitted.iter().any(|(candidate, number, _)| {
                    state.removed.contains(number)
                        && state.admitted.iter().any(|(again, other, _)| again == candidate && other != number)
                })
            }),
        ]
    }
}

fn member(number: u8) -> NewMember {
    NewMember {
        name: format!("node-{number}"),
        addresses: vec!["10.0.0.1:7400".into()],
        zone: String::new(),
        region: String::new(),
        capacity: 1,
        role: Role::Voter,
        versions: VersionRange { min: 1, max: 1 },
        key_sha256: [number; 32],
        data_dir: u128::from(number),
    }
}
