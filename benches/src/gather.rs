//! What connections cost that say nothing: joining, and then being there.
//!
//! Memory is reckoned from the moment the server was up with nobody registered, so what preparing leaves behind
//! (accounts, rooms, pages the password hashes used) counts against the connections and never hides them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use serde::Serialize;
use tokio::time::sleep;

use crate::compare::median;
use crate::crowd::Crowd;
use crate::ledger;
use crate::load::per;
use crate::peer::Peer;
use crate::peer::accounts::ACCOUNTS_MAX;
use crate::processes::Usage;
use crate::recorder::{Latency, summary};
use crate::schedule::{Case, Schedule, Timing};

#[derive(Debug, Clone, Copy)]
pub(crate) struct Gathering {
    pub(crate) connections: usize,
    pub(crate) per_room: usize,
    pub(crate) at_once: usize,
    pub(crate) hold: Duration,
    /// Most users; connections beyond are further sessions of theirs.
    pub(crate) users: Option<usize>,
}

#[derive(Debug, Clone, Serialize)]
pub(crate) struct GatherReport {
    pub(crate) peer: String,
    pub(crate) run: u32,
    pub(crate) connections: usize,
    pub(crate) per_room: usize,
    /// Whose connections they are, where clients have accounts.
    pub(crate) users: usize,
    /// From the first connection asked for to the last one joined.
    pub(crate) joined_s: f64,
    pub(crate) joins_per_s: f64,
    pub(crate) join: Latency,
    pub(crate) cpu_us_per_join: f64,
    pub(crate) rss_start_kib: u64,
    pub(crate) rss_prepared_kib: u64,
    pub(crate) rss_joined_kib: u64,
    /// (joined - start) / connections: the figure to quote.
    pub(crate) rss_kib_per_connection: f64,
    /// (joined - prepared) / connections.
    pub(crate) rss_kib_per_connection_beyond_preparing: f64,
    /// Server CPU time while everyone was silent, as a share of one core.
    pub(crate) idle_cpu_percent: f64,
    /// Connections the server ended while they were held.
    pub(crate) closed: u64,
}

/// Gathers all connections on a fresh `peer`, holds them, and lets them go.
pub(crate) async fn gather(peer: &Arc<dyn Peer>, gathering: Gathering, run: u32) -> Result<GatherReport> {
    let Gathering { connections, per_room, at_once, hold, users } = gathering;
    let rss_start_kib = Usage::of(&peer.parts())?.rss_kib();
    let rooms = peer.prepare(connections.div_ceil(per_room), connections).await?;
    let rss_prepared_kib = Usage::of(&peer.parts())?.rss_kib();
    let (begun, cpu_before) = (Instant::now(), Usage::of(&peer.parts())?.cpu());
    let mut crowd = Crowd::join(peer, &rooms, connections, at_once).await?;
    let joined = begun.elapsed();
    let cpu_joining = Usage::of(&peer.parts())?.cpu().saturating_sub(cpu_before);
    let schedule = Arc::new(silence(rooms.len(), per_room));
    crowd.listen(&schedule);
    let (held, cpu_before) = (Instant::now(), Usage::of(&peer.parts())?.cpu());
    sleep(hold).await;
    let cpu_idle = Usage::of(&peer.parts())?.cpu().saturating_sub(cpu_before);
    let idle_cpu_percent = 100.0 * cpu_idle.as_secs_f64() / held.elapsed().as_secs_f64();
    let rss_joined_kib = Usage::of(&peer.parts())?.rss_kib();
    let join = summary(crowd.join_times())?;
    let (ledgers, _) = crowd.finish().await?;
    let verdict = ledger::judge(&ledgers, |client| client % rooms.len(), &schedule, &[], false);
    let each = |from: u64| rss_joined_kib.saturating_sub(from) as f64 / connections as f64;
    Ok(GatherReport {
        peer: peer.name().to_owned(),
        run,
        connections,
        per_room,
        users: users.unwrap_or(ACCOUNTS_MAX).min(connections),
        joined_s: joined.as_secs_f64(),
        joins_per_s: connections as f64 / joined.as_secs_f64(),
        join,
        cpu_us_per_join: per(cpu_joining, connections as u64),
        rss_start_kib,
        rss_prepared_kib,
        rss_joined_kib,
        rss_kib_per_connection: each(rss_start_kib),
        rss_kib_per_connection_beyond_preparing: each(rss_prepared_kib),
        idle_cpu_percent,
        closed: verdict.closed,
    })
}

/// The medians of one peer.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct GatherSummary {
    pub(crate) peer: String,
    pub(crate) runs: usize,
    pub(crate) connections: usize,
    pub(crate) rss_kib_per_connection: f64,
    pub(crate) cpu_us_per_join: f64,
    pub(crate) joins_per_s: f64,
    pub(crate) idle_cpu_percent: f64,
    /// Connections ended by the server, in all runs.
    pub(crate) closed: u64,
}

/// Summarises by peer, in the order in which they first appear.
pub(crate) fn summarise(reports: &[GatherReport]) -> Vec<GatherSummary> {
    let mut peers: Vec<&str> = Vec::new();
    for report in reports {
        if !peers.contains(&&*report.peer) {
            peers.push(&report.peer);
        }
    }
    let summary = |peer: &str| {
        let runs: Vec<&GatherReport> = reports.iter().filter(|report| report.peer == peer).collect();
        GatherSummary {
            peer: peer.to_owned(),
            runs: runs.len(),
            connections: runs.first().map_or(0, |run| run.connections),
            rss_kib_per_connection: median(&runs, |run| run.rss_kib_per_connection),
            cpu_us_per_join: median(&runs, |run| run.cpu_us_per_join),
            joins_per_s: median(&runs, |run| run.joins_per_s),
            idle_cpu_percent: median(&runs, |run| run.idle_cpu_percent),
            closed: runs.iter().map(|run| run.closed).sum(),
        }
    };
    peers.into_iter().map(summary).collect()
}

/// A schedule of no messages.
fn silence(rooms: usize, members_per_room: usize) -> Schedule {
    let case = Case { name: "silence", rooms, members_per_room, senders: 1, messages_per_s: 1 };
    let timing = Timing { warm_up: Duration::ZERO, window: Duration::ZERO, drain: Duration::ZERO };
    Schedule::new(case, timing, Instant::now())
}
