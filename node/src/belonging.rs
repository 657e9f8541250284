//! Which cluster a store belongs to: one, for as long as there is the store.
//!
//! The cluster's number is kept in the store itself. `init` writes it, once; `join` asks no cluster but that one to be
//! let in, and every `serve` looks before it does anything else. Two clusters over one database would take rooms over
//! from each other for ever, and a member over an empty database would serve rooms that nobody else has.
//!
//! # Invariants
//!
//! * The number is written once: of two clusters that are founded over one store at once, one is refused.
//! * Nothing here takes a store from a cluster but [`take`] with that cluster's id, typed by whoever knows that it is
//!   gone.
//!
//! # Failure
//!
//! One sentence, with the remedy; the store is as it was.

use hubbub_cluster::{identity::ClusterId, join::cluster_id};
use hubbub_protocol::ids::NodeId;
use hubbub_storage::Store;
use sha2::{Digest as _, Sha256};

use crate::{cli::failure::Failure, membership::Membership, store};

/// Under which name the number is kept.
const NAME: &str = "cluster";
/// Begins what a cluster's number is the hash of.
const CONTEXT: &[u8] = b"hubbub cluster 1";

/// The number of the cluster that is founded in the data directory `data_dir`. The same each time, so that an `init`
/// that was cut off can be repeated there.
#[must_use]
pub fn number(data_dir: u128) -> u128 {
    let hash = Sha256::new().chain_update(CONTEXT).chain_update(data_dir.to_be_bytes()).finalize();
    hash.iter().take(16).fold(0, |number, byte| number << 8 | u128::from(*byte))
}

/// The cluster that `store` belongs to.
///
/// # Errors
/// The store cannot be read.
pub async fn of(store: &dyn Store) -> Result<Option<u128>, Failure> {
    let kept = store.secret(NAME).await?;
    Ok(kept.and_then(|bytes| bytes.try_into().ok()).map(u128::from_be_bytes))
}

/// Lets `store`, at `url`, belong to `cluster` from now on: one that belongs to none, or to the cluster `instead_of`.
///
/// # Errors
/// [`Failure::Conflict`]: it belongs to another one.
pub async fn take(
    store: &dyn Store,
    url: &str,
    cluster: u128,
    instead_of: Option<&ClusterId>,
) -> Result<(), Failure> {
    if let Some(now) = of(store).await?
        && Some(&cluster_id(now)) == instead_of
    {
        store.forget_secret(NAME).await?;
    }
    let kept = store.secret_or(NAME, &cluster.to_be_bytes()).await?;
    if kept == cluster.to_be_bytes() {
        return Ok(());
    }
    let other = <[u8; 16]>::try_from(kept).map_or(0, u128::from_be_bytes);
    let (url, other) = (store::shown(url), cluster_id(other));
    Err(Failure::Conflict(format!(
        "{url} belongs to the cluster {other} already, and a database is one cluster's: add this node to that cluster \
         with `hubbub join`, or set `store.url` to a database of its own; only if every node of {other} is gone for \
         good, found its successor with `hubbub init --instead-of {other}`"
    )))
}

/// The cluster that a node over `store`, at `url`, can join.
///
/// # Errors
/// [`Failure::Conflict`]: there is none.
pub async fn to_join(store: &dyn Store, url: &str) -> Result<ClusterId, Failure> {
    of(store).await?.map(cluster_id).ok_or_else(|| Failure::Conflict(of_none(url)))
}

/// Whether the node of `membership`, or one that is no member, may serve over `store`, at `url`.
///
/// # Errors
/// [`Failure::Conflict`].
pub async fn check(store: &dyn Store, url: &str, membership: Option<&Membership>) -> Result<(), Failure> {
    let shown = store::shown(url);
    let sentence = match (of(store).await?.map(cluster_id), membership) {
        (None, None) => return Ok(()),
        (Some(owner), Some(member)) if owner == member.cluster_id => return Ok(()),
        (None, Some(_)) => of_none(url),
        (Some(owner), Some(Membership { node, cluster_id, .. })) => other(&shown, &owner, *node, cluster_id),
        (Some(owner), None) => format!(
            "{shown} belongs to the cluster {owner}, and this node is no member of it: add it with `hubbub join`, or \
             set `store.url` to a database of its own"
        ),
    };
    Err(Failure::Conflict(sentence))
}

fn other(shown: &str, owner: &ClusterId, node: NodeId, own: &ClusterId) -> String {
    format!(
        "{shown} belongs to the cluster {owner}, and this is node {node} of the cluster {own}: set `store.url` to the \
         database that the other members have; if {owner} took its place, join that one with an empty --data-dir"
    )
}

fn of_none(url: &str) -> String {
    let shown = store::shown(url);
    format!(
        "{shown} is the database of no cluster: set `store.url` to the one that the other members have; a new cluster \
         begins with `hubbub init` in an empty --data-dir"
    )
}
