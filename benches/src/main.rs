//! `hubbub-benches`: what Hubbub costs, beside a floor that does nothing but broadcast.
//!
//! `docs/benchmarks.md` tells the method and the figures. Every measured server is a process of its own; this program
//! only makes the load and keeps the books, on one thread.

mod archives;
mod audience;
mod cli;
mod compare;
mod crowd;
mod day;
mod failover;
mod floor;
mod gather;
mod guest;
mod import;
mod ledger;
mod limits;
mod link;
mod load;
mod nights;
mod pacer;
mod parallel;
mod party;
mod peer;
mod processes;
mod procfs;
mod reconnect;
mod recorder;
mod replay;
mod report;
mod roundtrip;
mod saturate;
mod scan;
mod schedule;
mod scratch;
mod server;
mod store;
mod transport;
mod turns;
mod wire;
mod ws;

use std::path::Path;
use std::pin::pin;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use clap::Parser;
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::LocalSet;

use self::cli::{Cli, Command, FloorMode, Storm, Together};

fn main() -> Result<()> {
    match Cli::parse().command {
        Command::Floor { listen, mode: FloorMode::Direct } => {
            LocalSet::new().block_on(&runtime()?, floor::serve(listen))
        }
        Command::Compare(args) => run(turns::compare(args)),
        Command::Saturate(args) => run(turns::saturate(args)),
        Command::Idle { connections, hold, gather } => {
            run(turns::gather(connections, Duration::from_secs(hold), gather))
        }
        Command::Day(args) => run(nights::day(args)),
        Command::Failover { peers, turns } => run(nights::failover(&peers, &turns)),
        Command::Storm(Storm::Reconnect { sessions, per_room, at_once, messages, before, peers, turns }) => {
            let before = Duration::from_secs(before);
            let storm = reconnect::Storm { sessions, per_room, at_once, messages_per_s: messages, before };
            run(nights::storm(storm, &peers, &turns))
        }
        Command::Storm(Storm::Connect { connections, gather }) => {
            run(turns::gather(connections, Duration::from_secs(1), gather))
        }
        Command::Store(args) => store::measure(&args),
        Command::Transport(args) => transport::measure(&args),
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

/// Runs a case to its end, or to this program's: servers end with the future that started them.
fn run(case: impl Future<Output = Result<()>>) -> Result<()> {
    runtime()?.block_on(async {
        let mut told = signal(SignalKind::terminate())?;
        let case = pin!(case);
        tokio::select! {
            done = case => done,
            _ = told.recv() => bail!("it was told to end"),
            _ = tokio::signal::ctrl_c() => bail!("it was interrupted"),
        }
    })
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
