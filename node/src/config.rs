//! How a node is set: a file, then the environment, then flags; checked once, into exact types.
//!
//! `hubbub.toml` has one table per component. `HUBBUB__EDGE__HEARTBEAT=5s` sets `edge.heartbeat`.
//! Every key is declared in [`keys`]; what is read is judged there too.
//!
//! # Failure
//!
//! All that is wrong is found in one go: an unknown key is told with the nearest known one, a wrong
//! value with its key, where it stands, what was found and what is accepted. Passwords are not told.

pub mod given;
pub mod keys;
pub mod reference;
pub mod setting;
pub mod units;

use std::{collections::BTreeMap, fmt, path::Path};

use figment::value::Value;

use self::{
    given::Given,
    keys::{KEYS, Key, TABLES},
};
pub use self::{
    given::Origin,
    keys::{
        AuthSettings, ClusterSettings, EdgeSettings, LimitSettings, ListenConfig, LogConfig, MetricSettings,
        NodeConfig, StoreConfig,
    },
};
use crate::cli::failure::Failure;

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The key it is about, if it is about one.
    pub key: Option<String>,
    /// Where it stands.
    pub origin: Origin,
    /// What is wrong, and what to do.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.origin, self.message)
    }
}

/// The configuration as far as it could be read.
#[derive(Debug, Default)]
pub struct Loaded {
    config: NodeConfig,
    origins: BTreeMap<&'static str, (Origin, String)>,
    problems: Vec<Problem>,
}

impl Loaded {
    /// Reads the file, if there is one, and the environment.
    #[must_use]
    pub fn read(file: Option<&Path>) -> Self {
        Self::of(file, given::of_environment())
    }

    /// Reads the file, if there is one, and what else was given.
    #[must_use]
    pub fn of(file: Option<&Path>, further: Vec<Given>) -> Self {
        let mut loaded = Self::default();
        match file.map(given::of_file) {
            Some(Ok(given)) => given.into_iter().for_each(|given| loaded.take(given)),
            Some(Err(problem)) => loaded.problems.push(problem),
            None => {}
        }
        further.into_iter().for_each(|given| loaded.take(given));
        loaded
    }

    /// Sets `key` by a flag, when that was given.
    #[must_use]
    pub fn flag(mut self, name: &'static str, key: &str, value: Option<impl Into<Value>>) -> Self {
        if let Some(value) = value {
            self.take(Given { key: key.to_owned(), value: value.into(), origin: Origin::Flag(name) });
        }
        self
    }

    fn take(&mut self, Given { key: name, value, origin }: Given) {
        let Some((key, unit)) = known(&name) else {
            if !(TABLES.iter().any(|(table, _)| *table == name) && matches!(value, Value::Dict(..))) {
                self.problems.push(Problem { message: unknown(&name), key: Some(name), origin });
            }
            return;
        };
        let twice =
            self.origins.get(key.name).filter(|(before, under)| before.is_beside(&origin) && *under != name);
        if let Some((_, under)) = twice {
            let message = format!("`{under}` and `{name}` are the same key: keep one");
            self.problems.push(Problem { key: Some(name), origin, message });
            return;
        }
        let read = match (unit, &value) {
            (Some(unit), Value::Num(..)) => Value::from(format!("{}{unit}", setting::found(&value))),
            _ => value.clone(),
        };
        if !(key.set)(&mut self.config, &read) {
            let message = format!("`{name}` is {}, and must be {}", setting::found(&value), (key.accepts)());
            self.problems.push(Problem { key: Some(name.clone()), origin: origin.clone(), message });
        }
        self.origins.insert(key.name, (origin, name));
    }

    /// Where the value of `key` comes from.
    #[must_use]
    pub fn origin(&self, key: &Key) -> Origin {
        self.origins.get(key.name).map_or(Origin::Default, |(origin, _)| origin.clone())
    }

    /// All that is wrong.
    #[must_use]
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// The values, wrong ones left at what they were.
    #[must_use]
    pub const fn config(&self) -> &NodeConfig {
        &self.config
    }

    /// The configuration.
    ///
    /// # Errors
    /// All that is wrong, in one line.
    pub fn finish(self) -> Result<NodeConfig, Failure> {
        if self.problems.is_empty() {
            return Ok(self.config);
        }
        let problems = self.problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
        Err(Failure::Usage(problems))
    }
}

impl ListenConfig {
    /// Whether clients speak TLS.
    #[must_use]
    pub fn has_tls(&self) -> bool {
        !self.tls_cert.is_empty()
    }
}

impl NodeConfig {
    /// Reads the file, if there is one, and the environment.
    ///
    /// # Errors
    /// All that is wrong, in one line.
    pub fn read(file: Option<&Path>) -> Result<Self, Failure> {
        Loaded::read(file).finish()
    }
}

/// The key of that name, with the unit of a plain number if it is the name for those.
fn known(name: &str) -> Option<(&'static Key, Option<&'static str>)> {
    KEYS.iter().find_map(|key| match key.number {
        Some((number, unit)) if number == name => Some((key, Some(unit))),
        _ => (key.name == name).then_some((key, None)),
    })
}

fn unknown(name: &str) -> String {
    let names = KEYS.iter().flat_map(|key| std::iter::once(key.name).chain(key.number.map(|(name, _)| name)));
    let nearest = names.map(|known| (distance(name, known), known)).min();
    match nearest.filter(|(far, known)| *far <= known.len() / 2) {
        Some((_, known)) => format!("there is no key `{name}`; did you mean `{known}`?"),
        None => format!("there is no key `{name}`: `hubbub config reference` lists those there are"),
    }
}

/// Letters to change, add or leave out to come from one word to the other.
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (at, letter) in one.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = at + 1;
        for (place, known) in other.iter().enumerate() {
            let changed = diagonal + usize::from(letter != *known);
            diagonal = row[place + 1];
            row[place + 1] = changed.min(row[place] + 1).min(row[place + 1] + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests;
