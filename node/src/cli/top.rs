//! `hubbub top`: the cluster as it works now, drawn again every other second: nodes, shards, rates, queues, hot rooms.
//!
//! * [`look`] asks a running node.
//! * [`picture`] makes rates of two looks: pure, and what `--json` prints.
//! * [`words`] how figures are written, and the tables.
//! * [`view`] what somebody is looking at, and what their keys do: pure.
//! * [`draw`] puts a view on a screen.
//! * [`screen`] the terminal itself.
//!
//! # Failure
//!
//! A look that fails leaves the last picture standing, with what went wrong below it; the next look follows as ever.

mod draw;
mod look;
mod picture;
mod screen;
mod view;
mod words;

use std::{io::IsTerminal, path::Path, time::Duration};

use clap::Args;

use self::{look::Look, picture::Picture};
use super::{admin_link::AdminLink, failure::Failure, output, reach::Reach};
use crate::{
    config::units,
    http::admin_hot::{HotBy, HotRooms},
};

/// Shortest time between two looks: each asks every node.
const INTERVAL_MIN: Duration = Duration::from_millis(250);
/// Longest: rates of a longer time tell little of now.
const INTERVAL_MAX: Duration = Duration::from_secs(60);

/// Options of `top`.
#[derive(Debug, Args)]
pub struct Top {
    /// Time between two looks, from 250ms to 1min.
    #[arg(long, default_value = "2s", value_name = "TIME")]
    pub interval: String,
    /// Compare rooms by this at first.
    #[arg(long, value_enum, default_value_t)]
    pub by: HotBy,
    /// Look twice, an interval apart, print what was seen, and end; so it is anyway where no terminal is.
    #[arg(long)]
    pub once: bool,
    /// The same as JSON.
    #[arg(long)]
    pub json: bool,
    /// Which node is asked.
    #[command(flatten)]
    pub reach: Reach,
}

impl Top {
    fn interval(&self) -> Result<Duration, Failure> {
        let time = units::time(&self.interval).filter(|time| (INTERVAL_MIN..=INTERVAL_MAX).contains(time));
        time.ok_or_else(|| {
            Failure::Usage(format!("--interval `{}` is no time from `250ms` to `1min`", self.interval))
        })
    }

    /// Shows the cluster.
    ///
    /// # Errors
    /// The documented failures; once something is shown, only those of the terminal.
    pub async fn run(self, data_dir: &Path) -> Result<(), Failure> {
        let interval = self.interval()?;
        let (link, _) = self.reach.running(data_dir, "start it with `hubbub serve`").await?;
        if self.once || self.json || !std::io::stdout().is_terminal() {
            return once(&link, interval, self.by, self.json).await;
        }
        screen::show(&link, interval, self.by).await
    }
}

/// The hot rooms as text, for `room hot`.
#[must_use]
pub fn hot_rooms(hot: &HotRooms) -> String {
    words::rooms(hot)
}

async fn once(link: &AdminLink, interval: Duration, by: HotBy, json: bool) -> Result<(), Failure> {
    let before = Look::take(link, by).await?;
    tokio::time::sleep(interval).await;
    let picture = Picture::of(Some(&before), &Look::take(link, by).await?);
    if json {
        return output::json(&picture);
    }
    output::line(&words::page(&picture));
    Ok(())
}
