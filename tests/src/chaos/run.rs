//! A run from its seed to its verdict.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use anyhow::Context as _;
use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};

use super::{
    ending,
    lab::Lab,
    members::Members,
    nemesis,
    outcast::Outcast,
    people::{Person, Shared},
    plan::{self, Kind},
    recorder::Recorder,
    stage::Stage,
    verdict::{Counts, Verdict, weigh},
};
use crate::{history, postgres::Server};

/// People at each node.
const PEOPLE_PER_NODE: usize = 4;
/// Rooms: several for each node's shards, and few enough that people meet in them.
const ROOMS: usize = 12;

/// What is run.
#[derive(Debug, Clone)]
pub struct Orders {
    /// The program under test.
    pub program: PathBuf,
    /// Chooses the faults and what people do.
    pub seed: u64,
    /// How long people talk.
    pub length: Duration,
    /// How many nodes.
    pub nodes: usize,
    /// Which faults.
    pub kinds: Vec<Kind>,
    /// Whether to be on loopback even where namespaces are permitted.
    pub loopback: bool,
    /// Where configuration, logs of the nodes and the history go.
    pub folder: PathBuf,
}

/// Starts a cluster on a lab of its own.
///
/// # Errors
/// What a command of the operator's said.
pub async fn found(program: &Path, nodes: usize, loopback: bool, folder: &Path) -> anyhow::Result<Arc<Members>> {
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let lab = Lab::open(nodes, loopback);
    let server = Server::start_also_at(lab.can_cut().then(|| lab.database()));
    Ok(Arc::new(Members::found(lab, server, program, folder).await?))
}

/// Runs; `tell` hears what happens.
///
/// # Errors
/// When there was no run: the cluster could not be founded, or the people could not come in.
pub async fn run(orders: &Orders, tell: impl Fn(&str)) -> anyhow::Result<(Counts, Verdict)> {
    let members = found(&orders.program, orders.nodes, orders.loopback, &orders.folder).await?;
    tell(&format!(
        "{} nodes in {}, seed {}, {} s",
        members.len(),
        if members.lab.can_cut() { "namespaces" } else { "one namespace, on loopback" },
        orders.seed,
        orders.length.as_secs(),
    ));
    let mut stage = Stage::set(&members.url(0), ROOMS).await?;
    let recorder = Recorder::create(&orders.folder.join("history.jsonl"))?;
    let shared = Arc::new(Shared::new(recorder));
    let (end, over) = watch::channel(false);
    let health = members.watched();
    let mut people = Vec::new();
    for number in 0..PEOPLE_PER_NODE * members.len() {
        let person = Person::begin(&members, &stage, &shared, &health, number, orders.seed, over.clone());
        people.push(person.await?);
    }
    let outcast = Outcast::begin(&members, &stage, &shared, members.len() - 1).await?;
    let outcast = tokio::spawn(outcast.suffer(over));
    let begun = Instant::now();
    let plan = plan::plan(orders.seed, orders.length, &orders.kinds, members.lab.can_cut());
    let struck = nemesis::strike(&members, &stage.rooms, &shared, &plan, &tell).await;
    sleep_until(begun + orders.length).await;
    let seconds = begun.elapsed().as_secs();
    struck.troubles.into_iter().for_each(|story| shared.trouble(story));

    tell("all is healed; everything is read and checked");
    let _ = end.send(true);
    if let Err(error) = ending::heal(&members).await {
        shared.trouble(format!("{error:#}"));
    }
    for person in &mut people {
        person.falls_silent().await;
    }
    let kicks = outcast.await.context("the outcast")?;
    if let Err(error) = end_of(&members, &mut stage, &shared, &mut people).await {
        shared.trouble(format!("{error:#}"));
    }
    for person in people {
        person.leaves(&shared, &stage.rooms);
    }
    let records = shared.recorder.read()?;
    let findings = history::check(&records);
    let count = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
    let tally = &shared.tally;
    let counts = Counts {
        seconds,
        planned: plan.len() as u64,
        faults: struck.faults,
        acks: count(&tally.acks),
        failed: count(&tally.failed),
        events: count(&tally.events),
        resumes: count(&tally.resumes),
        reads: count(&tally.reads),
        again: count(&tally.again),
        kicks,
    };
    let troubles = std::mem::take(&mut *shared.troubles.lock().expect("nobody panics with the list in hand"));
    let verdict = weigh(&counts, &findings, troubles);
    Ok((counts, verdict))
}

async fn end_of(
    members: &Members,
    stage: &mut Stage,
    shared: &Shared,
    people: &mut [Person],
) -> anyhow::Result<()> {
    stage.owner_anew(&members.url(0)).await.context("the owner cannot sign in at n0")?;
    ending::every_node_serves_every_room(members, stage).await?;
    let heads = ending::read_logs(members, stage, shared).await?;
    ending::settle(people, &heads).await;
    Ok(())
}
