//! Opens the store that the configuration names.

use std::{str::FromStr, sync::Arc};

use hubbub_storage::{PostgresConfig, PostgresStore, PostgresUrl, SqliteStore, Store};

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
