//! The end of a run: everything is healed, every node has to serve every room, the people have to be handed what there
//! is, and every node has to tell the same log.

use std::{collections::BTreeMap, time::Duration};

use anyhow::Context as _;
use hubbub_client::rest::Rest;
use hubbub_protocol::{
    event::{Event, EventBody},
    ids::{MessageKey, RoomId, Seq},
};
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::{
    members::{Members, READY_WITHIN},
    people::{Person, Shared},
    recorder::record,
    stage::Stage,
};
use crate::history::{Op, Record};

/// How long the cluster may take to serve again when nothing is broken any more: a node that was away rejoins, and what
/// it owns is moved at most 5 s late.
const HEALS_WITHIN: Duration = Duration::from_secs(60);
/// How long people may take to be handed the last event.
const SEEN_WITHIN: Duration = Duration::from_secs(60);
/// Pause before a try is made again.
const AGAIN: Duration = Duration::from_millis(200);
/// Events of a page of a log.
const PAGE: usize = 100;

/// Heals everything and starts what does not run.
///
/// # Errors
/// Which node does not come back.
pub async fn heal(members: &Members) -> anyhow::Result<()> {
    members.lab.heal()?;
    for node in 0..members.len() {
        if members.runs(node) {
            // One that was paused by a run that was broken off goes on; for the others it means nothing.
            members.go_on(node)?;
        } else {
            members.start(node)?;
        }
    }
    for node in 0..members.len() {
        members.ready_within(node, READY_WITHIN).await?;
    }
    Ok(())
}

/// Sends one message to every room by every node.
///
/// # Errors
/// Which node refuses which room, still.
pub async fn every_node_serves_every_room(members: &Members, stage: &Stage) -> anyhow::Result<()> {
    for node in 0..members.len() {
        let rest = stage.owner_at(&members.url(node));
        for room in &stage.rooms {
            let (key, until) = (MessageKey(Uuid::now_v7()), Instant::now() + HEALS_WITHIN);
            while let Err(error) = rest.send_message(*room, key, "all is well").await {
                if Instant::now() >= until {
                    return Err(error).with_context(|| format!("n{node} does not serve {room} again"));
                }
                sleep(AGAIN).await;
            }
        }
    }
    Ok(())
}

/// Reads every room's log from every node into the history; returns the heads.
///
/// # Errors
/// When a node cannot tell a log, or tells another than the node before.
pub async fn read_logs(members: &Members, stage: &Stage, shared: &Shared) -> anyhow::Result<BTreeMap<RoomId, Seq>> {
    let mut heads = BTreeMap::new();
    for room in &stage.rooms {
        let mut first: Option<Vec<Record>> = None;
        for node in 0..members.len() {
            let log = log(&stage.owner_at(&members.url(node)), node, *room).await?;
            log.iter().for_each(|line| shared.recorder.note(line));
            let told = |log: &[Record]| log.iter().map(|line| (line.seq, line.key.clone())).collect::<Vec<_>>();
            match &first {
                None => first = Some(log),
                Some(first) if told(first) == told(&log) => {}
                Some(first) => shared.trouble(format!(
                    "n{node} tells a log of {room} with {} events, and n0 one with {}, or other ones",
                    log.len(),
                    first.len()
                )),
            }
        }
        heads.insert(*room, Seq(first.and_then(|log| log.last()?.seq).unwrap_or(0)));
    }
    Ok(heads)
}

async fn log(rest: &Rest, node: usize, room: RoomId) -> anyhow::Result<Vec<Record>> {
    let (mut lines, mut after) = (Vec::new(), Seq(0));
    loop {
        let page = rest.events(room, after, PAGE).await;
        let (pushes, next) = page.with_context(|| format!("n{node} does not tell the log of {room}"))?;
        for push in &pushes {
            let event = Event::decode(push).with_context(|| format!("an event of {room} after {after}"))?;
            let key = event.key.filter(|_| matches!(event.body, EventBody::MessageCreated(_)));
            let line = record(&format!("log of n{node}"), Op::Log, &room.to_string());
            lines.push(Record { seq: Some(event.seq.0), key: key.map(|key| key.to_string()), ..line });
        }
        match next {
            Some(next) => after = next,
            None => return Ok(lines),
        }
    }
}

/// Waits until everybody was handed everything; who was not is found by the checker, and named here.
pub async fn settle(people: &[Person], heads: &BTreeMap<RoomId, Seq>) {
    let until = Instant::now() + SEEN_WITHIN;
    while Instant::now() < until && !people.iter().all(|person| person.has_seen(heads)) {
        sleep(AGAIN).await;
    }
}
