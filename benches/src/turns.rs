//! Servers that take turns: what else the machine does hits all of them alike, and medians are compared.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, ensure};

use crate::cli::{CompareArgs, GatherArgs, NodeArgs, SaturateArgs};
use crate::compare::{self, summarise};
use crate::gather::{self, Gathering};
use crate::limits;
use crate::load::RunReport;
use crate::peer::{self, Peer, Spec};
use crate::report;
use crate::saturate::{self, Climb};

/// Starts all of `specs`; they are there for the whole comparison.
async fn started(specs: &[Spec], node: &NodeArgs) -> Result<Vec<Arc<dyn Peer>>> {
    let mut peers = Vec::with_capacity(specs.len());
    for spec in specs {
        peers.push(peer::start(spec, node).await?);
    }
    Ok(peers)
}

async fn stopped(peers: &[Arc<dyn Peer>]) -> Result<()> {
    for peer in peers {
        peer.stop().await?;
    }
    Ok(())
}

/// Runs cases on several servers and compares their medians.
pub(crate) async fn compare(args: CompareArgs) -> Result<()> {
    let timing = args.runs.timing()?;
    limits::raise(args.cases.iter().map(|case| case.clients()).max().unwrap_or_default())?;
    let peers = started(&args.peers, &args.runs.node).await?;
    let json = args.runs.json;
    if !json {
        report::run_head()?;
    }
    let show = |run: &RunReport| if json { report::json("run", run) } else { report::run_row(run) };
    let reports = compare::compare(&peers, &args.cases, args.runs.runs, timing, show).await?;
    stopped(&peers).await?;
    let summaries = summarise(&reports);
    if json {
        return summaries.iter().try_for_each(|summary| report::json("summary", summary));
    }
    report::summaries(&summaries)
}

/// Lets each server climb, in turns.
pub(crate) async fn saturate(args: SaturateArgs) -> Result<()> {
    let timing = args.runs.timing()?;
    let SaturateArgs { from, to, step, p99_ms, .. } = args;
    let climb = Climb { from, to, step, p99: Duration::from_millis(p99_ms) };
    climb.check()?;
    let peers = started(&args.peers, &args.runs.node).await?;
    let json = args.runs.json;
    if !json {
        report::step_head()?;
    }
    let show = |step: &saturate::StepReport| if json { report::json("step", step) } else { report::step_row(step) };
    let mut reports = Vec::new();
    for run in 1..=args.runs.runs {
        for peer in &peers {
            reports.push(saturate::climb(peer, climb, timing, run, show).await?);
        }
    }
    stopped(&peers).await?;
    if json {
        return reports.iter().try_for_each(|report| report::json("climb", report));
    }
    report::climbs(&reports)
}

/// Gathers silent connections on each server, a fresh one for each run.
pub(crate) async fn gather(connections: usize, hold: Duration, args: GatherArgs) -> Result<()> {
    ensure!(connections > 0 && args.per_room > 0 && args.users != Some(0), "nobody is nothing to measure");
    limits::raise(connections)?;
    let gathering =
        Gathering { connections, per_room: args.per_room, at_once: args.at_once, hold, users: args.users };
    if !args.json {
        report::gather_head()?;
    }
    let mut reports = Vec::new();
    for run in 1..=args.runs {
        for spec in &args.peers {
            let spec = Spec { users: args.users, ..spec.clone() };
            let peer = peer::start(&spec, &args.node).await?;
            let report = gather::gather(&peer, gathering, run).await?;
            peer.stop().await?;
            if args.json {
                report::json("gather", &report)?
            } else {
                report::gather_row(&report)?
            }
            reports.push(report);
        }
    }
    let summaries = gather::summarise(&reports);
    if args.json {
        return summaries.iter().try_for_each(|summary| report::json("gathers", summary));
    }
    report::gather_summaries(&summaries)
}
