//! The log of a node: lines on standard error, for people or as JSON, and which of them are written.
//!
//! Levels by module come from `log.filter` and can be changed while the node runs, until it stops
//! (`hubbub log-level`).
//!
//! # Invariants
//!
//! * Whoever changes the levels is told in the log itself, if it still tells such things, so a quiet log says why.
//! * A filter that cannot be read changes nothing.
//! * No line holds what people wrote, or what signs them in; the tests of the whole product look for both.

use std::{fmt, sync::Arc};

use clap::ValueEnum;
use parking_lot::Mutex;
use tracing_subscriber::{EnvFilter, Layer, Registry, layer::SubscriberExt, reload, util::SubscriberInitExt};

use crate::config::LogConfig;

/// Longest filter in bytes: a level for each of our modules and of a few others.
const FILTER_BYTES_MAX: usize = 2_000;
/// Levels, from none to all.
const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// How lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Human,
    /// One JSON object a line, for programs.
    Json,
}

/// Why levels are not changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LevelsError {
    /// The text is no filter.
    #[error(
        "`{filter}` cannot be read ({why}): give levels by module, such as `info,hubbub_actors=debug`; a level is off, \
         error, warn, info, debug or trace"
    )]
    Unreadable {
        /// What was given, or its beginning.
        filter: String,
        /// What is wrong with it.
        why: String,
    },
    /// This process does not log by a filter of its own.
    #[error("this process does not log: start the node with `hubbub serve`")]
    NoLog,
}

type Handle = reload::Handle<EnvFilter, Registry>;

/// The levels of a running node.
pub struct Levels {
    configured: String,
    current: Mutex<String>,
    handle: Option<Handle>,
}

impl fmt::Debug for Levels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Levels").field("current", &*self.current.lock()).finish_non_exhaustive()
    }
}

/// Reads a filter. A word alone that is no level would count as a module that tells everything: it is a slip of the
/// pen, and refused.
///
/// # Errors
/// [`LevelsError::Unreadable`].
pub fn filter(text: &str) -> Result<EnvFilter, LevelsError> {
    let unreadable = |why: &dyn fmt::Display| LevelsError::Unreadable {
        filter: text.chars().take(100).collect(),
        why: why.to_string(),
    };
    if text.trim().is_empty() || text.len() > FILTER_BYTES_MAX {
        return Err(unreadable(&format_args!("it is empty, or longer than {FILTER_BYTES_MAX} bytes")));
    }
    let parts: Vec<&str> = text.split(',').map(str::trim).collect();
    for part in &parts {
        let level = part.rsplit_once('=').map_or(*part, |(_, level)| level);
        if !LEVELS.iter().any(|known| level.eq_ignore_ascii_case(known)) {
            return Err(unreadable(&format_args!("`{level}` is no level")));
        }
    }
    EnvFilter::try_new(parts.join(",")).map_err(|error| unreadable(&error))
}

/// Begins to log as `config` says.
///
/// # Errors
/// [`LevelsError::Unreadable`].
pub fn begin(config: &LogConfig) -> Result<Arc<Levels>, LevelsError> {
    let (levels, handle) = reload::Layer::new(filter(&config.filter)?);
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let lines = match config.format {
        LogFormat::Json => lines.json().boxed(),
        LogFormat::Human => lines.with_ansi(false).boxed(),
    };
    // Only a program that logs already, such as a test, refuses; it then keeps what it has.
    let begun = tracing_subscriber::registry().with(levels).with(lines).try_init();
    Ok(Levels::new(&config.filter, begun.is_ok().then_some(handle)))
}

impl Levels {
    fn new(configured: &str, handle: Option<Handle>) -> Arc<Self> {
        Arc::new(Self { configured: configured.to_owned(), current: Mutex::new(configured.to_owned()), handle })
    }

    /// Those of a process that does not log.
    #[must_use]
    pub fn none() -> Arc<Self> {
        Self::new("off", None)
    }

    /// The filter that the node started with.
    #[must_use]
    pub fn configured(&self) -> &str {
        &self.configured
    }

    /// The filter that holds now.
    #[must_use]
    pub fn current(&self) -> String {
        self.current.lock().clone()
    }

    /// Changes the levels, to those the node started with when no filter is given.
    ///
    /// # Errors
    /// [`LevelsError`]; nothing has changed then.
    pub fn change(&self, to: Option<&str>) -> Result<(), LevelsError> {
        let text = to.unwrap_or(&self.configured);
        let filter = filter(text)?;
        let handle = self.handle.as_ref().ok_or(LevelsError::NoLog)?;
        // Held, so that of two at once the one told last is the one that holds.
        let mut current = self.current.lock();
        handle.reload(filter).map_err(|_| LevelsError::NoLog)?;
        tracing::info!(before = %*current, now = %text, "the levels of the log have changed");
        text.clone_into(&mut current);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_is_levels_by_module() {
        for good in ["info", "off", "WARN", "info,hubbub_actors=debug", "warn, hubbub::edge=trace"] {
            assert!(filter(good).is_ok(), "{good}");
        }
        let long = "info,".repeat(1_000);
        for bad in ["", " ", "inof", "info,hubbub_actors", "info,hubbub=loud", "info,=", "info,,debug", &long] {
            let error = filter(bad).expect_err(bad).to_string();
            assert!(error.contains("info,hubbub_actors=debug") && error.len() < 400, "{error}");
        }
    }

    #[test]
    fn a_process_that_does_not_log_says_so() {
        let levels = Levels::none();
        assert_eq!(levels.change(Some("info")), Err(LevelsError::NoLog));
        assert_eq!((levels.configured(), levels.current().as_str()), ("off", "off"));
    }
}
