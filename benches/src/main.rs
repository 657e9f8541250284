//! `hubbub-benches`: what Hubbub costs, beside a floor that does nothing but broadcast.
//!
//! `docs/benchmarks.md` tells the method and the figures. Every measured server is a process of its own; this program
//! only makes the load and keeps the books, on one thread.

mod archives;
mod audience;
mod cli;
mod compare;
mod crowd;
mod floor;
mod gather;
mod import;
mod ledger;
mod link;
mod load;
mod pacer;
mod parallel;
mod peer;
mod processes;
mod procfs;
mod recorder;
mod replay;
mod report;
mod roundtrip;
mod scan;
mod schedule;
mod scratch;
mod server;
mod store;
mod ws;

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use tokio::runtime::{Builder, Runtime};
use tokio::task::LocalSet;

use self::cli::{Cli, Command, CompareArgs, FloorMode, GatherArgs, Together};
use self::compare::{compare, summarise};
use self::gather::{Gathering, gather};
use self::schedule::Timing;

/// Longest wait for deliveries still under way when the last message of a run has been sent.
const DRAIN_MAX: Duration = Duration::from_secs(10);

fn main() -> Result<()> {
    match Cli::parse().command {
        Command::Floor { listen, mode: FloorMode::Direct } => {
            LocalSet::new().block_on(&runtime()?, floor::serve(listen))
        }
        Command::Compare(args) => runtime()?.block_on(run_compare(args)),
        Command::Idle { connections, hold, gather } => {
            runtime()?.block_on(run_gather(connections, Duration::from_secs(hold), gather))
        }
        Command::Connect { connections, gather } => {
            runtime()?.block_on(run_gather(connections, Duration::from_secs(1), gather))
        }
        Command::Store(args) => store::measure(&args),
        Command::Import { file, node, json } => {
            let report = import::import(&node.binary()?, &file)?;
            if json {
                return report::json("import", &report);
            }
            report::import(&report)
        }
        Command::Replay { file, clients, one_room_in, connections, node, json } => {
            let binary = node.binary()?;
            let many = Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
            let every = usize::from(one_room_in);
            let report = many.block_on(replay::replay(&binary, &file, clients, every, connections))?;
            if json {
                report::json("replay", &report)?;
            } else {
                report::replay(&report)?;
            }
            ensure!(report.clean, "a client was not shown every event once and in order");
            Ok(())
        }
        Command::Roundtrip { archives, node, json } => run_roundtrips(&archives, &node.binary()?, json),
    }
}

fn runtime() -> Result<Runtime> {
    Builder::new_current_thread().enable_all().build().context("starting the runtime")
}

fn run_roundtrips(archives: &[Together], binary: &Path, json: bool) -> Result<()> {
    if !json {
        report::roundtrip_head()?;
    }
    let mut clean = true;
    for Together(files) in archives {
        let report = runtime()?.block_on(roundtrip::roundtrip(binary, files))?;
        clean &= report.is_clean();
        if json {
            report::json("roundtrip", &report)?;
        } else {
            report::roundtrip_row(&report)?;
        }
    }
    ensure!(clean, "something changed on the way");
    Ok(())
}

async fn run_compare(args: CompareArgs) -> Result<()> {
    ensure!(args.window > 0, "a window of 0 s measures nothing");
    let mut peers = Vec::with_capacity(args.peers.len());
    for spec in &args.peers {
        peers.push(peer::start(spec, &args.node).await?);
    }
    let timing = Timing {
        warm_up: Duration::from_secs(args.warm_up),
        window: Duration::from_secs(args.window),
        drain: DRAIN_MAX,
    };
    if !args.json {
        report::run_head()?;
    }
    let show = |run: &load::RunReport| {
        if args.json {
            return report::json("run", run);
        }
        report::run_row(run)
    };
    let reports = compare(&peers, &args.cases, args.runs, timing, show).await?;
    for peer in &peers {
        peer.stop().await?;
    }
    let summaries = summarise(&reports);
    if args.json {
        return summaries.iter().try_for_each(|summary| report::json("summary", summary));
    }
    report::summaries(&summaries)
}

async fn run_gather(connections: usize, hold: Duration, args: GatherArgs) -> Result<()> {
    ensure!(connections > 0 && args.per_room > 0, "nobody is nothing to measure");
    let gathering = Gathering { connections, per_room: args.per_room, at_once: args.at_once, hold };
    let peer = peer::start(&args.peer, &args.node).await?;
    let report = gather(&peer, gathering).await?;
    peer.stop().await?;
    if args.json {
        return report::json("gather", &report);
    }
    report::gathering(&report)
}
