//! What distribution costs: CPU of all nodes for each delivered message, against one node that does the same work.
//!
//! The same people in the same rooms send the same number of messages in the same time; in the cluster they are spread
//! over the nodes, so most messages are ordered by another node than their sender's, and read by people of all nodes.
//! The database and the people are not counted: both have the same work in both cases.

use std::{sync::atomic::Ordering, time::Duration};

use hubbub_protocol::{ids::Seq, op::Mode};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep, sleep_until},
};

use super::{Ground, settled, until};
use crate::chaos::{
    people::{Became, send},
    run::Orders,
    stage::connect,
};

/// Rooms.
const ROOMS: usize = 12;
/// People in each room: each message is delivered so many times.
const PEOPLE: usize = 50;
/// Messages of each room, and the time between two of them: 12 rooms send 240 a second together, and 12,000 a second
/// are delivered, about half of what two cores can do with the people beside them.
const MESSAGES: u32 = 600;
const PERIOD: Duration = Duration::from_millis(50);
/// How long deliveries may come late.
const LATE: Duration = Duration::from_secs(20);
/// How long what the people did to come in takes to be over.
const SETTLES: Duration = Duration::from_secs(5);
/// How long nothing happens before, so that what nodes use for themselves can be told.
const REST: Duration = Duration::from_secs(10);

/// Measures one node, then a cluster; returns the lines to be shown.
///
/// # Errors
/// When a cluster cannot be founded.
pub async fn spread(orders: &Orders, tell: impl Fn(&str)) -> anyhow::Result<Vec<String>> {
    let mut each = Vec::new();
    let mut lines = Vec::new();
    for nodes in [1, orders.nodes] {
        let orders = Orders { nodes, folder: orders.folder.join(format!("{nodes}")), ..orders.clone() };
        let (cpu_us, line) = once(&orders).await?;
        tell(&line);
        lines.push(line);
        each.push(cpu_us);
    }
    lines.push(format!("ratio {:.2}", each[1] / each[0]));
    Ok(lines)
}

/// Microseconds of CPU of all nodes for each delivered message.
async fn once(orders: &Orders) -> anyhow::Result<(f64, String)> {
    let ground = Ground::lay(orders, ROOMS).await?;
    let (nodes, mut writers) = (ground.members.len(), Vec::new());
    let mut clients = Vec::new();
    for number in 0..ROOMS * PEOPLE {
        let (room, seat) = (ground.stage.rooms[number % ROOMS], number / ROOMS);
        let name = format!("person-{number}");
        let (client, mut updates) = connect(&ground.members, &ground.stage, &name, (seat + number) % nodes).await?;
        let shared = ground.shared.clone();
        tokio::spawn(async move {
            while let Some(update) = updates.next().await {
                if let hubbub_client::Update::Event(event, _) = update
                    && event.key.is_some()
                {
                    shared.tally.events.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
        client.subscribe(room, Some(Seq(0)), Mode::Live).await?;
        if seat == 0 {
            writers.push((name, client.clone(), room));
        }
        clients.push(client);
    }
    settled(&ground.members, SETTLES).await?;
    let used = || (0..nodes).map(|node| ground.members.cpu_s(node)).sum::<f64>();
    let idle = used();
    sleep(REST).await;
    let idle_share = (used() - idle) / REST.as_secs_f64();
    let (before, begun) = (used(), Instant::now());
    let mut sends = JoinSet::new();
    for (name, client, room) in writers {
        let shared = ground.shared.clone();
        sends.spawn(async move {
            let mut acked = 0_u64;
            for number in 0..MESSAGES {
                sleep_until(begun + PERIOD * number).await;
                let became = send(&shared, &name, &client, room, "the same work", LATE).await;
                acked += u64::from(matches!(became, Became::Acked(_)));
            }
            acked
        });
    }
    let acked: u64 = sends.join_all().await.into_iter().sum();
    let events = &ground.shared.tally.events;
    let expected = acked * PEOPLE as u64;
    let all = until(LATE, || events.load(Ordering::Relaxed) >= expected).await;
    let (cpu_s, delivered) = (used() - before, events.load(Ordering::Relaxed));
    #[expect(clippy::cast_precision_loss, reason = "far fewer than 2^52")]
    let each_us = cpu_s * 1e6 / delivered.max(1) as f64;
    let missing = if all { "" } else { ", and some were missing" };
    let line = format!(
        "{nodes} nodes: {delivered} messages delivered in {:.0} s{missing}, {cpu_s:.2} s of CPU, {each_us:.1} us each; \
         {:.1} % of a core before, when idle",
        begun.elapsed().as_secs_f64(),
        idle_share * 100.0,
    );
    Ok((each_us, line))
}
