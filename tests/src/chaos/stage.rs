//! What people meet in: one community, its rooms, and an account for each.

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use hubbub_client::{Account, Backoff, Client, Config, Updates, rest::Rest};
use hubbub_protocol::{
    ids::{CommunityId, RoomId},
    rest::SignedIn,
};

use super::members::Members;
use crate::PASSWORD;

/// The longest wait of a client between two connections. The product's own, 30 s, would leave clients out of most of
/// what happens: faults last seconds.
const LONGEST_WAIT: Duration = Duration::from_secs(2);

/// The place.
#[derive(Debug, Clone)]
pub struct Stage {
    /// The community.
    pub community: CommunityId,
    /// Its rooms.
    pub rooms: Vec<RoomId>,
    owner: SignedIn,
}

impl Stage {
    /// Makes a community with `rooms` rooms at the node at `url`.
    ///
    /// # Errors
    /// What the node refused.
    pub async fn set(url: &str, rooms: usize) -> anyhow::Result<Self> {
        let rest = Rest::new(url);
        let owner = rest.register("owner", PASSWORD).await.context("register")?;
        let rest = rest.with_token(&owner.access_token);
        let community = rest.create_community("the lab", true).await.context("create a community")?.id;
        let mut made = Vec::new();
        for number in 0..rooms {
            let room = rest.create_room(community, &format!("room-{number}"), false).await;
            made.push(room.context("create a room")?.id);
        }
        Ok(Self { community, rooms: made, owner })
    }

    /// Calls to the node at `url` as the community's owner.
    #[must_use]
    pub fn owner_at(&self, url: &str) -> Rest {
        Rest::new(url).with_token(&self.owner.access_token)
    }

    /// Signs the owner in anew, for a run that outlasts a token.
    ///
    /// # Errors
    /// What the node refused.
    pub async fn owner_anew(&mut self, url: &str) -> anyhow::Result<()> {
        self.owner = Rest::new(url).login("owner", PASSWORD).await?;
        Ok(())
    }

    /// Makes an account that is a member.
    ///
    /// # Errors
    /// What the node refused.
    pub async fn person(&self, url: &str, name: &str) -> anyhow::Result<SignedIn> {
        let rest = Rest::new(url);
        let signed = rest.register(name, PASSWORD).await.context("register")?;
        rest.with_token(&signed.access_token).join(self.community).await.context("join the community")?;
        Ok(signed)
    }
}

/// How somebody connects to `url`, which may be that of a gate.
#[must_use]
pub fn config(url: &str, signed: SignedIn) -> Config {
    let account = Account::new(Rest::new(url), signed);
    let mut config = Config::with_source(url, Arc::new(account));
    config.backoff = Backoff { longest: LONGEST_WAIT, ..Backoff::default() };
    config
}

/// The clients of people who only follow or only send, each at a node.
///
/// # Errors
/// What a node refused.
pub async fn connect(
    members: &Members,
    stage: &Stage,
    name: &str,
    node: usize,
) -> anyhow::Result<(Client, Updates)> {
    let url = members.url(node);
    let signed = stage.person(&url, name).await?;
    Client::connect(config(&url, signed)).await.with_context(|| format!("{name} cannot connect to n{node}"))
}
