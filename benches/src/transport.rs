//! Measures what nodes speak by, without nodes: two of the product's own ends of QUIC on loopback, with certificates of
//! an authority as in a cluster, and in the same run two ends of plain TCP that do the same.
//!
//! Two measurements each, one after the other: an ask of 64 bytes that is echoed, the next one after the answer; and
//! frames of 400 bytes on one lane, as many as are taken. Both ends share this process, so a frame's CPU time is that
//! of sending and of receiving it.
//!
//! # Invariants
//! - Frames are numbered, and the receiver counts only the one that is next: what is counted came once and in order.
//! - The floor sends with the product's batch: it writes at most what a lane writes at once.

mod quic;
mod tcp;

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use hdrhistogram::Histogram;
use serde::Serialize;
use tokio::runtime::Builder;

use crate::cli::TransportArgs;
use crate::procfs::own_cpu;
use crate::report;

/// Bytes of an ask and of its answer.
const ASK_BYTES: usize = 64;
/// Bytes of a frame of the stream: a message and its envelope.
const FRAME_BYTES: usize = 400;
/// Longest round trip told apart.
const RTT_NS_MAX: u64 = 60_000_000_000;
/// Longest wait for what is under way when a measurement ends.
const ARRIVES_WITHIN: Duration = Duration::from_secs(10);

/// What one way came to in one run.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct TransportReport {
    pub(crate) run: u32,
    /// `quic` or `tcp`.
    pub(crate) way: &'static str,
    pub(crate) asks: u64,
    pub(crate) rtt_p50_us: f64,
    pub(crate) rtt_p99_us: f64,
    /// CPU time of an ask and its answer, both ends.
    pub(crate) cpu_us_per_ask: f64,
    pub(crate) frames: u64,
    pub(crate) frames_per_s: f64,
    /// CPU time of a frame of the stream, both ends.
    pub(crate) cpu_us_per_frame: f64,
}

/// Two ends that are linked.
trait Way {
    /// Its name in the table.
    const NAME: &'static str;

    /// Sends [`ASK_BYTES`] and waits until they are back.
    async fn ask(&mut self) -> Result<()>;

    /// Sends frames of [`FRAME_BYTES`] until `end`, and waits until all are there; returns how many.
    async fn stream(&mut self, end: Instant) -> Result<u64>;
}

/// Runs it and says what came of it.
pub(crate) fn measure(args: &TransportArgs) -> Result<()> {
    ensure!(args.seconds > 0 && args.runs > 0, "nothing is nothing to measure");
    let runtime =
        Builder::new_multi_thread().worker_threads(2).enable_all().build().context("starting the runtime")?;
    let reports = runtime.block_on(run(args))?;
    if args.json {
        return reports.iter().try_for_each(|report| report::json("transport", report));
    }
    report::transports(&reports)
}

async fn run(args: &TransportArgs) -> Result<Vec<TransportReport>> {
    let length = Duration::from_secs(args.seconds);
    let mut reports = Vec::new();
    for run in 1..=args.runs {
        reports.push(of(run, tcp::Pair::linked().await?, length).await?);
        reports.push(of(run, quic::Pair::linked().await?, length).await?);
    }
    Ok(reports)
}

async fn of<W: Way>(run: u32, mut way: W, length: Duration) -> Result<TransportReport> {
    let mut rtts = Histogram::<u64>::new_with_bounds(1, RTT_NS_MAX, 3)?;
    let (begun, cpu) = (Instant::now(), own_cpu()?);
    while begun.elapsed() < length {
        let asked = Instant::now();
        way.ask().await?;
        rtts.saturating_record(u64::try_from(asked.elapsed().as_nanos()).unwrap_or(RTT_NS_MAX));
    }
    let asking = own_cpu()? - cpu;
    let (begun, cpu) = (Instant::now(), own_cpu()?);
    let frames = way.stream(begun + length).await?;
    let (took, streaming) = (begun.elapsed(), own_cpu()? - cpu);
    let us = |quantile| rtts.value_at_quantile(quantile) as f64 / 1_000.0;
    Ok(TransportReport {
        run,
        way: W::NAME,
        asks: rtts.len(),
        rtt_p50_us: us(0.5),
        rtt_p99_us: us(0.99),
        cpu_us_per_ask: each(asking, rtts.len()),
        frames,
        frames_per_s: frames as f64 / took.as_secs_f64(),
        cpu_us_per_frame: each(streaming, frames),
    })
}

/// Microseconds for each of `count`.
fn each(time: Duration, count: u64) -> f64 {
    time.as_secs_f64() * 1e6 / count.max(1) as f64
}

/// A frame of the stream, by its number.
fn frame(number: u64) -> [u8; FRAME_BYTES] {
    let mut bytes = [7; FRAME_BYTES];
    bytes[..8].copy_from_slice(&number.to_le_bytes());
    bytes
}

/// The number of a frame.
fn number(frame: &[u8]) -> Option<u64> {
    Some(u64::from_le_bytes(frame.get(..8)?.try_into().ok()?))
}
