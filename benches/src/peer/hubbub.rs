//! Hubbub as a peer: the `hubbub` binary, empty, spoken to as `docs/protocol.md` says and not otherwise.
//!
//! # Invariants
//! - Every client asks for everything a client gets by default: the pushes nobody needs here are part of the price.
//! - Texts are durable before anything is delivered; no switch of a node is touched but registration and rate limits,
//!   which one machine playing a thousand people would run into at once, and what the peer's name sets.

mod deployment;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use async_trait::async_trait;
use reqwest::Method;
use serde_json::json;
use tokio::sync::OnceCell;
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
    community: OnceCell<String>,
}

impl HubbubPeer {
    pub(crate) async fn start(spec: &Spec, binary: &Path) -> Result<Self> {
        Self::over(spec.to_string(), Deployment::start(spec, binary).await?)
    }

    /// The peer of nodes that are up.
    fn over(name: String, deployment: Deployment) -> Result<Self> {
        let rest = Rest::new(deployment.address(0))?;
        let accounts = Accounts::new(rest.clone());
        Ok(Self { name, deployment, accounts, rest, community: OnceCell::new() })
    }

    async fn community(&self) -> Result<String> {
        let make = || async {
            let token = self.accounts.token(0).await?;
            let body = json!({"name": "bench", "public": true});
            let made = self.rest.call(Method::POST, "/communities", Some(&token), Some(&body)).await?;
            string(&made, "id")
        };
        self.community.get_or_try_init(make).await.cloned()
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
        let new = self.accounts.grow(clients).await?;
        let community = self.community().await?;
        // The first account made the community and so is in it.
        let first = new.start.max(1);
        let mut tokens = Vec::with_capacity(new.len());
        for account in first..new.end {
            tokens.push(self.accounts.token(account).await?);
        }
        in_parallel(tokens.len(), CALLS_AT_ONCE, |index| {
            let (rest, token) = (self.rest.clone(), tokens[index].clone());
            let path = format!("/communities/{community}/members/@me");
            async move { rest.call(Method::PUT, &path, Some(&token), None).await }
        })
        .await
        .context("joining the community")?;
        let owner = self.accounts.token(0).await?;
        in_parallel(rooms, CALLS_AT_ONCE, |_| {
            let (rest, owner) = (self.rest.clone(), owner.clone());
            let path = format!("/communities/{community}/rooms");
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

/// Where cargo puts the node: beside this program.
pub(crate) fn default_binary() -> Result<PathBuf> {
    let own = std::env::current_exe().context("finding this program")?;
    Ok(own.with_file_name("hubbub"))
}

#[cfg(test)]
mod tests;
