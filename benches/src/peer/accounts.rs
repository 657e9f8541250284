//! The people a benchmark plays: registered once a node, reused by every run on it.
//!
//! Registering costs an Argon2 hash, so it happens before anything is measured, and clients beyond [`ACCOUNTS_MAX`]
//! share accounts, one session each. A case that asks for a number of users has them made by an owner, without
//! passwords and so without hashes, and signed in by tokens.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::sync::RwLock;

use super::rest::{Rest, string};
use crate::parallel::in_parallel;

/// Distinct users of one node, unless a case asks for others: one for each client of the largest case.
pub(crate) const ACCOUNTS_MAX: usize = 1_000;

/// Password hashes at once; more would only queue on the node.
const REGISTERING_AT_ONCE: usize = 8;

/// Age at which an access token is renewed before a run. It lives for 15 minutes, a run for one.
const TOKEN_AGE_MAX: Duration = Duration::from_secs(5 * 60);

/// Who makes accounts without passwords.
pub(crate) const OWNER: &str = "owner";

pub(crate) const PASSWORD: &str = "correct horse battery staple";

#[derive(Debug, Clone)]
struct Account {
    access: String,
    refresh: String,
    issued: Instant,
}

#[derive(Debug)]
pub(crate) struct Accounts {
    rest: Rest,
    max: usize,
    by_owner: bool,
    all: RwLock<Vec<Account>>,
}

impl Accounts {
    /// At most as many as asked for, whom more clients share.
    pub(crate) fn new(rest: Rest, users: Option<usize>) -> Self {
        Self { rest, max: users.unwrap_or(ACCOUNTS_MAX), by_owner: users.is_some(), all: RwLock::default() }
    }

    /// Whether an owner has to be there before they can grow.
    pub(crate) const fn need_owner(&self) -> bool {
        self.by_owner
    }

    /// Sees to it that `clients` clients have a fresh token, and returns how many accounts there are.
    pub(crate) async fn grow(&self, clients: usize) -> Result<usize> {
        let mut all = self.all.write().await;
        let old = all.len();
        let new = clients.min(self.max).saturating_sub(old);
        let owner = match self.need_owner() && new > 0 {
            true => {
                let owner = json!({"name": OWNER, "password": PASSWORD});
                Some(
                    signed_in(&self.rest, "/auth/login", None, owner).await.context("signing the owner in")?.access,
                )
            }
            false => None,
        };
        let registered = in_parallel(new, REGISTERING_AT_ONCE, |index| {
            let (rest, owner, name) = (self.rest.clone(), owner.clone(), format!("bench{:04}", old + index));
            async move {
                let Some(owner) = owner else {
                    let body = json!({"name": name, "password": PASSWORD});
                    return signed_in(&rest, "/auth/register", None, body).await;
                };
                let made =
                    rest.call(Method::POST, "/admin/users", Some(&owner), Some(&json!({"name": name}))).await?;
                let path = format!("/admin/users/{}/token", string(&made, "id")?);
                signed_in(&rest, &path, Some(&owner), json!({"device": "bench"})).await
            }
        });
        let registered = registered.await.context("registering the members")?;
        let renewed = in_parallel(old, REGISTERING_AT_ONCE, |index| {
            let (rest, account) = (self.rest.clone(), all[index].clone());
            async move {
                if account.issued.elapsed() < TOKEN_AGE_MAX {
                    return Ok(account);
                }
                signed_in(&rest, "/auth/refresh", None, json!({"refresh_token": account.refresh})).await
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

async fn signed_in(rest: &Rest, path: &str, by: Option<&str>, body: Value) -> Result<Account> {
    let answer = rest.call(Method::POST, path, by, Some(&body)).await?;
    Ok(Account {
        access: string(&answer, "access_token")?,
        refresh: string(&answer, "refresh_token")?,
        issued: Instant::now(),
    })
}
