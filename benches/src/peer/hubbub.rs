//! Hubbub as a peer: the `hubbub` binary, empty, spoken to as `docs/protocol.md` says and not otherwise.
//!
//! # Invariants
//! - Every client asks for everything a client gets by default: the pushes nobody needs here are part of the price.
//! - Texts are durable before anything is delivered; no switch of a node is touched but registration and rate limits,
//!   which one machine playing a thousand people would run into at once, and what the peer's name sets.

mod deployment;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use async_trait::async_trait;
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

impl HubbubPeer {
    pub(crate) async fn start(spec: &Spec, binary: &Path) -> Result<Self> {
        Self::over(spec.to_string(), Deployment::start(spec, binary).await?)
    }

    /// The peer of nodes that are up.
    fn over(name: String, deployment: Deployment) -> Result<Self> {
        let rest = Rest::new(deployment.address(0))?;
        let accounts = Accounts::new(rest.clone());
        Ok(Self { name, deployment, accounts, rest })
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
        let accounts = self.accounts.grow(clients).await?;
        let owner = self.accounts.token(0).await?;
        let communities = in_parallel(rooms.div_ceil(ROOMS_PER_COMMUNITY), CALLS_AT_ONCE, |_| {
            let (rest, owner) = (self.rest.clone(), owner.clone());
            let body = json!({"name": "bench", "public": true});
            async move { string(&rest.call(Method::POST, "/communities", Some(&owner), Some(&body)).await?, "id") }
        });
        let communities = communities.await.context("making the communities")?;
        let members = memberships(clients, accounts, rooms);
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

    async fn join(&self, client: usize, place: usize, room: &str) -> Result<(Link, Inbox)> {
        let token = self.accounts.token(client).await?;
        let address = self.deployment.address(place);
        let (link, mut inbox) = Link::open(address, "/v1/ws", Some(SUBPROTOCOL)).await?;
        link.heard(&mut inbox, |frame| frame["ev"] == "hello").await?;
        let identify = json!({"id": IDENTIFY, "op": "identify", "token": token, "device": "bench"});
        link.request(&mut inbox, IDENTIFY, &identify.to_string()).await?;
        let subscribe = json!({"id": SUBSCRIBE, "op": "subscribe", "room": room});
        link.request(&mut inbox, SUBSCRIBE, &subscribe.to_string()).await?;
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
fn memberships(clients: usize, accounts: usize, rooms: usize) -> Vec<(usize, usize)> {
    let of = |client: usize| (client % accounts.max(1), client % rooms.max(1) / ROOMS_PER_COMMUNITY);
    let members: BTreeSet<_> = (0..clients).map(of).filter(|(account, _)| *account > 0).collect();
    members.into_iter().collect()
}

/// Where cargo puts the node: beside this program.
pub(crate) fn default_binary() -> Result<PathBuf> {
    let own = std::env::current_exe().context("finding this program")?;
    Ok(own.with_file_name("hubbub"))
}

#[cfg(test)]
mod tests;
