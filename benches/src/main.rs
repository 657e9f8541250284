//! `hubbub-benches`: what Hubbub costs, beside a floor that does nothing but broadcast.
//!
//! `docs/benchmarks.md` tells the method and the figures. Every measured server is a process of its own; this program
//! only makes the load and keeps the books, on one thread.

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
mod procfs;
mod recorder;
mod report;
mod scan;
mod schedule;
mod scratch;
mod server;
mod ws;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::{Args, Parser, Subcommand, ValueEnum};
use tokio::runtime::{Builder, Runtime};
use tokio::task::LocalSet;

use self::compare::{Peers, summarise};
use self::gather::{Gathering, gather};
use self::peer::Peer;
use self::peer::floor::FloorPeer;
use self::peer::hubbub::{HubbubPeer, default_binary};
use self::schedule::{CASES, Case, Timing};

/// Measures a Hubbub node beside a floor program, with a ledger of what every client saw.
#[derive(Debug, Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve as the floor: a bare WebSocket broadcast, nothing stored
    Floor {
        #[arg(long, default_value = "127.0.0.1:21000")]
        listen: SocketAddr,
        /// How frames reach the sockets
        #[arg(long, value_enum, default_value_t = FloorMode::Direct)]
        mode: FloorMode,
    },
    /// Run cases on several servers in turn and compare their medians
    Compare(CompareArgs),
    /// Hold many silent connections and measure memory per connection
    Idle {
        #[arg(long, default_value_t = 10_000)]
        connections: usize,
        /// Seconds to hold them before memory is read
        #[arg(long, default_value_t = 10)]
        hold: u64,
        #[command(flatten)]
        gather: GatherArgs,
    },
    /// Let many clients connect at once and measure CPU time per join
    Connect {
        #[arg(long, default_value_t = 2_000)]
        connections: usize,
        #[command(flatten)]
        gather: GatherArgs,
    },
    /// Time a bulk import into a stopped node and watch its memory
    Import {
        /// JSON lines, plain or .gz
        #[arg(long)]
        file: PathBuf,
        #[command(flatten)]
        node: NodeArgs,
        /// Print a JSON line instead of a table
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum FloorMode {
    /// The broadcaster writes to each socket
    Direct,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum PeerName {
    Floor,
    Hubbub,
}

#[derive(Debug, Args)]
struct NodeArgs {
    /// The node's program [default: `hubbub` beside this program]
    #[arg(long, value_name = "PATH")]
    hubbub: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct CompareArgs {
    /// Of fan5k, fan20k, small, hot
    #[arg(long, value_delimiter = ',', default_value = "fan5k,fan20k,small", value_parser = case_named)]
    cases: Vec<Case>,
    #[arg(long, default_value_t = 3)]
    runs: u32,
    #[arg(
        long,
        value_enum,
        value_delimiter = ',',
        default_value = "floor,hubbub"
    )]
    peers: Vec<PeerName>,
    /// Seconds measured
    #[arg(long, default_value_t = 6)]
    window: u64,
    /// Seconds of the same load before
    #[arg(long, default_value_t = 2)]
    warm_up: u64,
    #[command(flatten)]
    node: NodeArgs,
    /// Print JSON lines instead of tables
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct GatherArgs {
    #[arg(long, value_enum)]
    peer: PeerName,
    #[arg(long, default_value_t = 100)]
    per_room: usize,
    /// Clients joining at the same time
    #[arg(long, default_value_t = 100)]
    at_once: usize,
    #[command(flatten)]
    node: NodeArgs,
    /// Print a JSON line instead of a table
    #[arg(long)]
    json: bool,
}

impl NodeArgs {
    fn binary(&self) -> Result<PathBuf> {
        let path = self.hubbub.clone().map_or_else(default_binary, Ok)?;
        ensure!(
            path.is_file(),
            "there is no node at {}: build it, or name it by --hubbub",
            path.display()
        );
        Ok(path)
    }
}

fn case_named(name: &str) -> Result<Case, String> {
    Case::named(name).ok_or_else(|| {
        let names = CASES.map(|case| case.name).join(", ");
        format!("the cases are {names}")
    })
}

fn main() -> Result<()> {
    match Cli::parse().command {
        Command::Floor {
            listen,
            mode: FloorMode::Direct,
        } => LocalSet::new().block_on(&runtime()?, floor::serve(listen)),
        Command::Compare(args) => runtime()?.block_on(run_compare(args)),
        Command::Idle {
            connections,
            hold,
            gather,
        } => runtime()?.block_on(run_gather(connections, Duration::from_secs(hold), gather)),
        Command::Connect {
            connections,
            gather,
        } => runtime()?.block_on(run_gather(connections, Duration::from_secs(1), gather)),
        Command::Import { file, node, json } => {
            let report = import::import(&node.binary()?, &file)?;
            if json {
                return report::json("import", &report);
            }
            report::import(&report)
        }
    }
}

fn runtime() -> Result<Runtime> {
    Builder::new_current_thread()
        .enable_all()
        .build()
        .context("starting the runtime")
}

async fn run_compare(args: CompareArgs) -> Result<()> {
    ensure!(args.window > 0, "a window of 0 s measures nothing");
    let mut peers = Peers::default();
    if args.peers.contains(&PeerName::Hubbub) {
        peers.hubbub = Some(Arc::new(HubbubPeer::start(&args.node.binary()?).await?));
    }
    if args.peers.contains(&PeerName::Floor) {
        peers.floor = Some(Arc::new(FloorPeer::start().await?));
    }
    let timing = Timing {
        warm_up: Duration::from_secs(args.warm_up),
        window: Duration::from_secs(args.window),
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
    let reports = peers.compare(&args.cases, args.runs, timing, show).await?;
    peers.stop().await?;
    let summaries = summarise(&reports);
    if args.json {
        return summaries
            .iter()
            .try_for_each(|summary| report::json("summary", summary));
    }
    report::summaries(&summaries)
}

async fn run_gather(connections: usize, hold: Duration, args: GatherArgs) -> Result<()> {
    ensure!(
        connections > 0 && args.per_room > 0,
        "nobody is nothing to measure"
    );
    let gathering = Gathering {
        connections,
        per_room: args.per_room,
        at_once: args.at_once,
        hold,
    };
    let report = match args.peer {
        PeerName::Floor => gather_and_stop(FloorPeer::start().await?, gathering).await?,
        PeerName::Hubbub => {
            gather_and_stop(HubbubPeer::start(&args.node.binary()?).await?, gathering).await?
        }
    };
    if args.json {
        return report::json("gather", &report);
    }
    report::gathering(&report)
}

async fn gather_and_stop<P: Peer>(peer: P, gathering: Gathering) -> Result<gather::GatherReport> {
    let peer = Arc::new(peer);
    let report = gather(&peer, gathering).await?;
    peer.stop().await?;
    Ok(report)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound_and_knows_its_cases() {
        Cli::command().debug_assert();
        let parse =
            |cases: &str| Cli::try_parse_from(["hubbub-benches", "compare", "--cases", cases]);
        let Command::Compare(args) = parse("hot,small").expect("known cases").command else {
            panic!("another command was understood");
        };
        assert_eq!(args.cases.len(), 2);
        let refusal = parse("fan9").expect_err("no such case").to_string();
        assert!(refusal.contains("fan5k, fan20k, small, hot"), "{refusal}");
    }
}
