//! The lease: which heartbeats a leader may confirm, and when it may call a node dead.
//!
//! Voters elect leaders, term by term; one that was deposed may not know for ever. A member beats to whichever voter
//! it takes for the leader; beats travel as long as they like. A leader collects beats and asks the voters whether it
//! still leads; when a majority says so, what was collected *before it asked* is confirmed, and the lease holds for
//! [`LEASE`] ticks from when the beat was sent. A leader calls the member dead when it has led, and heard nothing,
//! for as long as a lease.
//!
//! This is the design of `cluster/src/runtime/acks.rs`, which is interwoven with tasks and openraft, so the steps here
//! are the model's own.
//!
//! # Bounds
//!
//! [`VOTERS`] voters, [`TERMS`] terms, [`TICKS`] ticks of one clock, [`BEATS`] beats.

use std::collections::BTreeSet;

use stateright::{Model, Property};

/// Nodes that vote.
pub const VOTERS: u8 = 3;
/// Elections.
pub const TERMS: u8 = 2;
/// How long a lease is.
pub const LEASE: u8 = 2;
/// How far the clock goes.
pub const TICKS: u8 = 4;
/// Beats of the member.
pub const BEATS: u8 = 3;

/// Invariant 13.
pub const CONFIRMED: &str = "no beat is confirmed by a leader that was deposed before it arrived";
/// What a lease is for.
pub const NOT_DEAD: &str = "nobody is called dead while its lease holds";
/// Shows that the model can do what it is for.
pub const EXTENDED: &str = "a beat is confirmed in the second term";
/// Shows that a silent node is found.
pub const FOUND_DEAD: &str = "a silent member is called dead";

/// A design with one thing changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mutant {
    /// The design as it is.
    None,
    /// A leader confirms what it hears without asking.
    NoRound,
    /// What is heard while the voters are asked is confirmed with the rest.
    JoinsRunningRound,
    /// A lease counts from its confirmation.
    CountsFromAnswer,
    /// A new leader calls dead at once whom it has not heard.
    HastyLeader,
}

/// A beat that has arrived: when it was sent, and the newest term anybody led in then.
type Beat = (u8, u8);

/// A voter.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Voter {
    /// The newest term it knows.
    pub term: u8,
    /// The term it believes to lead in, and when that began.
    pub leads: Option<(u8, u8)>,
    /// When it heard a beat last.
    pub heard: Option<u8>,
    /// Beats that wait for the next round.
    pub waiting: BTreeSet<Beat>,
    /// The round under way: the beats it is for, and who has said yes.
    pub round: Option<(BTreeSet<Beat>, BTreeSet<u8>)>,
}

/// Everything there is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct State {
    /// The clock.
    pub now: u8,
    /// The voters.
    pub voters: [Voter; VOTERS as usize],
    /// Beats sent so far.
    pub beats: u8,
    /// Beats under way, by when they were sent.
    pub flying: BTreeSet<u8>,
    /// When the member's lease ends.
    pub lease: u8,
    /// Whether somebody has called it dead.
    pub dead: bool,
    /// Whether that was while its lease held.
    pub wrongly: bool,
    /// Whether a beat was confirmed by a leader deposed before it arrived.
    pub unconfirmed: bool,
    /// Whether one was confirmed in the last term.
    pub extended: bool,
}

/// What may happen next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Time passes.
    Tick,
    /// A voter is elected with the vote of another.
    Elect { leader: u8, by: u8 },
    /// The member sends a beat.
    Beat,
    /// A beat arrives.
    Arrive { sent: u8, at: u8 },
    /// A leader begins to ask.
    Ask { leader: u8 },
    /// A voter is asked: it says yes, or the leader learns that it leads no more.
    Say { voter: u8, to: u8 },
    /// A majority has said yes.
    Confirm { leader: u8 },
    /// A leader calls the member dead.
    CallDead { leader: u8 },
}

/// The model of one design.
#[derive(Debug, Clone)]
pub struct Lease {
    /// Which.
    pub mutant: Mutant,
}

impl Lease {
    fn confirm(&self, state: &mut State, term: u8, beats: &BTreeSet<Beat>) {
        for &(sent, newest) in beats {
            state.unconfirmed |= newest > term;
            state.extended |= term == TERMS;
            let from = if self.mutant == Mutant::CountsFromAnswer { state.now } else { sent };
            state.lease = state.lease.max(from + LEASE);
        }
    }

    fn may_call_dead(&self, state: &State, voter: &Voter) -> bool {
        let Some((term, since)) = voter.leads else { return false };
        // A leader that was deposed may think so as well, but its proposal is not committed.
        if state.voters.iter().any(|other| other.term > term) {
            return false;
        }
        let since = if self.mutant == Mutant::HastyLeader { 0 } else { since };
        state.now >= since + LEASE && voter.heard.is_none_or(|heard| state.now >= heard + LEASE)
    }

    fn arrive(&self, state: &mut State, sent: u8, at: u8) {
        let newest = state.voters.iter().filter_map(|voter| voter.leads).map(|(term, _)| term).max().unwrap_or(0);
        let now = state.now;
        let voter = &mut state.voters[usize::from(at)];
        let Some((term, _)) = voter.leads else { return };
        state.flying.remove(&sent);
        voter.heard = Some(now);
        let beat = (sent, newest);
        match &mut voter.round {
            _ if self.mutant == Mutant::NoRound => self.confirm(state, term, &[beat].into()),
            Some((beats, _)) if self.mutant == Mutant::JoinsRunningRound => drop(beats.insert(beat)),
            _ => drop(voter.waiting.insert(beat)),
        }
    }

    fn elect(state: &mut State, leader: u8, by: u8) {
        let term = 1 + state.voters.iter().map(|voter| voter.term).max().unwrap_or(0);
        for voter in [leader, by] {
            state.voters[usize::from(voter)] = Voter { term, ..Voter::default() };
        }
        state.voters[usize::from(leader)].leads = Some((term, state.now));
    }

    fn say(state: &mut State, voter: u8, to: u8) {
        let term = state.voters[usize::from(voter)].term;
        let leader = &mut state.voters[usize::from(to)];
        match (leader.leads, &mut leader.round) {
            (Some((leads, _)), Some((_, yes))) if term <= leads => {
                yes.insert(voter);
                state.voters[usize::from(voter)].term = leads;
            }
            _ => *leader = Voter { term: leader.term.max(term), ..Voter::default() },
        }
    }
}

impl Model for Lease {
    type State = State;
    type Action = Step;

    fn init_states(&self) -> Vec<State> {
        let mut state = State {
            now: 0,
            voters: std::array::from_fn(|_| Voter::default()),
            beats: 0,
            flying: BTreeSet::new(),
            lease: 0,
            dead: false,
            wrongly: false,
            unconfirmed: false,
            extended: false,
        };
        Self::elect(&mut state, 0, 1);
        vec![state]
    }

    fn actions(&self, state: &State, steps: &mut Vec<Step>) {
        if state.now < TICKS {
            steps.push(Step::Tick);
        }
        if !state.dead && state.beats < BEATS {
            steps.push(Step::Beat);
        }
        for (number, voter) in (0..VOTERS).zip(&state.voters) {
            let others = (0..VOTERS).filter(|other| *other != number);
            if state.voters.iter().all(|voter| voter.term < TERMS) {
                steps.extend(others.clone().map(|by| Step::Elect { leader: number, by }));
            }
            if voter.leads.is_none() {
                continue;
            }
            steps.extend(state.flying.iter().map(|&sent| Step::Arrive { sent, at: number }));
            match &voter.round {
                None if !voter.waiting.is_empty() => steps.push(Step::Ask { leader: number }),
                None => {}
                Some((_, yes)) => {
                    steps.extend(
                        others.filter(|voter| !yes.contains(voter)).map(|voter| Step::Say { voter, to: number }),
                    );
                    if yes.len() > usize::from(VOTERS / 2) {
                        steps.push(Step::Confirm { leader: number });
                    }
                }
            }
            if !state.dead && self.may_call_dead(state, voter) {
                steps.push(Step::CallDead { leader: number });
            }
        }
    }

    fn next_state(&self, state: &State, step: Step) -> Option<State> {
        let mut next = state.clone();
        match step {
            Step::Tick => next.now += 1,
            Step::Elect { leader, by } => Self::elect(&mut next, leader, by),
            Step::Beat => {
                next.beats += u8::from(next.flying.insert(next.now));
            }
            Step::Arrive { sent, at } => self.arrive(&mut next, sent, at),
            Step::Ask { leader } => {
                let voter = &mut next.voters[usize::from(leader)];
                voter.round = Some((std::mem::take(&mut voter.waiting), [leader].into()));
            }
            Step::Say { voter, to } => Self::say(&mut next, voter, to),
            Step::Confirm { leader } => {
                let voter = &mut next.voters[usize::from(leader)];
                if let (Some((term, _)), Some((beats, _))) = (voter.leads, voter.round.take()) {
                    self.confirm(&mut next, term, &beats);
                }
            }
            Step::CallDead { .. } => {
                next.dead = true;
                next.wrongly = next.now < next.lease;
            }
        }
        (next != *state).then_some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(CONFIRMED, |_, state: &State| !state.unconfirmed),
            Property::always(NOT_DEAD, |_, state: &State| !state.wrongly),
            Property::sometimes(EXTENDED, |_, state: &State| state.extended),
            Property::sometimes(FOUND_DEAD, |_, state: &State| state.dead),
        ]
    }
}
