//! The reconnect storm: a node dies with all its sessions, and they come back, while others go on talking.
//!
//! In a cluster the last node is killed and its guests go to the others; a single node is started again at once.
//! Senders are spread as everybody is, so some of them are cut off too and repeat what had no answer.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use serde::Serialize;
use tokio::time::{sleep, sleep_until};

use crate::ledger::Verdict;
use crate::party::{Act, Arrived, Cue, Return};
use crate::peer::Peer;
use crate::peer::hubbub::HubbubPeer;
use crate::recorder::{Latency, summary};
use crate::schedule::{Case, Schedule, Timing};

/// Within which a session must be back to count.
const BACK_WITHIN: Duration = Duration::from_secs(10);
/// How long guests go on beyond that.
const AFTERWARDS: Duration = Duration::from_secs(2);
/// From the last join to the first message.
const LEAD: Duration = Duration::from_millis(500);
/// Longest wait for what is still under way.
const DRAIN_MAX: Duration = Duration::from_secs(30);
/// Guests that send.
const SENDERS: usize = 20;

#[derive(Debug, Clone, Copy)]
pub(crate) struct Storm {
    pub(crate) sessions: usize,
    pub(crate) per_room: usize,
    pub(crate) at_once: usize,
    pub(crate) messages_per_s: u32,
    /// How long the database is watched before the death.
    pub(crate) before: Duration,
}

#[derive(Debug, Clone, Serialize)]
pub(crate) struct StormReport {
    pub(crate) peer: String,
    pub(crate) run: u32,
    pub(crate) sessions: usize,
    pub(crate) cut_off: usize,
    pub(crate) back_in_10_s: usize,
    pub(crate) back_in_10_s_percent: f64,
    /// From the death of the node to the answer to `resume`.
    pub(crate) back: Latency,
    /// Tries that failed.
    pub(crate) failures: u64,
    /// Sessions that no node knew any more: their clients had to begin anew.
    pub(crate) sessions_lost: u64,
    /// Statements a second that the database carried out: before the death, and in the 10 s after it. `None` where the
    /// store is embedded.
    pub(crate) statements_before_per_s: Option<f64>,
    pub(crate) statements_during_per_s: Option<f64>,
    pub(crate) statements_rise_percent: Option<f64>,
    pub(crate) delivery: Latency,
    pub(crate) verdict: Verdict,
}

impl Storm {
    fn case(&self) -> Case {
        Case {
            name: "storm",
            rooms: self.sessions.div_ceil(self.per_room),
            members_per_room: self.per_room,
            senders: SENDERS.min(self.sessions),
            messages_per_s: self.messages_per_s,
        }
    }
}

/// Runs one storm on a peer that counts its database's statements. A node of a cluster stays dead.
pub(crate) async fn storm(peer: &Arc<HubbubPeer>, storm: Storm, run: u32) -> Result<StormReport> {
    ensure!(storm.messages_per_s > 0 && storm.sessions > 0 && storm.per_room > 0, "nobody is nothing to measure");
    let case = storm.case();
    let names = peer.prepare(case.rooms, storm.sessions).await?;
    let seats: Vec<usize> = (0..storm.sessions).map(|guest| case.room_of_client(guest)).collect();
    let arrived = Arrived::gather(peer, &names, &seats, storm.at_once).await?;
    let timing = Timing { warm_up: storm.before, window: BACK_WITHIN + AFTERWARDS, drain: DRAIN_MAX };
    let schedule = Schedule::new(case, timing, Instant::now() + LEAD);
    let party = arrived.begin(schedule.clone(), sends(&schedule))?;

    sleep_until(schedule.start().into()).await;
    let calm = peer.statements().await?;
    sleep_until(schedule.window_start().into()).await;
    let before = peer.statements().await?;
    let victim = peer.nodes() - 1;
    let died = Instant::now();
    peer.kill(victim).await?;
    if peer.nodes() == 1 {
        peer.start_again(victim).await?;
    }
    sleep((died + BACK_WITHIN).saturating_duration_since(Instant::now())).await;
    let after = peer.statements().await?;
    sleep_until(schedule.window_end().into()).await;
    party.drain(DRAIN_MAX).await;
    let away = party.away();
    let outcome = party.finish().await?;

    let shared = outcome.shared;
    let returns = shared.returns.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    let times: Vec<Duration> = returns.iter().map(|back| back.back.saturating_duration_since(died)).collect();
    let in_time = times.iter().filter(|time| **time <= BACK_WITHIN).count();
    let cut_off = returns.len() + away;
    let rate = |from: Option<u64>, to: Option<u64>, within: Duration| {
        Some(to?.saturating_sub(from?) as f64 / within.as_secs_f64())
    };
    let calm_rate = rate(calm, before, storm.before);
    let storm_rate = rate(before, after, BACK_WITHIN);
    let failures = |back: &Return| u64::from(back.failures);
    Ok(StormReport {
        peer: peer.name().to_owned(),
        run,
        sessions: storm.sessions,
        cut_off,
        back_in_10_s: in_time,
        back_in_10_s_percent: 100.0 * in_time as f64 / cut_off.max(1) as f64,
        back: summary(&times)?,
        failures: returns.iter().map(failures).sum(),
        sessions_lost: shared.counts.sessions_lost.into_inner(),
        statements_before_per_s: calm_rate,
        statements_during_per_s: storm_rate,
        statements_rise_percent: calm_rate.zip(storm_rate).map(|(calm, storm)| 100.0 * (storm / calm - 1.0)),
        delivery: latency_of(&shared.recorder),
        verdict: outcome.verdict,
    })
}

pub(crate) fn latency_of(recorder: &std::sync::Mutex<crate::recorder::Recorder>) -> Latency {
    crate::party::lock(recorder).delivery_latency()
}

/// Cues for every message of a schedule.
pub(crate) fn sends(schedule: &Schedule) -> Vec<Cue> {
    let cue = |number| Cue {
        after: schedule.due(number).saturating_duration_since(schedule.start()),
        guest: schedule.sender(number),
        act: Act::Send(number),
    };
    (0..schedule.total()).map(cue).collect()
}
