//! Cases whose clients come back: storms, failovers and the mixed day, on servers that take turns.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Result, ensure};

use crate::cli::{DayArgs, TurnArgs};
use crate::day::{self, Day, recorded};
use crate::failover;
use crate::limits;
use crate::peer::hubbub::HubbubPeer;
use crate::peer::{Peer, Spec};
use crate::reconnect::{self, Storm};
use crate::report;

async fn started(spec: &Spec, turns: &TurnArgs) -> Result<Arc<HubbubPeer>> {
    ensure!(spec.kind.is_ours(), "`{spec}` has no sessions to resume: measure a peer of Hubbub");
    Ok(Arc::new(HubbubPeer::start(spec, &turns.node.binary()?).await?))
}

/// Reconnect storms, each on a server of its own.
pub(crate) async fn storm(storm: Storm, peers: &[Spec], turns: &TurnArgs) -> Result<()> {
    limits::raise(storm.sessions)?;
    if !turns.json {
        report::storm_head()?;
    }
    for run in 1..=turns.runs {
        for spec in peers {
            let peer = started(&Spec { counts_statements: true, ..spec.clone() }, turns).await?;
            let report = reconnect::storm(&peer, storm, run).await?;
            peer.stop().await?;
            if turns.json { report::json("storm", &report)? } else { report::storm_row(&report)? }
        }
    }
    Ok(())
}

/// One death after the other, on one cluster.
pub(crate) async fn failover(peers: &[Spec], turns: &TurnArgs) -> Result<()> {
    limits::raise(failover::CASE.clients())?;
    if !turns.json {
        report::failover_head()?;
    }
    for spec in peers {
        let peer = started(spec, turns).await?;
        for run in 1..=turns.runs {
            let report = failover::failover(&peer, failover::CASE, run).await?;
            if turns.json { report::json("failover", &report)? } else { report::failover_row(&report)? }
        }
        peer.stop().await?;
    }
    Ok(())
}

/// Mixed days, each on a server of its own.
pub(crate) async fn day(args: DayArgs) -> Result<()> {
    limits::raise(args.clients)?;
    let folder = args.archives.or_else(hubbub_tests::archive::corpora);
    let files = folder.as_deref().map(recorded::archives_in).transpose()?.unwrap_or_default();
    let (lines, archives) = if files.is_empty() {
        (recorded::made_up(), "made up".to_owned())
    } else {
        (recorded::days_of(&files)?, names(&files))
    };
    let turns = &args.turns;
    if !turns.json {
        report::note(&format!("the busiest days of: {archives}"));
        report::day_head()?;
    }
    let day = Day { clients: args.clients, speed: args.speed };
    for run in 1..=turns.runs {
        for spec in &args.peers {
            let peer = started(spec, turns).await?;
            let report = day::live(&peer, &lines, &archives, day, run).await?;
            peer.stop().await?;
            if turns.json { report::json("day", &report)? } else { report::day_row(&report)? }
        }
    }
    Ok(())
}

fn names(files: &[PathBuf]) -> String {
    files.iter().map(|file| crate::archives::name(file)).collect::<Vec<_>>().join(", ")
}
