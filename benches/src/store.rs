//! Measures a PostgreSQL store without a node: what it takes when fed as fast as it answers, and how soon it answers
//! at a rate.
//!
//! Each lane owns its share of the shards and counts as an owner does. At the rate, messages are due at even times
//! whether or not the store keeps up, and a lane appends all that is due each time it is free: a stall is charged to
//! every message it made wait.

mod owner;

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use hubbub_storage::{LogStore, PostgresConfig, PostgresStore};
use hubbub_tests::postgres::Server;
use serde::Serialize;
use tokio::runtime::Builder;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use self::owner::{EVENTS_MAX, Owner};
use crate::cli::StoreArgs;
use crate::recorder::{Latency, summary};
use crate::report;

/// Messages that may wait for a lane: two seconds at 2,000 a second over four lanes, and some.
const WAITING_MAX: usize = 8_192;
/// Time between two looks at what is due.
const TICK: Duration = Duration::from_millis(1);

/// What one run came to.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct StoreReport {
    pub(crate) run: u32,
    /// Messages acknowledged a second, when fed as fast as answered.
    pub(crate) messages_per_s: f64,
    pub(crate) messages_per_append: f64,
    /// From when a message was due until its append was acknowledged, at the rate.
    pub(crate) answer: Latency,
    /// Whether every message that was due was acknowledged.
    pub(crate) rate_kept: bool,
}

/// Runs it and says what came of it.
pub(crate) fn measure(args: &StoreArgs) -> Result<()> {
    ensure!(args.lanes > 0 && args.rate > 0 && args.seconds > 0 && args.rooms > 0, "nothing is nothing to measure");
    let own = args.url.is_none().then(Server::start);
    let url = args.url.clone().or_else(|| own.as_ref().map(|server| server.url().to_owned())).unwrap_or_default();
    let runtime =
        Builder::new_multi_thread().worker_threads(2).enable_all().build().context("starting the runtime")?;
    let reports = runtime.block_on(run(args, &url))?;
    if args.json {
        return reports.iter().try_for_each(|report| report::json("store", report));
    }
    report::stores(&reports)
}

async fn run(args: &StoreArgs, url: &str) -> Result<Vec<StoreReport>> {
    let url = url.parse().map_err(anyhow::Error::msg)?;
    let config = PostgresConfig { lanes: args.lanes, ..PostgresConfig::default() };
    let store = Arc::new(PostgresStore::open(&url, config).await?);
    let mut owners = Owner::all(&store, args.lanes, args.rooms).await?;
    let length = Duration::from_secs(args.seconds);
    let mut reports: Vec<StoreReport> = Vec::new();
    // All runs at the rate come first: what the other ones leave, the server is still writing to its disk.
    for run in 1..=args.runs {
        let (answered, due);
        (owners, answered, due) = at_rate(owners, args.rate, length).await?;
        let (answer, rate_kept) = (summary(&answered)?, answered.len() as u64 == due);
        reports.push(StoreReport { run, messages_per_s: 0.0, messages_per_append: 0.0, answer, rate_kept });
    }
    for report in &mut reports {
        (owners, report.messages_per_s, report.messages_per_append) = flat_out(owners, length).await?;
    }
    store.close().await;
    Ok(reports)
}

/// Every lane appends full batches, one after the other.
async fn flat_out(owners: Vec<Owner>, length: Duration) -> Result<(Vec<Owner>, f64, f64)> {
    let begun = Instant::now();
    let mut lanes = JoinSet::new();
    for mut owner in owners {
        lanes.spawn(async move {
            let (mut messages, mut appends) = (0_u64, 0_u64);
            while begun.elapsed() < length {
                messages += owner.append(EVENTS_MAX).await?;
                appends += 1;
            }
            anyhow::Ok((owner, messages, appends))
        });
    }
    let (mut owners, mut messages, mut appends) = (Vec::new(), 0, 0);
    for lane in lanes.join_all().await {
        let (owner, some, times) = lane?;
        owners.push(owner);
        messages += some;
        appends += times;
    }
    let rate = messages as f64 / begun.elapsed().as_secs_f64();
    Ok((owners, rate, messages as f64 / appends.max(1) as f64))
}

/// Messages are due at even times; returns how long each waited for its acknowledgement, and how many were due.
async fn at_rate(owners: Vec<Owner>, rate: u64, length: Duration) -> Result<(Vec<Owner>, Vec<Duration>, u64)> {
    let mut queues = Vec::new();
    let mut lanes = JoinSet::new();
    for owner in owners {
        let (queue, waiting) = mpsc::channel(WAITING_MAX);
        queues.push(queue);
        lanes.spawn(serve(owner, waiting));
    }
    let due = rate * length.as_secs();
    let begun = Instant::now();
    let mut sent = 0;
    while sent < due {
        tokio::time::sleep(TICK).await;
        let now = u64::try_from(begun.elapsed().as_nanos()).unwrap_or(u64::MAX);
        let by_now = (now / (1_000_000_000 / rate)).min(due);
        while sent < by_now {
            let at = begun + Duration::from_nanos(sent * 1_000_000_000 / rate);
            // A full queue makes the generator wait; the message is charged for it all the same.
            let lane = usize::try_from(sent).unwrap_or(0) % queues.len();
            queues[lane].send(at).await.context("a lane ended early")?;
            sent += 1;
        }
    }
    drop(queues);
    let (mut owners, mut answered) = (Vec::new(), Vec::new());
    for lane in lanes.join_all().await {
        let (owner, times) = lane?;
        owners.push(owner);
        answered.extend(times);
    }
    Ok((owners, answered, due))
}

/// Appends whatever waits each time the last append was answered.
async fn serve(mut owner: Owner, mut waiting: mpsc::Receiver<Instant>) -> Result<(Owner, Vec<Duration>)> {
    let (mut batch, mut answered) = (Vec::with_capacity(EVENTS_MAX), Vec::new());
    while waiting.recv_many(&mut batch, EVENTS_MAX).await > 0 {
        owner.append(batch.len()).await?;
        answered.extend(batch.drain(..).map(|at| at.elapsed()));
    }
    Ok((owner, answered))
}
