//! Searching a model to its end, and what came out.

use std::{fmt::Debug, hash::Hash};

use stateright::{Checker, HasDiscoveries, Model};

/// Most visits of states in one search, repeats counted. One that runs away ends here, and proves nothing.
pub const VISITS_MAX: usize = 30_000_000;

/// What a search of all states has found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// States that can be reached.
    pub states: usize,
    /// Steps on the way to the state that is farthest away.
    pub depth: usize,
    /// The properties that some state breaks, for an `always`, or shows, for a `sometimes`; in order of their names.
    pub names: Vec<&'static str>,
}

/// Visits every state of `model`, one thread, breadth first, and prints how many there are.
///
/// # Panics
/// When there are more than [`VISITS_MAX`] visits.
#[must_use]
#[expect(clippy::print_stdout, reason = "the figures of docs/verification.md are read off the tests' output")]
pub fn search<M>(model: &M) -> Found
where
    M: Model + Clone + Debug + Send + Sync + 'static,
    M::State: Clone + Debug + PartialEq + Hash + Send + Sync + 'static,
    M::Action: Clone + Debug + PartialEq,
{
    let checker = visit(model, None);
    assert!(checker.state_count() < VISITS_MAX, "the search did not end within {VISITS_MAX} visits");
    let mut names: Vec<_> = checker.discoveries().into_keys().collect();
    names.sort_unstable();
    let found = Found { states: checker.unique_state_count(), depth: checker.max_depth() - 1, names };
    println!("{model:?}: {found:?}");
    found
}

/// The steps of a shortest way to a state that breaks or shows `property`, and prints them.
///
/// The checker keeps the last way it meets, not the first, so the search is repeated with ever deeper bounds.
///
/// # Panics
/// When no way has at most `steps_max` steps.
#[must_use]
#[expect(clippy::print_stdout, reason = "a way to a fault is read by whoever wonders how it comes about")]
pub fn shortest_way<M>(model: &M, property: &'static str, steps_max: usize) -> Vec<String>
where
    M: Model + Clone + Debug + Send + Sync + 'static,
    M::State: Clone + Debug + PartialEq + Hash + Send + Sync + 'static,
    M::Action: Clone + Debug + PartialEq,
{
    for bound in 0..=steps_max {
        if let Some(path) = visit(model, Some(bound)).discovery(property) {
            let way: Vec<_> = path.into_actions().iter().map(|step| format!("{step:?}")).collect();
            println!("{model:?}, \"{property}\", {} steps:\n{}", way.len(), way.join("\n"));
            return way;
        }
    }
    panic!("no state within {steps_max} steps of {model:?} tells of \"{property}\"");
}

/// Visits the states that `steps_max` steps lead to, or all.
fn visit<M>(model: &M, steps_max: Option<usize>) -> impl Checker<M> + use<M>
where
    M: Model + Clone + Send + Sync + 'static,
    M::State: Clone + Debug + PartialEq + Hash + Send + Sync + 'static,
    M::Action: Clone + Debug + PartialEq,
{
    // Ends when no state is left, also where every property has its way already.
    let to_the_end = HasDiscoveries::AllOf(["no property has this name"].into());
    let checker = model.clone().checker().finish_when(to_the_end).target_state_count(VISITS_MAX);
    // The checker counts the first state as one, and does not look at those that reach its bound.
    let checker = if let Some(steps) = steps_max { checker.target_max_depth(steps + 2) } else { checker };
    checker.spawn_bfs().join()
}
