//! Hubbub as a peer: the `hubbub` binary, empty, spoken to as `docs/protocol.md` says and not otherwise.
//!
//! # Invariants
//! - Every client asks for everything a client gets by default: the pushes nobody needs here are part of the price.
//! - Texts are durable before anything is delivered; no switch of a node is touched but registration and rate limits,
//!   which one machine playing a thousand people would run into at once, and what the peer's name sets.

mod deployment;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use async_trait::async_trait;
use hubbub_protocol::ids::RoomId;
use hubbub_tests::chaos::measure;
use reqwest::Method;
use serde_json::json;
use uuid::Uuid;

use self::deployment::Deployment;
use super::accounts::Accounts;
use super::rest::{Rest, string};
use super::{Acknowledgement, Peer, Spec};
use crate::link::Link;
use crate::parallel::in_parallel;
use crate::processes::Part;
use crate::ws::Inbox;

/// REST calls at once while preparing.
const CALLS_AT_ONCE: usize = 8;

/// Rooms of one community. Every member is shown all of them when signing in, so a single community of all rooms of a
/// large case would measure lists of a thousand rooms instead of sign-ins.
const ROOMS_PER_COMMUNITY: usize = 20;

/// How long a cluster rests once it is well, so that the next death finds a settled one.
const REST: Duration = Duration::from_secs(3);

const SUBPROTOCOL: &str = "hubbub.v1.json";

/// Ids of the requests made while joining, above every message's number.
const IDENTIFY: u32 = u32::MAX - 1;
const SUBSCRIBE: u32 = u32::MAX - 2;

#[derive(Debug)]
pub(crate) struct HubbubPeer {
    name: String,
    deployment: Deployment,
    rest: Rest,
    accounts: Accounts,
}

/// A session at a node, and the connection it has.
#[derive(Debug)]
pub(crate) struct Session {
    /// What it is resumed by.
    pub(crate) token: String,
    pub(crate) link: Link,
    pub(crate) inbox: Inbox,
    /// The room's newest seq when it joined, or the cursor from which it resumed.
    pub(crate) head: u64,
}

impl HubbubPeer {
    pub(crate) async fn start(spec: &Spec, binary: &Path) -> Result<Self> {
        let peer = Self::over(spec.to_string(), Deployment::start(spec, binary).await?, spec.users)?;
        if peer.accounts.need_owner() {
            peer.deployment.make_owner().await.context("making the owner")?;
        }
        Ok(peer)
    }

    /// The peer of nodes that are up.
    fn over(name: String, deployment: Deployment, users: Option<usize>) -> Result<Self> {
        let rest = Rest::new(deployment.address(0), deployment.tls())?;
        let accounts = Accounts::new(rest.clone(), users);
        Ok(Self { name, deployment, accounts, rest })
    }

    /// Begins a session of client `client` that follows `room`, from after a seq or from its head.
    pub(crate) async fn identify(
        &self,
        client: usize,
        place: usize,
        room: &str,
        after: Option<u64>,
    ) -> Result<Session> {
        let (link, mut inbox) = self.hello(place).await?;
        let token = self.accounts.token(client).await?;
        let identify = json!({"id": IDENTIFY, "op": "identify", "token": token, "device": "bench"});
        let identified = link.request(&mut inbox, IDENTIFY, &identify.to_string()).await?;
        let subscribe = match after {
            None => json!({"id": SUBSCRIBE, "op": "subscribe", "room": room}),
            Some(after) => json!({"id": SUBSCRIBE, "op": "subscribe", "room": room, "after": after}),
        };
        let subscribed = link.request(&mut inbox, SUBSCRIBE, &subscribe.to_string()).await?;
        let head = after.or_else(|| subscribed["ok"]["head"].as_u64()).unwrap_or_default();
        Ok(Session { token: string(&identified["ok"], "session")?, link, inbox, head })
    }

    /// Takes a session up again that follows `room`, from after `cursor`.
    ///
    /// # Errors
    /// [`SessionUnknown`](crate::link::SessionUnknown) when the node does not know it any more.
    pub(crate) async fn resume(
        &self,
        client: usize,
        place: usize,
        session: &str,
        room: &str,
        cursor: u64,
    ) -> Result<Session> {
        let (link, mut inbox) = self.hello(place).await?;
        let token = self.accounts.token(client).await?;
        let cursors = json!({room: cursor});
        let resume =
            json!({"id": IDENTIFY, "op": "resume", "token": token, "session": session, "cursors": cursors});
        let resumed = link.request(&mut inbox, IDENTIFY, &resume.to_string()).await?;
        Ok(Session { token: string(&resumed["ok"], "session")?, link, inbox, head: cursor })
    }

    async fn hello(&self, place: usize) -> Result<(Link, Inbox)> {
        let (address, tls) = (self.deployment.address(place), self.deployment.tls());
        let (link, mut inbox) = Link::open_under(tls, address, "/v1/ws", Some(SUBPROTOCOL)).await?;
        link.heard(&mut inbox, |frame| frame["ev"] == "hello").await?;
        Ok((link, inbox))
    }

    pub(crate) fn nodes(&self) -> usize {
        self.deployment.nodes()
    }

    /// Ends a node as a loss of power would.
    pub(crate) async fn kill(&self, node: usize) -> Result<()> {
        self.deployment.kill(node).await
    }

    /// Starts a node that was killed.
    pub(crate) async fn start_again(&self, node: usize) -> Result<()> {
        self.deployment.start_again(node).await
    }

    /// Waits until a cluster can lose any node; a single node is always ready.
    pub(crate) async fn settled(&self) -> Result<()> {
        match self.deployment.members() {
            Some(members) => measure::settled(members, REST).await,
            None => Ok(()),
        }
    }

    /// The node of a cluster that orders `room`.
    pub(crate) async fn owner(&self, room: &str) -> Result<Option<usize>> {
        let room: RoomId = room.parse().ok().with_context(|| format!("`{room}` is no room"))?;
        let members = self.deployment.members().context("a single node is no cluster")?;
        Ok(members.owner(room).await)
    }

    /// The node that leads the cluster.
    pub(crate) async fn leader(&self) -> Option<usize> {
        self.deployment.members()?.leader().await
    }

    /// Statements that the database has carried out; `None` of an embedded store. Asking is not one of them.
    pub(crate) async fn statements(&self) -> Result<Option<u64>> {
        let Some(database) = self.deployment.database() else { return Ok(None) };
        let sql = "SELECT sum(calls) FROM pg_stat_statements WHERE query NOT LIKE '%pg_stat_statements%'";
        let url = database.url().to_owned();
        let said = tokio::task::spawn_blocking(move || hubbub_tests::postgres::sql(&url, sql)).await?;
        Ok(Some(said.trim().parse().with_context(|| format!("no count: {said}"))?))
    }

    /// Makes fresh rooms, and lets each client's account into the community of its own; `seats` has a room for each.
    pub(crate) async fn prepare_seated(&self, rooms: usize, seats: &[usize]) -> Result<Vec<String>> {
        let clients = seats.len();
        let accounts = self.accounts.grow(clients).await?;
        let owner = self.accounts.token(0).await?;
        let communities = in_parallel(rooms.div_ceil(ROOMS_PER_COMMUNITY), CALLS_AT_ONCE, |_| {
            let (rest, owner) = (self.rest.clone(), owner.clone());
            let body = json!({"name": "bench", "public": true});
            async move { string(&rest.call(Method::POST, "/communities", Some(&owner), Some(&body)).await?, "id") }
        });
        let communities = communities.await.context("making the communities")?;
        let members = memberships(seats, accounts);
        let mut tokens = Vec::with_capacity(members.len());
        for (account, _) in &members {
            tokens.push(self.accounts.token(*account).await?);
        }
        in_parallel(members.len(), CALLS_AT_ONCE, |index| {
            let (rest, token) = (self.rest.clone(), tokens[index].clone());
            let path = format!("/communities/{}/members/@me", communities[members[index].1]);
            async move { rest.call(Method::PUT, &path, Some(&token), None).await }
        })
        .await
        .context("joining the communities")?;
        in_parallel(rooms, CALLS_AT_ONCE, |room| {
            let (rest, owner) = (self.rest.clone(), owner.clone());
            let path = format!("/communities/{}/rooms", communities[room / ROOMS_PER_COMMUNITY]);
            let name = format!("bench-{}", Uuid::new_v4().simple());
            async move {
                let body = json!({"name": &name[..24], "kind": "text"});
                string(&rest.call(Method::POST, &path, Some(&owner), Some(&body)).await?, "id")
            }
        })
        .await
        .context("making the rooms")
    }
}

#[async_trait]
impl Peer for HubbubPeer {
    fn name(&self) -> &str {
        &self.name
    }

    fn acknowledgement(&self) -> Acknowledgement {
        Acknowledgement::Reply
    }

    fn heartbeat(&self) -> Option<&'static str> {
        // No benchmark sends so many messages that this id is one of theirs.
        Some(r#"{"id":4294967295,"op":"heartbeat"}"#)
    }

    fn parts(&self) -> Vec<Part> {
        self.deployment.parts()
    }

    async fn prepare(&self, rooms: usize, clients: usize) -> Result<Vec<String>> {
        self.prepare_seated(rooms, &(0..clients).map(|client| client % rooms.max(1)).collect::<Vec<_>>()).await
    }

    async fn join(&self, client: usize, place: usize, room: &str) -> Result<(Link, Inbox)> {
        let Session { link, inbox, .. } = self.identify(client, place, room, None).await?;
        Ok((link, inbox))
    }

    fn say(&self, id: u32, room: &str, key: Uuid, text: &str) -> String {
        format!(r#"{{"id":{id},"op":"send","room":"{room}","key":"{key}","text":"{text}"}}"#)
    }

    async fn stop(&self) -> Result<()> {
        self.deployment.stop().await
    }
}

/// Which account has to join which community: that of the room of each of its clients. The first account made all of
/// them and so is in each.
fn memberships(seats: &[usize], accounts: usize) -> Vec<(usize, usize)> {
    let of = |(client, room): (usize, &usize)| (client % accounts.max(1), room / ROOMS_PER_COMMUNITY);
    let members: BTreeSet<_> = seats.iter().enumerate().map(of).filter(|(account, _)| *account > 0).collect();
    members.into_iter().collect()
}

/// Where cargo puts the node: beside this program.
pub(crate) fn default_binary() -> Result<PathBuf> {
    let own = std::env::current_exe().context("finding this program")?;
    Ok(own.with_file_name("hubbub"))
}

#[cfg(test)]
mod tests;
