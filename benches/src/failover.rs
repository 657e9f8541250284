//! The death of a node under load: how long the rooms that it ordered take no message.
//!
//! The chaos rig measures the same with nothing else at work, a hundred times (`tests/chaos/run --measure kill`). Here
//! guests talk in every room all the while, and each of them is judged.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde::Serialize;
use tokio::time::sleep_until;

use crate::ledger::Verdict;
use crate::party::Arrived;
use crate::peer::Peer;
use crate::peer::hubbub::HubbubPeer;
use crate::reconnect::{latency_of, sends};
use crate::recorder::{Latency, summary};
use crate::schedule::{Case, Schedule, Timing};

const LEAD: Duration = Duration::from_millis(500);
const WARM_UP: Duration = Duration::from_secs(3);
/// How long guests go on after the death.
const AFTER: Duration = Duration::from_secs(12);
const DRAIN_MAX: Duration = Duration::from_secs(30);
const JOINING_AT_ONCE: usize = 32;

/// 12 rooms, some for each of three nodes; two senders for each, who send in it five times a second.
pub(crate) const CASE: Case =
    Case { name: "failover", rooms: 12, members_per_room: 50, senders: 24, messages_per_s: 60 };

#[derive(Debug, Clone, Serialize)]
pub(crate) struct FailoverReport {
    pub(crate) peer: String,
    pub(crate) run: u32,
    /// Whether the node that died led the cluster.
    pub(crate) led: bool,
    /// Rooms that it ordered.
    pub(crate) rooms: usize,
    /// From its death to the first answer to a message that was due after it, by room.
    pub(crate) pause: Latency,
    /// Such rooms in which none was answered any more.
    pub(crate) never: usize,
    pub(crate) delivery: Latency,
    pub(crate) verdict: Verdict,
}

/// Kills the node that orders the first room of a run, starts it again, and waits until all is well.
pub(crate) async fn failover(peer: &Arc<HubbubPeer>, case: Case, run: u32) -> Result<FailoverReport> {
    ensure!(peer.nodes() > 2, "a cluster of {} cannot lose any node; measure hubbub3", peer.nodes());
    peer.settled().await?;
    let names = peer.prepare(case.rooms, case.clients()).await?;
    let seats: Vec<usize> = (0..case.clients()).map(|guest| case.room_of_client(guest)).collect();
    let arrived = Arrived::gather(peer, &names, &seats, JOINING_AT_ONCE).await?;
    let timing = Timing { warm_up: WARM_UP, window: AFTER, drain: DRAIN_MAX };
    let schedule = Schedule::new(case, timing, Instant::now() + LEAD);
    let party = arrived.begin(schedule.clone(), sends(&schedule))?;
    sleep_until(schedule.window_start().into()).await;
    let mut owners = Vec::with_capacity(names.len());
    for name in &names {
        owners.push(peer.owner(name).await?);
    }
    let victim = owners.first().copied().flatten().context("nobody orders the first room")?;
    let led = peer.leader().await == Some(victim);
    let died = Instant::now();
    peer.kill(victim).await?;
    sleep_until(schedule.window_end().into()).await;
    party.drain(DRAIN_MAX).await;
    let outcome = party.finish().await?;
    peer.start_again(victim).await?;

    let answers = outcome.shared.answers.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    let first_in = |room: usize| {
        let of_room = |(number, at): &&(u32, Instant)| {
            schedule.room(*number) == room && schedule.due(*number) > died && *at > died
        };
        answers.iter().filter(of_room).map(|(_, at)| *at - died).min()
    };
    let lost: Vec<usize> = (0..case.rooms).filter(|room| owners[*room] == Some(victim)).collect();
    let pauses: Vec<Duration> = lost.iter().filter_map(|room| first_in(*room)).collect();
    Ok(FailoverReport {
        peer: peer.name().to_owned(),
        run,
        led,
        rooms: lost.len(),
        pause: summary(&pauses)?,
        never: lost.len() - pauses.len(),
        delivery: latency_of(&outcome.shared.recorder),
        verdict: outcome.verdict,
    })
}
