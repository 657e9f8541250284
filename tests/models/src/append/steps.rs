//! The steps of [`super::Append`]: when each may come, and what it does.

use super::{Append, CRASHES, EPOCHS, KEYS, Mutant, NODES, Node, State, Statement, Step};

impl Append {
    /// Puts every step that may come next into `steps`.
    pub(super) fn possible(&self, state: &State, steps: &mut Vec<Step>) {
        if state.place.1 < EPOCHS {
            steps.extend((0..NODES).map(|node| Step::Give { node }));
        }
        for (node, now) in (0..NODES).zip(&state.nodes) {
            match now {
                Node::Idle if self.reads_early() => steps.push(Step::ReadEarly { node }),
                Node::Idle | Node::Read { .. } => steps.extend(self.raises(state, node)),
                Node::Raised { .. } => steps.push(Step::Load { node }),
                Node::Owner { sent, .. } => {
                    steps.extend((0..KEYS).map(|key| Step::Send { node, key }));
                    if self.mutant != Mutant::StaleHead {
                        steps.extend(sent.map(|_| Step::Resolve { node }));
                    }
                }
            }
            if state.starts.iter().sum::<u8>() < CRASHES {
                steps.push(Step::Crash { node });
            }
        }
        for &statement in &state.statements {
            steps.extend([true, false].map(|heard| Step::Execute { statement, heard }));
        }
    }

    const fn reads_early(&self) -> bool {
        matches!(self.mutant, Mutant::StaleHead | Mutant::StaleHeadResolved)
    }

    /// A node may try every epoch it was given since it started; what it knows may be old.
    fn raises(&self, state: &State, node: u8) -> Vec<Step> {
        let floor = state.floor[usize::from(node)];
        let given = (1..).zip(&state.given).filter(|(epoch, to)| **to == node && *epoch > floor);
        given.map(|(epoch, _)| Step::Raise { node, epoch }).collect()
    }

    /// Carries `step` out.
    pub(super) fn take(&self, state: &mut State, step: Step) {
        match step {
            Step::Give { node } => {
                state.place = Self::given_to(state.place, node);
                state.given.push(node);
            }
            Step::ReadEarly { node } => {
                state.nodes[usize::from(node)] = Node::Read { head: state.head, keys: stored(state) };
            }
            Step::Raise { node, epoch } => self.raise(state, node, epoch),
            Step::Load { node } => {
                if let Node::Raised { epoch } = state.nodes[usize::from(node)] {
                    let (head, keys) = (state.head, stored(state));
                    state.nodes[usize::from(node)] = Node::Owner { epoch, head, keys, sent: None };
                }
            }
            Step::Send { node, key } => self.send(state, node, key),
            Step::Execute { statement, heard } => self.execute(state, statement, heard),
            Step::Resolve { node } => self.resolve(state, node),
            Step::Crash { node } => self.crash(state, node),
        }
    }

    fn raise(&self, state: &mut State, node: u8, epoch: u8) {
        let again = self.mutant == Mutant::SameEpoch && epoch == state.fence;
        if epoch <= state.fence && !again {
            // The store has refused: this epoch is over.
            state.floor[usize::from(node)] = epoch;
            state.nodes[usize::from(node)] = Node::Idle;
            return;
        }
        state.fence = epoch;
        let times = &mut state.raised[usize::from(epoch - 1)];
        // Twice is as wrong as thrice.
        *times = (*times + 1).min(2);
        state.floor[usize::from(node)] = epoch;
        state.nodes[usize::from(node)] = match state.nodes[usize::from(node)] {
            Node::Read { head, keys } => Node::Owner { epoch, head, keys, sent: None },
            _ => Node::Raised { epoch },
        };
    }

    fn send(&self, state: &mut State, node: u8, key: u8) {
        let start = state.starts[usize::from(node)];
        let Node::Owner { epoch, head, keys, sent } = &mut state.nodes[usize::from(node)] else { return };
        let known = keys[usize::from(key)];
        if known > 0 && self.mutant != Mutant::NoDedupe {
            state.acked[usize::from(key)].insert(known);
        } else if sent.is_none() && *head < KEYS + 1 {
            let seq = *head + 1;
            *sent = Some(key);
            state.statements.insert(Statement { node, start, epoch: *epoch, key, seq });
            if self.mutant == Mutant::AckBeforeCommit {
                state.acked[usize::from(key)].insert(seq);
            }
        }
    }

    /// The fenced statement: all of it or nothing. The log's primary key refuses a number that is there.
    fn execute(&self, state: &mut State, statement: Statement, heard: bool) {
        let epoch_holds = statement.epoch == state.fence || self.mutant == Mutant::NoEpochCheck;
        let head_holds = statement.seq == state.head + 1 || self.mutant == Mutant::NoHeadCheck;
        let is_free = state.log.iter().all(|stored| stored.0 != statement.seq);
        let accepted = epoch_holds && head_holds && is_free;
        if accepted {
            state.unfenced |= statement.epoch != state.fence;
            state.head = statement.seq;
            state.log.push((statement.seq, statement.key));
        } else {
            state.refused |= !epoch_holds;
        }
        let asked = state.starts[usize::from(statement.node)] == statement.start
            && matches!(state.nodes[usize::from(statement.node)], Node::Owner { epoch, head, sent: Some(key), .. }
                if (epoch, head + 1, key) == (statement.epoch, statement.seq, statement.key));
        if heard && asked {
            if accepted { committed(state, statement.node) } else { self.stop(state, statement.node) }
        }
    }

    /// Mine and new: it was committed. Mine and old: it was not, and cannot be any more, so the owner goes on with
    /// something else. Otherwise the owner is none any more.
    fn resolve(&self, state: &mut State, node: u8) {
        let Node::Owner { epoch, head, sent, .. } = &mut state.nodes[usize::from(node)] else { return };
        if *epoch == state.fence && state.head == *head + 1 {
            committed(state, node);
        } else if *epoch == state.fence && state.head == *head {
            *sent = None;
            let (epoch, start) = (*epoch, state.starts[usize::from(node)]);
            let is_late = |late: &Statement| (late.node, late.start, late.epoch) == (node, start, epoch);
            if self.mutant != Mutant::LateStatement {
                state.statements.retain(|late| !is_late(late));
            }
        } else {
            self.stop(state, node);
        }
    }

    /// Reloads, at a fresh epoch.
    fn stop(&self, state: &mut State, node: u8) {
        state.nodes[usize::from(node)] = Node::Idle;
    }

    fn crash(&self, state: &mut State, node: u8) {
        state.nodes[usize::from(node)] = Node::Idle;
        state.starts[usize::from(node)] += 1;
        // A new start is given the shard anew, at a fresh epoch.
        state.floor[usize::from(node)] = if self.mutant == Mutant::SameEpoch { 0 } else { state.place.1 };
    }
}

/// The number of each stored key, 0 for none; the first, where a mutant has stored it twice.
fn stored(state: &State) -> [u8; KEYS as usize] {
    std::array::from_fn(|key| {
        let first = state.log.iter().find(|stored| usize::from(stored.1) == key);
        first.map_or(0, |stored| stored.0)
    })
}

/// What the owner had under way is on disk: it says so.
fn committed(state: &mut State, node: u8) {
    let Node::Owner { head, keys, sent, .. } = &mut state.nodes[usize::from(node)] else { return };
    let Some(key) = sent.take() else { return };
    *head += 1;
    keys[usize::from(key)] = *head;
    state.acked[usize::from(key)].insert(*head);
}
