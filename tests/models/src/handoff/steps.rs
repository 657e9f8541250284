//! The steps of [`super::Handoff`]: when each may come, and what it does.

use super::{
    Ask, CANCELS, EPOCHS, Handoff, KEYS, OTHER, Owner, Placed, State, Statement, Step,
    map::{Change, changed},
};

/// The edge's place among the views.
const EDGE: usize = 2;

impl Handoff {
    /// Puts every step that may come next into `steps`.
    pub(super) fn possible(&self, state: &State, steps: &mut Vec<Step>) {
        if state.place.moving {
            steps.extend((state.cancels < CANCELS).then_some(Step::Cancel));
            steps.extend(self.design.ends_silent_moves.then_some(Step::EndSilent));
        } else if state.place.epoch < EPOCHS {
            steps.push(Step::Begin);
        }
        steps.extend(state.released.iter().map(|&epoch| Step::Finish { epoch }));
        steps.extend((0..3).map(|who| Step::Learn { who }));
        for (node, owner) in (0..2).zip(&state.owners) {
            let view = state.views[usize::from(node)];
            match owner {
                Some(Owner { sent, epoch, .. }) => {
                    steps.extend(sent.map(|_| Step::Resolve { node }));
                    let lets_go = is_placed(view, node, *epoch) && view.moving;
                    steps.extend(
                        (lets_go && !(self.design.waits && sent.is_some())).then_some(Step::Release { node }),
                    );
                }
                // An owner of an older epoch has given the shard up when the map says so.
                None if view.owner == node => steps.push(Step::Activate { node }),
                None => {}
            }
        }
        let from = match state.batch {
            None => answered(state) + 1,
            Some((_, last)) if self.design.one_batch => last,
            Some((_, last)) => last + 1,
        };
        let to = if state.batch.is_some() && self.design.one_batch { from } else { KEYS };
        steps.extend((from..=to).map(|last| Step::Ask { last }));
        steps.extend((0..2).map(|node| Step::Other { node }));
        steps.extend(state.asks.iter().map(|&ask| Step::Take { ask }));
        steps.push(Step::Answered);
        for &statement in &state.statements {
            steps.extend([true, false].map(|heard| Step::Execute { statement, heard }));
        }
    }

    /// Carries `step` out.
    pub(super) fn carry_out(&self, state: &mut State, step: Step) {
        match step {
            Step::Begin => self.change(state, Change::Begin),
            Step::Cancel => {
                state.cancels += 1;
                self.change(state, Change::Cancel);
            }
            Step::EndSilent => self.change(state, Change::Finish(state.place.epoch)),
            Step::Finish { epoch } => self.change(state, Change::Finish(epoch)),
            Step::Learn { who } => learn(state, usize::from(who)),
            Step::Activate { node } => activate(state, node),
            Step::Release { node } => {
                if let Some(Owner { epoch, .. }) = state.owners[usize::from(node)] {
                    state.released.insert(epoch);
                }
            }
            Step::Ask { last } => self.ask(state, last),
            Step::Other { node } => take(state, Ask { node, first: OTHER, last: OTHER }),
            Step::Take { ask } => take(state, ask),
            Step::Answered => {
                if let Some((first, last)) = state.batch {
                    let all = (first..=last).all(|key| state.acked[usize::from(key - 1)] > 0);
                    state.batch = if all { None } else { state.batch };
                }
            }
            Step::Execute { statement, heard } => self.execute(state, statement, heard),
            Step::Resolve { node } => resolve(state, node),
        }
    }

    fn change(&self, state: &mut State, change: Change) {
        state.place = changed(&self.control, state.place, change);
        // What names an older epoch changes nothing any more.
        state.released.retain(|epoch| *epoch >= state.place.epoch);
    }

    /// The next batch, or the one under way again, to the owner the edge believes in.
    fn ask(&self, state: &mut State, last: u8) {
        let first = match state.batch {
            Some((first, _)) if self.design.one_batch => first,
            // Without the rule the next goes while the one before is under way.
            Some((_, before)) => before + 1,
            None => answered(state) + 1,
        };
        state.batch = Some((first, last));
        state.asks.insert(Ask { node: state.views[EDGE].owner, first, last });
    }

    /// All or nothing. The log's primary key refuses a number that is there.
    fn execute(&self, state: &mut State, statement: Statement, heard: bool) {
        let Statement { node, epoch, key, seq } = statement;
        let next = u8::try_from(state.log.len() + 1).unwrap_or(u8::MAX);
        let at_fence = epoch == state.fence;
        let accepted = seq == next && (at_fence || !self.design.fence);
        if accepted {
            state.unfenced |= !at_fence;
            state.log.push((key, node));
        }
        // What was refused, and what goes for a number that is taken, will be refused for ever.
        state.statements.retain(|other| *other != statement && usize::from(other.seq) > state.log.len());
        let owner = &mut state.owners[usize::from(node)];
        let asked = owner
            .as_ref()
            .is_some_and(|owner| (owner.epoch, owner.head + 1, owner.sent) == (epoch, seq, Some(key)));
        match (heard && asked, accepted) {
            (true, true) => committed(state, node),
            (true, false) => *owner = None,
            (false, _) => {}
        }
    }
}

fn is_placed(view: Placed, node: u8, epoch: u8) -> bool {
    view.owner == node && view.epoch == epoch
}

/// Keys that are answered, from the first on.
fn answered(state: &State) -> u8 {
    let count = state.acked.iter().take(usize::from(KEYS)).take_while(|seq| **seq > 0).count();
    u8::try_from(count).unwrap_or(KEYS)
}

fn learn(state: &mut State, who: usize) {
    let known = state.place;
    let is_own = usize::from(known.owner) == who;
    state.views[who] = if is_own { known } else { Placed { epoch: 0, moving: false, ..known } };
    let deposed = |owner: &Owner| owner.sent.is_none() && owner.epoch != state.place.epoch;
    if let Some(owner) = state.owners.get_mut(who) {
        *owner = owner.take().filter(|owner| !deposed(owner));
    }
}

fn activate(state: &mut State, node: u8) {
    let epoch = state.views[usize::from(node)].epoch;
    if epoch <= state.fence {
        return;
    }
    state.fence = epoch;
    let mut keys = [0; OTHER as usize];
    for (seq, stored) in (1..).zip(&state.log) {
        keys[usize::from(stored.0 - 1)] = seq;
    }
    let head = u8::try_from(state.log.len()).unwrap_or(u8::MAX);
    state.owners[usize::from(node)] = Some(Owner { epoch, head, keys, sent: None });
}

/// An owner that admits takes the batch's next message; what is stored already is a repeat.
fn take(state: &mut State, ask: Ask) {
    let view = state.views[usize::from(ask.node)];
    let Some(owner) = &mut state.owners[usize::from(ask.node)] else { return };
    if view.moving || !is_placed(view, ask.node, owner.epoch) || owner.sent.is_some() {
        return;
    }
    for key in ask.first..=ask.last {
        let known = owner.keys[usize::from(key - 1)];
        if known == 0 {
            owner.sent = Some(key);
            let seq = owner.head + 1;
            state.statements.insert(Statement { node: ask.node, epoch: owner.epoch, key, seq });
            return;
        }
        let acked = &mut state.acked[usize::from(key - 1)];
        state.two_answers |= *acked > 0 && *acked != known;
        *acked = known;
    }
}

fn committed(state: &mut State, node: u8) {
    let Some(owner) = &mut state.owners[usize::from(node)] else { return };
    let Some(key) = owner.sent.take() else { return };
    owner.head += 1;
    owner.keys[usize::from(key - 1)] = owner.head;
    let acked = &mut state.acked[usize::from(key - 1)];
    state.two_answers |= *acked > 0 && *acked != owner.head;
    *acked = owner.head;
}

/// As in the model of the append: mine and new, mine and old, or not mine.
fn resolve(state: &mut State, node: u8) {
    let head = u8::try_from(state.log.len()).unwrap_or(u8::MAX);
    let Some(owner) = &mut state.owners[usize::from(node)] else { return };
    if owner.epoch == state.fence && head == owner.head + 1 {
        committed(state, node);
    } else if owner.epoch == state.fence && head == owner.head {
        owner.sent = None;
        let epoch = owner.epoch;
        state.statements.retain(|late| (late.node, late.epoch) != (node, epoch));
    } else {
        state.owners[usize::from(node)] = None;
    }
}
