//! Opens the cache that the configuration names.

use std::{str::FromStr, sync::Arc};

use hubbub_storage::{HintCache, NoCache, RedisCache, RedisUrl, Store, StoreError};

use crate::{cli::failure::Failure, membership::Membership};

/// What stands for the cluster of a node that is in none.
const NO_CLUSTER: &str = "alone";

/// Whether `url` names a cache that there is, or none.
#[must_use]
pub fn is_known(url: &str) -> bool {
    url.is_empty() || RedisUrl::from_str(url).is_ok()
}

/// Where the cache is, as an operator may see it: without a password; empty when there is none.
#[must_use]
pub fn shown(url: &str) -> String {
    RedisUrl::from_str(url).map_or_else(|_| String::new(), |url| url.to_string())
}

/// The cache of a node, for `membership`'s cluster; one that does not answer is told in the log, and is a cache all the
/// same.
///
/// # Errors
/// A sentence with the remedy: the URL is none, or the store does not have the installation's secret.
pub async fn open(
    url: &str,
    membership: Option<&Membership>,
    store: &dyn Store,
) -> Result<Arc<dyn HintCache>, Failure> {
    if url.is_empty() {
        return Ok(Arc::new(NoCache));
    }
    let cache = to_redis(url, membership, &secret(store).await?).map_err(Failure::Usage)?;
    match cache.probe().await {
        Ok(_) => tracing::info!(redis = %cache.url(), "hints are shared by Redis"),
        Err(why) => tracing::warn!(
            redis = %cache.url(),
            "Redis does not answer ({why}): the node goes on without it, and tries again"
        ),
    }
    Ok(Arc::new(cache))
}

/// A cache without a word in the log.
pub(crate) fn to_redis(url: &str, membership: Option<&Membership>, secret: &[u8]) -> Result<RedisCache, String> {
    let url = RedisUrl::from_str(url).map_err(|why| format!("`redis.url`: {why}"))?;
    let cluster = membership.map_or_else(|| NO_CLUSTER.to_owned(), |membership| membership.cluster_id.to_string());
    RedisCache::new(url, &cluster, secret)
}

/// What values are sealed with, the same on every node.
async fn secret(store: &dyn Store) -> Result<Vec<u8>, StoreError> {
    let fresh: [u8; 32] = rand::random();
    store.secret_or("cache-key", &fresh).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_known_when_it_is_empty_or_names_a_redis() {
        assert!(is_known("") && is_known("redis://:secret@127.0.0.1:6379/1"));
        assert!(!is_known("127.0.0.1:6379") && !is_known("rediss://127.0.0.1"));
        assert_eq!(shown("redis://:secret@127.0.0.1:6379/1"), "redis://127.0.0.1:6379/1");
        assert_eq!(shown(""), "");
    }
}
