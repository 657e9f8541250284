//! `kill -9` of the node that orders a room, again and again: when are sends to it accepted again?
//!
//! A person at each node sends to one room. When the owner dies, those at the other nodes begin a send every
//! [`BEGUN_EVERY`]; the first of them that is acknowledged ends the measurement. Sends that began before the kill do
//! not count, and each is recorded and checked with everything else.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::Context as _;
use hubbub_client::Client;
use hubbub_protocol::ids::RoomId;
use tokio::{
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval, sleep},
};

use super::{Ground, Times, settled};
use crate::chaos::{
    people::{Became, Shared, send},
    run::Orders,
    stage::connect,
};

/// From one send to the next while the room has no owner: the error of a figure.
const BEGUN_EVERY: Duration = Duration::from_millis(25);
/// How long a send is tried.
const SEND_WITHIN: Duration = Duration::from_secs(30);
/// Rooms: some for each node, so that every node is an owner now and then.
const ROOMS: usize = 12;
/// How long the cluster rests before the next kill: the node that came back has settled and votes again.
const REST: Duration = Duration::from_secs(3);
/// Sends before a kill that have to be accepted, so that the room is open where it will be lost.
const WARM: usize = 3;

/// Kills `count` owners; returns the lines to be shown.
///
/// # Errors
/// When a node does not come back.
pub async fn kill(orders: &Orders, count: usize, tell: impl Fn(&str)) -> anyhow::Result<Vec<String>> {
    let mut ground = Ground::lay(orders, ROOMS).await?;
    let (mut all, mut followers, mut leaders) = (Times::default(), Times::default(), Times::default());
    let mut never = 0;
    for number in 0..count {
        settled(&ground.members, REST).await?;
        let room = ground.stage.rooms[number % ROOMS];
        let people = people(&ground, number).await?;
        for (name, client) in people.iter().cycle().take(WARM) {
            send(&ground.shared, name, client, room, "warm", SEND_WITHIN).await;
        }
        let owner = ground.members.owner(room).await.context("nobody owns the room")?;
        let led = ground.members.leader().await == Some(owner);
        let others: Vec<_> =
            people.into_iter().enumerate().filter(|(node, _)| *node != owner).map(|(_, person)| person).collect();
        ground.members.kill(owner);
        let begun = Instant::now();
        match first_accepted(&ground.shared, room, others, begun).await {
            Some(time) => {
                tell(&format!(
                    "{number:3}: n{owner}{} died: {} ms",
                    if led { ", the leader," } else { "" },
                    time.as_millis()
                ));
                all.add(time);
                if led { leaders.add(time) } else { followers.add(time) }
            }
            None => never += 1,
        }
        ground.members.start(owner)?;
    }
    settled(&ground.members, REST).await?;
    let complaints = ground.complaints().await?;
    let mut lines = vec![
        all.line("all kills"),
        followers.line("of nodes that did not lead"),
        leaders.line("of the leader"),
        format!(
            "never accepted again: {never}; acknowledged sends: {}",
            ground.shared.tally.acks.load(Ordering::Relaxed)
        ),
        format!("lost, doubled or disordered: {}", complaints.len()),
    ];
    lines.extend(complaints);
    Ok(lines)
}

/// Somebody new at each node, so that a connection that died with the kill before is nobody's.
async fn people(ground: &Ground, number: usize) -> anyhow::Result<Vec<(String, Client)>> {
    let mut people = Vec::new();
    for node in 0..ground.members.len() {
        let name = format!("writer-{number}-{node}");
        let (client, mut updates) = connect(&ground.members, &ground.stage, &name, node).await?;
        tokio::spawn(async move { while updates.next().await.is_some() {} });
        people.push((name, client));
    }
    Ok(people)
}

async fn first_accepted(
    shared: &Arc<Shared>,
    room: RoomId,
    people: Vec<(String, Client)>,
    begun: Instant,
) -> Option<Duration> {
    let accepted = Arc::new(AtomicBool::new(false));
    let mut sends = JoinSet::new();
    let mut ticks = interval(BEGUN_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut turn = people.iter().cycle();
    let mut first: Option<Duration> = None;
    while !accepted.load(Ordering::Acquire) && begun.elapsed() < SEND_WITHIN {
        ticks.tick().await;
        let (name, client) = turn.next().cloned()?;
        let (shared, accepted) = (shared.clone(), accepted.clone());
        sends.spawn(async move {
            let became = send(&shared, &name, &client, room, "still there?", SEND_WITHIN).await;
            let at = begun.elapsed();
            let acked = matches!(became, Became::Acked(_));
            accepted.fetch_or(acked, Ordering::AcqRel);
            acked.then_some(at)
        });
    }
    while let Some(done) = sends.join_next().await {
        let at = done.ok().flatten();
        first = match (first, at) {
            (Some(first), Some(at)) => Some(first.min(at)),
            (first, at) => first.or(at),
        };
    }
    // What the room's new owner is asked next is not part of this.
    sleep(Duration::from_millis(200)).await;
    first
}
