//! Opens the store that the configuration names, and shows how its connections stand.

use std::{str::FromStr, sync::Arc};

use hubbub_storage::{PoolStatus, PostgresConfig, PostgresStore, PostgresUrl, SqliteStore, Store};
use prometheus::{IntGaugeVec, Opts, Registry};

use crate::{cli::failure::Failure, config::StoreConfig, datadir::DataDir};

/// The name of the embedded store.
pub const EMBEDDED: &str = "sqlite";

/// Whether `url` names a store that there is.
#[must_use]
pub fn is_known(url: &str) -> bool {
    url == EMBEDDED || PostgresUrl::from_str(url).is_ok()
}

/// Opens it: the file in `data`, or the database that the URL names.
///
/// # Errors
/// A sentence with the remedy.
pub async fn open(data: &DataDir, config: &StoreConfig) -> Result<Arc<dyn Store>, Failure> {
    if config.url == EMBEDDED {
        return Ok(Arc::new(SqliteStore::open(&data.store()).await?));
    }
    let url = PostgresUrl::from_str(&config.url).map_err(Failure::Usage)?;
    Ok(Arc::new(PostgresStore::open(&url, connections(config)).await?))
}

/// The store as an operator may see it: without a password.
#[must_use]
pub fn shown(url: &str) -> String {
    PostgresUrl::from_str(url).map_or_else(|_| EMBEDDED.to_owned(), |url| url.to_string())
}

/// Lanes that append side by side.
#[must_use]
pub fn lanes(config: &StoreConfig) -> usize {
    if config.url == EMBEDDED { 1 } else { usize::from(config.lanes) }
}

/// How many connections a database is asked for.
#[must_use]
pub fn connections(config: &StoreConfig) -> PostgresConfig {
    PostgresConfig {
        lanes: usize::from(config.lanes),
        readers: usize::from(config.readers),
        writers: usize::from(config.writers),
    }
}

/// One number of a pool's.
type Number = fn(&PoolStatus) -> u64;

/// Name and meaning of each gauge, by pool; docs/metrics.md tells of them.
const GAUGES: [(&str, &str, Number); 6] = [
    ("hubbub_store_connections", "connections to the database open", |pool| pool.open as u64),
    ("hubbub_store_connections_max", "connections that may be open", |pool| pool.max as u64),
    ("hubbub_store_connections_idle", "connections open and not at work", |pool| pool.idle as u64),
    ("hubbub_store_connections_lost", "connections that failed since the start", |pool| pool.lost),
    ("hubbub_store_waits", "times that all connections were at work, since the start", |pool| pool.waits),
    ("hubbub_store_waited_ms", "milliseconds waited for a connection since the start", |pool| pool.waited_ms),
];

/// Gauges of a store's connections.
#[derive(Debug)]
pub struct PoolGauges(Vec<(IntGaugeVec, Number)>);

impl PoolGauges {
    /// Registers them; none shows until a store has connections.
    #[must_use]
    pub fn register(registry: &Registry) -> Self {
        let made = GAUGES.iter().filter_map(|(name, help, number)| {
            let gauge = IntGaugeVec::new(Opts::new(*name, *help), &["pool"]).ok()?;
            registry.register(Box::new(gauge.clone())).ok()?;
            Some((gauge, *number))
        });
        Self(made.collect())
    }

    /// Sets them.
    pub fn set(&self, pools: &[PoolStatus]) {
        for (gauge, number) in &self.0 {
            for pool in pools {
                gauge.with_label_values(&[pool.name]).set(i64::try_from(number(pool)).unwrap_or(i64::MAX));
            }
        }
    }
}
