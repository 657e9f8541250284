//! `hubbub store migrate`: everything from the embedded store to a PostgreSQL database.

use std::{path::Path, str::FromStr};

use clap::{Args, Subcommand, ValueEnum};
use hubbub_storage::{
    PostgresUrl, SqliteStore,
    transfer::{self, TransferError},
};

use super::{bar::Bar, failure::Failure, output};
use crate::datadir::DataDir;

/// What to do with the store.
#[derive(Debug, Subcommand)]
pub enum StoreCommand {
    /// Move everything from the embedded store of a stopped node to a PostgreSQL database.
    Migrate(Migrate),
}

/// A store to move from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum From {
    /// The embedded one, in the data directory.
    Sqlite,
}

/// Options of `store migrate`.
#[derive(Debug, Args)]
pub struct Migrate {
    /// Where everything is now.
    #[arg(long, value_enum)]
    pub from: From,
    /// An empty database: postgres://USER:PASSWORD@HOST:PORT/DATABASE.
    #[arg(long, value_name = "URL", env = "HUBBUB_MIGRATE_TO", hide_env_values = true)]
    pub to: String,
    /// Print what was moved as JSON.
    #[arg(long)]
    pub json: bool,
}

impl StoreCommand {
    /// Carries the command out.
    ///
    /// # Errors
    /// A sentence with the remedy; nothing was moved then.
    pub async fn run(self, data_dir: &Path) -> Result<(), Failure> {
        let Self::Migrate(options) = self;
        let From::Sqlite = options.from;
        options.run(data_dir).await
    }
}

impl Migrate {
    async fn run(self, data_dir: &Path) -> Result<(), Failure> {
        let to = PostgresUrl::from_str(&self.to).map_err(Failure::Usage)?;
        if !data_dir.join("hubbub.sqlite").is_file() {
            let place = data_dir.display();
            return Err(Failure::NotFound(format!(
                "there is no embedded store in {place}: name the node's directory with --data-dir"
            )));
        }
        let data = DataDir::hold(data_dir)?;
        let from = SqliteStore::open(&data.store()).await?;
        let mut bar = Bar::counting("rows");
        let moved = transfer::to_postgres(&from, &to, |step| bar.show_count(step.done, step.total)).await;
        bar.clear();
        from.close().await;
        let moved = moved.map_err(failure)?;
        if self.json {
            return output::json(&serde_json::json!({
                "rows": moved.rows, "events": moved.events, "rooms": moved.rooms, "to": to.to_string(),
            }));
        }
        output::line(&format!(
            "moved {} rows, {} events of {} rooms among them, and compared each with its source",
            moved.rows, moved.events, moved.rooms
        ));
        output::line(&format!(
            "start the node with the store {to} from now on; {} is a backup of this moment",
            data.store().display()
        ));
        Ok(())
    }
}

fn failure(error: TransferError) -> Failure {
    match error {
        TransferError::NotEmpty(_) => Failure::Conflict(error.to_string()),
        TransferError::Open(error) => error.into(),
        other => Failure::Failed(other.to_string()),
    }
}
