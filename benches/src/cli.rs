//! The command line: what can be measured, and with which settings.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Result, ensure};
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::peer::Spec;
use crate::peer::hubbub::default_binary;
use crate::schedule::{CASES, Case, Timing};

/// Longest wait for deliveries still under way when the last message of a run has been sent.
const DRAIN_MAX: Duration = Duration::from_secs(10);

/// Measures a Hubbub node beside a floor program, with a ledger of what every client saw.
#[derive(Debug, Parser)]
#[command(version)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
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
    /// Raise the rate until a server breaks a promise or is late, and tell the last rate it kept
    Saturate(SaturateArgs),
    /// Live a day of real people, faster: messages, reactions, typing, pages of history, connections lost
    Day(DayArgs),
    /// Kill the node of a cluster that orders rooms in which people talk, and time until they are taken again
    Failover {
        #[arg(long, value_delimiter = ',', default_value = "hubbub3")]
        peers: Vec<Spec>,
        #[command(flatten)]
        turns: TurnArgs,
    },
    /// Let many clients come at once
    #[command(subcommand)]
    Storm(Storm),
    /// Append to a store without a node: how much it takes, and how soon it answers at a given rate
    Store(StoreArgs),
    /// Time what nodes speak by, beside plain TCP: round trips, and frames on one lane
    Transport(TransportArgs),
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
    /// Replay an archive through clients while others look on, and judge what each was shown
    Replay {
        /// JSON lines, plain or .gz
        #[arg(long)]
        file: PathBuf,
        /// Clients that look on
        #[arg(long, default_value_t = 200)]
        clients: usize,
        /// Each of them follows one room in so many, with its threads; together they follow all, evenly
        #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
        one_room_in: u16,
        /// Connections through which it is replayed
        #[arg(long, default_value_t = 64)]
        connections: usize,
        #[command(flatten)]
        node: NodeArgs,
        /// Print a JSON line instead of a table
        #[arg(long)]
        json: bool,
    },
    /// Import, export, import and export archives, and compare bytes and logs
    Roundtrip {
        /// An archive, plain or .gz; several that belong to one community are joined by commas
        #[arg(required = true, value_name = "FILE[,FILE...]")]
        archives: Vec<Together>,
        #[command(flatten)]
        node: NodeArgs,
        /// Print JSON lines instead of a table
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Storm {
    /// Connect, identify and join: CPU time for each, and how many a second
    Connect {
        #[arg(long, default_value_t = 2_000)]
        connections: usize,
        #[command(flatten)]
        gather: GatherArgs,
    },
    /// Kill a node with all its sessions and let them resume, while others talk
    Reconnect {
        #[arg(long, default_value_t = 10_000)]
        sessions: usize,
        #[arg(long, default_value_t = 100)]
        per_room: usize,
        /// Sessions beginning at the same time
        #[arg(long, default_value_t = 100)]
        at_once: usize,
        /// Messages a second meanwhile
        #[arg(long, default_value_t = 50)]
        messages: u32,
        /// Seconds for which the database is watched before the death
        #[arg(long, default_value_t = 10)]
        before: u64,
        /// Hubbub alone has sessions; a cluster loses its last node, a single node is started again
        #[arg(long, value_delimiter = ',', default_value = "hubbub2")]
        peers: Vec<Spec>,
        #[command(flatten)]
        turns: TurnArgs,
    },
}

/// How often, of what, and how it is told.
#[derive(Debug, Args)]
pub(crate) struct TurnArgs {
    #[arg(long, default_value_t = 3)]
    pub(crate) runs: u32,
    #[command(flatten)]
    pub(crate) node: NodeArgs,
    /// Print JSON lines instead of a table
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct DayArgs {
    /// Archives, as JSON lines in *.jsonl.gz [default: $HUBBUB_CORPORA, or a made-up day where there are none]
    #[arg(long, value_name = "FOLDER")]
    pub(crate) archives: Option<PathBuf>,
    #[arg(long, default_value_t = 1_000)]
    pub(crate) clients: usize,
    /// How much faster than it happened: 720 makes 2 minutes of a day
    #[arg(long, default_value_t = 720.0)]
    pub(crate) speed: f64,
    #[arg(long, value_delimiter = ',', default_value = "hubbub-pg,hubbub3")]
    pub(crate) peers: Vec<Spec>,
    #[command(flatten)]
    pub(crate) turns: TurnArgs,
}

#[derive(Debug, Args)]
pub(crate) struct SaturateArgs {
    #[arg(long, value_delimiter = ',', default_value = "floor,hubbub-pg")]
    pub(crate) peers: Vec<Spec>,
    /// First rate, in deliveries a second; the rooms are 10 x 100
    #[arg(long, default_value_t = 40_000)]
    pub(crate) from: u32,
    /// Last rate
    #[arg(long, default_value_t = 100_000)]
    pub(crate) to: u32,
    #[arg(long, default_value_t = 5_000)]
    pub(crate) step: u32,
    /// Milliseconds that the 99th percentile of latency must be below
    #[arg(long, default_value_t = 200)]
    pub(crate) p99_ms: u64,
    #[command(flatten)]
    pub(crate) runs: RunArgs,
}

/// How often and how long, and how it is told.
#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    #[arg(long, default_value_t = 3)]
    pub(crate) runs: u32,
    /// Seconds measured
    #[arg(long, default_value_t = 6)]
    pub(crate) window: u64,
    /// Seconds of the same load before
    #[arg(long, default_value_t = 2)]
    pub(crate) warm_up: u64,
    #[command(flatten)]
    pub(crate) node: NodeArgs,
    /// Print JSON lines instead of tables
    #[arg(long)]
    pub(crate) json: bool,
}

impl RunArgs {
    pub(crate) fn timing(&self) -> Result<Timing> {
        ensure!(self.window > 0, "a window of 0 s measures nothing");
        Ok(Timing {
            warm_up: Duration::from_secs(self.warm_up),
            window: Duration::from_secs(self.window),
            drain: DRAIN_MAX,
        })
    }
}

/// Archives of one community.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Together(pub(crate) Vec<PathBuf>);

impl FromStr for Together {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self(text.split(',').map(PathBuf::from).collect()))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum FloorMode {
    /// The broadcaster writes to each socket
    Direct,
}

#[derive(Debug, Args)]
pub(crate) struct NodeArgs {
    /// The node's program [default: `hubbub` beside this program]
    #[arg(long, value_name = "PATH")]
    pub(crate) hubbub: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct StoreArgs {
    /// An empty PostgreSQL database [default: a server of its own, as tests/postgres starts it]
    #[arg(long, value_name = "URL", env = "HUBBUB_BENCH_POSTGRES", hide_env_values = true)]
    pub(crate) url: Option<String>,
    #[arg(long, default_value_t = 1_000)]
    pub(crate) rooms: u64,
    /// Connections that append side by side
    #[arg(long, default_value_t = 4)]
    pub(crate) lanes: usize,
    /// Messages a second for which the time until the answer is measured
    #[arg(long, default_value_t = 2_000)]
    pub(crate) rate: u64,
    /// Seconds of each measurement
    #[arg(long, default_value_t = 5)]
    pub(crate) seconds: u64,
    #[arg(long, default_value_t = 3)]
    pub(crate) runs: u32,
    /// Print JSON lines instead of a table
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct TransportArgs {
    /// Seconds of each measurement
    #[arg(long, default_value_t = 3)]
    pub(crate) seconds: u64,
    #[arg(long, default_value_t = 3)]
    pub(crate) runs: u32,
    /// Print JSON lines instead of a table
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct CompareArgs {
    /// Of fan5k, fan20k, small, hot, big, and tiny, which only tries the rig
    #[arg(long, value_delimiter = ',', default_value = "fan5k,fan20k,small", value_parser = case_named)]
    pub(crate) cases: Vec<Case>,
    /// Servers that take turns; a node's settings follow its name as @KEY=VALUE, as in hubbub@edge.heartbeat=30s
    #[arg(long, value_delimiter = ',', default_value = "floor,hubbub")]
    pub(crate) peers: Vec<Spec>,
    #[command(flatten)]
    pub(crate) runs: RunArgs,
}

#[derive(Debug, Args)]
pub(crate) struct GatherArgs {
    /// Servers that take turns, each started afresh for every run; settings follow a name as @KEY=VALUE
    #[arg(long, alias = "peer", value_delimiter = ',', default_value = "floor,hubbub")]
    pub(crate) peers: Vec<Spec>,
    #[arg(long, default_value_t = 1)]
    pub(crate) runs: u32,
    #[arg(long, default_value_t = 100)]
    pub(crate) per_room: usize,
    /// Most users of Hubbub, made by its owner; connections beyond are further sessions of theirs [default: 1,000, who
    /// register]
    #[arg(long)]
    pub(crate) users: Option<usize>,
    /// Clients joining at the same time
    #[arg(long, default_value_t = 100)]
    pub(crate) at_once: usize,
    #[command(flatten)]
    pub(crate) node: NodeArgs,
    /// Print a JSON line instead of a table
    #[arg(long)]
    pub(crate) json: bool,
}

impl NodeArgs {
    pub(crate) fn binary(&self) -> Result<PathBuf> {
        let path = self.hubbub.clone().map_or_else(default_binary, Ok)?;
        ensure!(path.is_file(), "there is no node at {}: build it, or name it by --hubbub", path.display());
        Ok(path)
    }
}

fn case_named(name: &str) -> Result<Case, String> {
    Case::named(name).ok_or_else(|| {
        let names = CASES.map(|case| case.name).join(", ");
        format!("the cases are {names}")
    })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound_and_knows_its_cases() {
        Cli::command().debug_assert();
        let parse = |cases: &str| Cli::try_parse_from(["hubbub-benches", "compare", "--cases", cases]);
        let Command::Compare(args) = parse("hot,small").expect("known cases").command else {
            panic!("another command was understood");
        };
        assert_eq!(args.cases.len(), 2);
        let refusal = parse("fan9").expect_err("no such case").to_string();
        assert!(refusal.contains("fan5k, fan20k, small, hot, big, tiny"), "{refusal}");
    }

    #[test]
    fn archives_of_one_community_are_named_together() {
        let parsed = Cli::try_parse_from(["hubbub-benches", "roundtrip", "a.gz", "b.gz,c.gz"]).expect("two");
        let Command::Roundtrip { archives, .. } = parsed.command else { panic!("another command was understood") };
        assert_eq!(archives, [Together(vec!["a.gz".into()]), Together(vec!["b.gz".into(), "c.gz".into()])]);
    }
}
