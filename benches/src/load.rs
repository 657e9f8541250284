//! One measured run: join, warm up, measure a window, drain, judge.
//!
//! # Order of effects
//! Rooms and accounts exist and all clients have joined before the first message is due. CPU time and deliveries are
//! read at the two ends of the window, so what joining and draining cost is not in the figures. The ledgers cover the
//! whole run.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use serde::Serialize;
use tokio::time::{sleep, sleep_until};

use crate::crowd::Crowd;
use crate::ledger::{self, Verdict};
use crate::pacer;
use crate::peer::{Acknowledgement, Peer};
use crate::processes::{Role, Usage};
use crate::procfs;
use crate::recorder::Latency;
use crate::report;
use crate::schedule::{Case, Schedule, Timing};

/// Clients joining at the same time, where joining is not what is measured.
const JOINING_AT_ONCE: usize = 32;

/// From the last join to the first message.
const LEAD: Duration = Duration::from_millis(500);

/// Silence after everything has arrived, in which a double would still be noticed.
const SETTLE: Duration = Duration::from_millis(300);

#[derive(Debug, Clone, Serialize)]
pub(crate) struct RunReport {
    pub(crate) peer: String,
    pub(crate) case: &'static str,
    pub(crate) run: u32,
    /// Server CPU time in the window over deliveries received in it.
    pub(crate) cpu_us_per_delivery: f64,
    /// The same by what used it; together they are that.
    pub(crate) cpu_us_per_delivery_by: BTreeMap<Role, f64>,
    /// Bytes that clients read in the window over deliveries received in it: frames with all that is said beside
    /// them, without what TCP and IP put around.
    pub(crate) bytes_per_delivery: f64,
    pub(crate) deliveries_per_s: f64,
    pub(crate) window_s: f64,
    pub(crate) server_cpu_ms: f64,
    /// CPU time of this program in the window, to tell whether it was itself the limit.
    pub(crate) generator_cpu_ms: f64,
    pub(crate) server_rss_kib: u64,
    pub(crate) delivery: Latency,
    pub(crate) ack: Latency,
    /// Messages that were due and never written, because their sender's connection took nothing.
    pub(crate) unsent: u64,
    pub(crate) verdict: Verdict,
}

impl RunReport {
    /// Whether every message that was due was sent, and the server kept its promises.
    pub(crate) fn is_clean(&self) -> bool {
        self.verdict.is_clean() && self.unsent == 0
    }

    /// The part of the figure that the server's own program used.
    pub(crate) fn node_cpu_us(&self) -> f64 {
        self.cpu_us_per_delivery_by.get(&Role::Node).copied().unwrap_or_default()
    }
}

/// What is read at each end of the window.
struct Sample {
    at: Instant,
    server: Usage,
    own_cpu: Duration,
    delivered: u64,
    bytes: u64,
}

/// Runs `case` once against `peer`.
pub(crate) async fn run(peer: &Arc<dyn Peer>, case: Case, timing: Timing, run: u32) -> Result<RunReport> {
    let clients = case.clients();
    let rooms = peer.prepare(case.rooms, clients).await?;
    let mut crowd = Crowd::join(peer, &rooms, clients, JOINING_AT_ONCE).await?;
    report::note(&format!("{}, {}, run {run}: {clients} clients have joined", peer.name(), case.name));
    let schedule = Arc::new(Schedule::new(case, timing, Instant::now() + LEAD));
    crowd.listen(&schedule);
    let pace = pacer::pace(Arc::clone(peer), crowd.links(), rooms.into(), Arc::clone(&schedule), case.senders);
    let pace = tokio::spawn(pace);
    sleep_until(schedule.window_start().into()).await;
    let before = sample(peer.as_ref(), &crowd)?;
    sleep_until(schedule.window_end().into()).await;
    let after = sample(peer.as_ref(), &crowd)?;
    let sent = pace.await??;
    let expected = (sent.len() * case.members_per_room) as u64;
    drain(&crowd, expected, timing.drain).await;
    let (ledgers, recorder) = crowd.finish().await?;
    let answers = peer.acknowledgement() == Acknowledgement::Reply;
    let verdict = ledger::judge(&ledgers, |client| case.room_of_client(client), &schedule, &sent, answers);
    let deliveries = after.delivered - before.delivered;
    let window = after.at - before.at;
    let server_cpu = after.server.cpu_since(&before.server);
    let all_cpu = server_cpu.values().sum();
    Ok(RunReport {
        peer: peer.name().to_owned(),
        case: case.name,
        run,
        cpu_us_per_delivery: per(all_cpu, deliveries),
        cpu_us_per_delivery_by: server_cpu.iter().map(|(role, cpu)| (*role, per(*cpu, deliveries))).collect(),
        bytes_per_delivery: (after.bytes - before.bytes) as f64 / deliveries.max(1) as f64,
        deliveries_per_s: deliveries as f64 / window.as_secs_f64(),
        window_s: window.as_secs_f64(),
        server_cpu_ms: millis(all_cpu),
        generator_cpu_ms: millis(after.own_cpu.saturating_sub(before.own_cpu)),
        server_rss_kib: after.server.rss_kib(),
        delivery: recorder.delivery_latency(),
        ack: recorder.answer_latency(),
        unsent: u64::from(schedule.total()) - sent.len() as u64,
        verdict,
    })
}

fn sample(peer: &dyn Peer, crowd: &Crowd) -> Result<Sample> {
    Ok(Sample {
        at: Instant::now(),
        server: Usage::of(&peer.parts())?,
        own_cpu: procfs::own_cpu()?,
        delivered: crowd.delivered(),
        bytes: crowd.received_bytes(),
    })
}

async fn drain(crowd: &Crowd, expected: u64, longest: Duration) {
    let begun = Instant::now();
    while crowd.delivered() < expected && begun.elapsed() < longest {
        sleep(Duration::from_millis(20)).await;
    }
    sleep(SETTLE).await;
}

/// Microseconds for each of `count`; 0 when there was none.
pub(crate) fn per(time: Duration, count: u64) -> f64 {
    if count == 0 {
        return 0.0;
    }
    time.as_secs_f64() * 1e6 / count as f64
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_price_of_nothing_is_nothing() {
        assert!(per(Duration::from_secs(1), 0).abs() < f64::EPSILON);
        assert!((per(Duration::from_millis(60), 5_000) - 12.0).abs() < 1e-9);
    }
}
