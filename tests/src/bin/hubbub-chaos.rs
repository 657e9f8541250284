//! Breaks a real cluster and checks what its clients saw: `tests/chaos/run` builds and starts it.
//!
//! Ends with 0 when every promise was kept, 1 when one was broken, 2 when nothing could be run, 3 when the run says
//! nothing because too little happened.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command line tool")]

use std::{collections::BTreeMap, path::PathBuf, process::ExitCode, time::Duration};

use anyhow::Context as _;
use clap::Parser;
use hubbub_tests::chaos::{
    measure::{Figure, kill::kill, planned, spread::spread},
    plan::{self, Kind},
    run::{Orders, run},
    verdict::Verdict,
};

/// Most findings that are printed; one fault can make thousands that are alike.
const SHOWN_MAX: usize = 40;
/// Most findings that are printed of those that begin alike.
const ALIKE_MAX: usize = 4;
/// Letters by which findings are alike: the invariant and who.
const ALIKE_LETTERS: usize = 24;

/// Breaks a real cluster and checks what its clients saw.
#[derive(Debug, Parser)]
struct Arguments {
    /// How long people talk while things break.
    #[arg(long, default_value_t = 1.0)]
    minutes: f64,
    /// Chooses the faults and what people do [default: a new one, which is printed].
    #[arg(long)]
    seed: Option<u64>,
    /// How many nodes.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(3..=5))]
    nodes: u8,
    /// Which faults: kill, pause, cut, db, restart, or several with commas [default: all].
    #[arg(long, value_delimiter = ',')]
    only: Vec<Kind>,
    /// Measure instead: kill, move, rolling or spread.
    #[arg(long)]
    measure: Option<Figure>,
    /// Print what the seed plans, and break nothing.
    #[arg(long)]
    plan: bool,
    /// How often that which is measured is done.
    #[arg(long, default_value_t = 20)]
    count: usize,
    /// The program under test.
    #[arg(long, value_name = "PATH")]
    hubbub: PathBuf,
    /// Put the nodes on loopback ports even where namespaces are permitted; nothing is cut then.
    #[arg(long)]
    loopback: bool,
    /// Where the history and the logs of the nodes are kept [default: a temporary folder, kept when a run breaks].
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("no runtime: {error}");
            return ExitCode::from(2);
        }
    };
    runtime.block_on(async {
        tokio::select! {
            code = chaos(arguments) => code.unwrap_or_else(|error| {
                eprintln!("{error:#}");
                ExitCode::from(2)
            }),
            // What was started ends with the future above.
            () = told_to_end() => ExitCode::from(2),
        }
    })
}

async fn told_to_end() {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut term), Ok(mut int)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = term.recv() => {}
        _ = int.recv() => {}
    }
}

/// A few of each sort.
fn shown(findings: &[String]) -> Vec<&String> {
    let mut alike: BTreeMap<String, usize> = BTreeMap::new();
    let few = findings.iter().filter(|finding| {
        let count = alike.entry(finding.chars().take(ALIKE_LETTERS).collect()).or_default();
        *count += 1;
        *count <= ALIKE_MAX
    });
    few.take(SHOWN_MAX).collect()
}

async fn chaos(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let seed = arguments.seed.unwrap_or_else(|| u64::from(rand::random::<u32>()));
    let folder = match &arguments.keep {
        Some(folder) => folder.clone(),
        None => tempfile::Builder::new().prefix("hubbub-chaos-").tempdir()?.keep(),
    };
    let kinds = if arguments.only.is_empty() { Kind::ALL.to_vec() } else { arguments.only };
    let orders = Orders {
        program: std::path::absolute(&arguments.hubbub).context("--hubbub")?,
        seed,
        length: Duration::from_secs_f64(arguments.minutes * 60.0),
        nodes: usize::from(arguments.nodes),
        kinds,
        loopback: arguments.loopback,
        folder: folder.clone(),
    };
    if arguments.plan {
        for step in plan::plan(seed, orders.length, &orders.kinds, !orders.loopback) {
            println!("{:6.1} s  {}, for {} ms", step.at.as_secs_f64(), step.fault, step.held.as_millis());
        }
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(figure) = arguments.measure {
        let tell = |line: &str| println!("{line}");
        let lines = match figure {
            Figure::Kill => kill(&orders, arguments.count, tell).await?,
            Figure::Move => planned::shard_moves(&orders, arguments.count, tell).await?,
            Figure::Rolling => planned::rolling(&orders, arguments.count, tell).await?,
            Figure::Spread => spread(&orders, tell).await?,
        };
        println!("-- history and logs are in {}", folder.display());
        lines.iter().for_each(|line| println!("{line}"));
        return Ok(ExitCode::SUCCESS);
    }
    let (counts, verdict) = run(&orders, |line| println!("{line}")).await?;
    println!("{counts}");
    let code = match &verdict {
        Verdict::Passed => {
            println!("passed");
            0
        }
        Verdict::Broken(findings) => {
            shown(findings).iter().for_each(|finding| println!("{finding}"));
            println!(
                "broken: {} findings; seed {seed}; history and logs are in {}",
                findings.len(),
                folder.display()
            );
            1
        }
        Verdict::Invalid(why) => {
            println!("no verdict: {why}; seed {seed}; history and logs are in {}", folder.display());
            3
        }
    };
    if code == 0 && arguments.keep.is_none() {
        let _ = std::fs::remove_dir_all(&folder);
    }
    Ok(ExitCode::from(code))
}
