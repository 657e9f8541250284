//! Clients that look on at a replay: connected as a Rust program connects, each following all rooms, each
//! with a ledger.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use hubbub_client::Config;
use hubbub_client::ledger::{Ledger, Verdict, Witness};
use hubbub_client::rest::Rest;
use hubbub_protocol::event::{Event, EventBody};
use hubbub_protocol::ids::{CommunityId, RoomId, Seq};
use tokio::time::{Instant, sleep};

use crate::parallel::in_parallel;

/// Accounts the clients belong to; each registration costs a password's hash.
const ACCOUNTS_MAX: usize = 20;
/// Clients that join at the same time.
const JOINING_AT_ONCE: usize = 16;
/// Events of a log read at once.
const PAGE: usize = 100;
const PASSWORD: &str = "correct horse battery staple";

/// The owner of a community in which an archive is replayed.
#[derive(Debug)]
pub(crate) struct Owner {
    pub(crate) rest: Rest,
    pub(crate) community: CommunityId,
    tokens: Vec<String>,
}

impl Owner {
    /// Registers the owner and other members, and makes the community.
    pub(crate) async fn register(url: &str, community: &str) -> Result<Self> {
        let nobody = Rest::new(url);
        let mut tokens = Vec::with_capacity(ACCOUNTS_MAX);
        for number in 0..ACCOUNTS_MAX {
            let signed = nobody.register(&format!("audience{number}"), PASSWORD).await?;
            tokens.push(signed.access_token);
        }
        let rest = nobody.with_token(&tokens[0]);
        let community = rest.create_community(community, true).await?.id;
        for token in tokens.iter().skip(1) {
            nobody.with_token(token).join(community).await?;
        }
        Ok(Self { rest, community, tokens })
    }

    /// Makes rooms of these names.
    pub(crate) async fn make_rooms(&self, names: &[String]) -> Result<Vec<RoomId>> {
        let mut rooms = Vec::with_capacity(names.len());
        let there = self.rest.rooms(self.community).await?;
        for name in names {
            // Every community begins with a room `general`.
            if let Some(room) = there.iter().find(|room| room.name == *name) {
                rooms.push(room.id);
                continue;
            }
            let made = self.rest.create_room(self.community, name, false).await;
            rooms.push(made.with_context(|| format!("making the room `{name}`"))?.id);
        }
        Ok(rooms)
    }

    /// Lets `clients` clients each follow one in `every` of `rooms`, and the threads that begin there.
    pub(crate) async fn audience(&self, clients: usize, every: usize, rooms: &[RoomId]) -> Result<Vec<Witness>> {
        in_parallel(clients, JOINING_AT_ONCE, |number| {
            let config = Config::new(self.rest.base(), &self.tokens[number % self.tokens.len()]);
            let rooms: Vec<RoomId> = rooms.iter().copied().skip(number % every).step_by(every).collect();
            async move {
                let witness = Witness::follow(config, &rooms, true).await;
                witness.with_context(|| format!("client {number} could not follow its rooms"))
            }
        })
        .await
    }

    /// Reads the logs of `rooms` and of their threads into a ledger; gives how many messages are in them too.
    pub(crate) async fn logs(&self, rooms: &[RoomId]) -> Result<(Ledger, u64)> {
        let (mut log, mut messages, mut open) = (Ledger::default(), 0, rooms.to_vec());
        while let Some(room) = open.pop() {
            log.begin(room, Seq(0));
            let mut after = Some(Seq(0));
            while let Some(from) = after {
                let (pushes, next) = self.rest.events(room, from, PAGE).await?;
                for push in pushes {
                    let event = Event::decode(&push)?;
                    log.note(room, event.seq, &push);
                    match event.body {
                        EventBody::MessageCreated(_) => messages += 1,
                        EventBody::ThreadCreated { room, .. } => open.push(room),
                        _ => {}
                    }
                }
                after = next;
            }
        }
        Ok((log, messages))
    }
}

/// Waits until all have seen what `log` has, for at most `within`, and judges them.
pub(crate) async fn judge(audience: Vec<Witness>, log: &Ledger, within: Duration) -> Result<Verdict> {
    ensure!(log.faults() == hubbub_client::ledger::Faults::default(), "a log itself has holes: {:?}", log.faults());
    let until = Instant::now() + within;
    while !audience.iter().all(|witness| witness.has_all_of(log)) && Instant::now() < until {
        sleep(Duration::from_millis(100)).await;
    }
    let mut verdict = Verdict::default();
    for witness in audience {
        verdict += witness.end().await.context("a client ended early")?.verdict(log);
    }
    Ok(verdict)
}
