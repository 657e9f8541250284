//! The people a benchmark plays: registered once a node, reused by every run on it.
//!
//! Registering costs an Argon2 hash, so it happens before anything is measured, and clients beyond
//! [`ACCOUNTS_MAX`] share accounts, one session each.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::sync::RwLock;

use super::rest::{Rest, string};
use crate::parallel::in_parallel;

/// Distinct users of one node: one for each client of the largest case.
pub(crate) const ACCOUNTS_MAX: usize = 1_000;

/// Password hashes at once; more would only queue on the node.
const REGISTERING_AT_ONCE: usize = 8;

/// Age at which an access token is renewed before a run. It lives for 15 minutes, a run for one.
const TOKEN_AGE_MAX: Duration = Duration::from_secs(5 * 60);

const PASSWORD: &str = "correct horse battery staple";

#[derive(Debug, Clone)]
struct Account {
    access: String,
    refresh: String,
    issued: Instant,
}

#[derive(Debug)]
pub(crate) struct Accounts {
    rest: Rest,
    all: RwLock<Vec<Account>>,
}

impl Accounts {
    pub(crate) fn new(rest: Rest) -> Self {
        let all = RwLock::default();
        Self { rest, all }
    }

    /// Sees to it that `clients` clients have a fresh token, and returns how many accounts there are.
    pub(crate) async fn grow(&self, clients: usize) -> Result<usize> {
        let mut all = self.all.write().await;
        let old = all.len();
        let new = clients.min(ACCOUNTS_MAX).saturating_sub(old);
        let registered = in_parallel(new, REGISTERING_AT_ONCE, |index| {
            let rest = self.rest.clone();
            async move {
                let body = json!({"name": format!("bench{:04}", old + index), "password": PASSWORD});
                signed_in(&rest, "/auth/register", body).await
            }
        });
        let registered = registered.await.context("registering the members")?;
        let renewed = in_parallel(old, REGISTERING_AT_ONCE, |index| {
            let (rest, account) = (self.rest.clone(), all[index].clone());
            async move {
                if account.issued.elapsed() < TOKEN_AGE_MAX {
                    return Ok(account);
                }
                signed_in(&rest, "/auth/refresh", json!({"refresh_token": account.refresh})).await
            }
        });
        *all = renewed.await.context("renewing the members' tokens")?;
        all.extend(registered);
        Ok(all.len())
    }

    /// The access token of client number `client`.
    pub(crate) async fn token(&self, client: usize) -> Result<String> {
        let all = self.all.read().await;
        let account = client.checked_rem(all.len()).and_then(|index| all.get(index));
        Ok(account.context("nobody is registered")?.access.clone())
    }
}

async fn signed_in(rest: &Rest, path: &str, body: Value) -> Result<Account> {
    let answer = rest.call(Method::POST, path, None, Some(&body)).await?;
    Ok(Account {
        access: string(&answer, "access_token")?,
        refresh: string(&answer, "refresh_token")?,
        issued: Instant::now(),
    })
}
