//! `hubbub log-level`: shows or changes which lines a running node writes to its log.

use std::path::Path;

use clap::Args;

use super::{failure::Failure, output, reach::Reach};
use crate::http::admin_logs::{LogLevel as Shown, SetLogLevel};

const PATH: &str = "/v1/admin/log-level";

/// Options of `log-level`.
#[derive(Debug, Args)]
pub struct LogLevel {
    /// The new levels by module, such as `info,hubbub_actors=debug`. Without it they are shown.
    #[arg(value_name = "FILTER")]
    pub filter: Option<String>,
    /// Go back to the levels that the node started with.
    #[arg(long, conflicts_with = "filter")]
    pub reset: bool,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
    /// Which node.
    #[command(flatten)]
    pub reach: Reach,
}

impl LogLevel {
    /// Carries the command out.
    ///
    /// # Errors
    /// No node runs there, the filter cannot be read, or the caller may not.
    pub async fn run(self, data_dir: &Path) -> Result<(), Failure> {
        let (link, _) = self.reach.running(data_dir, "start it with `hubbub serve`").await?;
        let shown: Shown = if self.filter.is_some() || self.reset {
            link.put(PATH, &SetLogLevel { filter: self.filter }).await?
        } else {
            link.get(PATH).await?
        };
        if self.json {
            return output::json(&shown);
        }
        output::line(&shown.filter);
        if shown.filter != shown.configured {
            output::tell(&format!(
                "until it is started again or reset (`hubbub log-level --reset`); it started with {}",
                shown.configured
            ));
        }
        Ok(())
    }
}
