//! `hubbub config`: what can be set, what is set, and whether it can be used.

use std::path::Path;

use clap::{Args, Subcommand};
use serde_json::json;

use super::{failure::Failure, output};
use crate::config::{Loaded, keys::KEYS, reference};

/// What to do with the configuration.
#[derive(Debug, Clone, Copy, Subcommand)]
pub enum ConfigCommand {
    /// Print every key with its meaning, range, default and environment variable, as a file to begin with.
    Reference(Form),
    /// Say whether the file and the environment can be used: exit code 0, or 2 and what is wrong.
    Check(Form),
    /// Show the value of every key and where it comes from; passwords are masked.
    Show(Form),
}

/// For people or for programs.
#[derive(Debug, Clone, Copy, Args)]
pub struct Form {
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

impl ConfigCommand {
    /// Carries the command out, on `file` if one was named, and the environment.
    ///
    /// # Errors
    /// The configuration cannot be used: what is wrong with it.
    pub fn run(self, file: Option<&Path>) -> Result<(), Failure> {
        match self {
            Self::Reference(Form { json: true }) => output::json(&reference::json()),
            Self::Reference(_) => {
                output::line(reference::toml().trim_end());
                Ok(())
            }
            Self::Check(form) => check(Loaded::read(file), form),
            Self::Show(form) => show(Loaded::read(file), form),
        }
    }
}

fn check(loaded: Loaded, form: Form) -> Result<(), Failure> {
    if form.json {
        let told = loaded.problems().iter().map(
            |problem| json!({"key": problem.key, "from": problem.origin.to_string(), "message": problem.message}),
        );
        output::json(&json!({"good": loaded.problems().is_empty(), "problems": told.collect::<Vec<_>>()}))?;
    } else if loaded.problems().is_empty() {
        output::line("the configuration can be used");
    }
    loaded.finish().map(drop)
}

fn show(loaded: Loaded, form: Form) -> Result<(), Failure> {
    let config = loaded.config();
    if form.json {
        let keys = KEYS.iter().map(|key| {
            let from = loaded.origin(key).to_string();
            json!({"key": key.name, "value": key.shown_json(config), "from": from})
        });
        output::json(&json!({"keys": keys.collect::<Vec<_>>()}))?;
    } else {
        let row = |key: &crate::config::keys::Key| {
            vec![key.name.to_owned(), key.shown(config), loaded.origin(key).to_string()]
        };
        output::line(&output::table(&["KEY", "VALUE", "FROM"], &KEYS.iter().map(row).collect::<Vec<_>>()));
    }
    loaded.finish().map(drop)
}
