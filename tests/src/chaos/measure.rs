//! Figures of a cluster that loses, restarts and moves nodes, each with the count of broken promises beside it.
//!
//! Every figure is a client's: from the moment the operator or the fault acts, to an answer that a client got.

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, sleep};

use super::{
    ending,
    members::Members,
    people::Shared,
    recorder::Recorder,
    run::{Orders, found},
    stage::Stage,
};
use crate::history;

pub mod kill;
pub mod planned;
pub mod spread;

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Figure {
    /// From the death of a room's owner to the first send that is accepted.
    Kill,
    /// The gap that a steady writer sees when a shard is moved.
    Move,
    /// Sends that fail while all nodes are restarted.
    Rolling,
    /// CPU of three nodes against that of one for the same work.
    Spread,
}

impl std::str::FromStr for Figure {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "kill" => Ok(Self::Kill),
            "move" => Ok(Self::Move),
            "rolling" => Ok(Self::Rolling),
            "spread" => Ok(Self::Spread),
            _ => Err(format!("`{name}` is none of kill, move, rolling, spread")),
        }
    }
}

/// A cluster with a place to meet, and somewhere to write.
#[derive(Debug)]
pub struct Ground {
    /// The nodes.
    pub members: Arc<Members>,
    /// The place.
    pub stage: Stage,
    /// The history.
    pub shared: Arc<Shared>,
}

impl Ground {
    /// Founds a cluster with so many rooms.
    ///
    /// # Errors
    /// What a command of the operator's, or a node, said.
    pub async fn lay(orders: &Orders, rooms: usize) -> anyhow::Result<Self> {
        let members = found(&orders.program, orders.nodes, orders.loopback, &orders.folder).await?;
        let stage = Stage::set(&members.url(0), rooms).await?;
        let recorder = Recorder::create(&orders.folder.join(format!("history-{}.jsonl", orders.nodes)))?;
        let shared = Arc::new(Shared::new(recorder));
        Ok(Self { members, stage, shared })
    }

    /// Reads every room's log from every node, and counts what the checker and the people have to complain of.
    ///
    /// # Errors
    /// When a log cannot be read.
    ///
    /// # Panics
    /// Never: nobody panics with the list in hand.
    pub async fn complaints(&mut self) -> anyhow::Result<Vec<String>> {
        self.stage.owner_anew(&self.members.url(0)).await?;
        ending::read_logs(&self.members, &self.stage, &self.shared).await?;
        let findings = history::check(&self.shared.recorder.read()?);
        let troubles = std::mem::take(&mut *self.shared.troubles.lock().expect("nobody panics with it in hand"));
        Ok(findings.iter().map(ToString::to_string).chain(troubles).collect())
    }
}

/// Waits until all nodes are ready, and then for as long as makes the next measurement one of a settled cluster.
///
/// # Errors
/// Which node is not.
pub async fn settled(members: &Members, rest: Duration) -> anyhow::Result<()> {
    for node in 0..members.len() {
        members.ready_within(node, super::members::READY_WITHIN).await?;
    }
    members.established().await?;
    sleep(rest).await;
    Ok(())
}

/// Times in order.
#[derive(Debug, Default)]
pub struct Times(Vec<Duration>);

impl Times {
    /// Adds one.
    pub fn add(&mut self, time: Duration) {
        let at = self.0.partition_point(|known| *known <= time);
        self.0.insert(at, time);
    }

    /// The smallest time that this share of all does not exceed.
    #[must_use]
    pub fn at(&self, hundredths: usize) -> Option<Duration> {
        let rank = (self.0.len() * hundredths).div_ceil(100).max(1);
        self.0.get(rank - 1).copied()
    }

    /// A line of figures.
    #[must_use]
    pub fn line(&self, what: &str) -> String {
        let ms = |hundredths| self.at(hundredths).map_or(0, |time| time.as_millis());
        format!("{what}: {} times, p50 {} ms, p99 {} ms, max {} ms", self.0.len(), ms(50), ms(99), ms(100))
    }
}

/// How long until `done`, asked every few milliseconds, but at most `within`.
pub async fn until(within: Duration, mut done: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + within;
    while Instant::now() < end {
        if done() {
            return true;
        }
        sleep(Duration::from_millis(5)).await;
    }
    done()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_times_that_were_measured() {
        let mut times = Times::default();
        (1..=100).rev().for_each(|ms| times.add(Duration::from_millis(ms)));
        assert_eq!(times.line("kill"), "kill: 100 times, p50 50 ms, p99 99 ms, max 100 ms");
        assert_eq!(Times::default().at(99), None);
    }
}
