//! The command line.

pub mod admin_link;
pub mod bar;
pub mod chat;
pub mod cluster;
pub mod config;
pub mod doctor;
pub mod export;
pub mod failure;
pub mod import;
pub mod join;
pub mod log_level;
pub mod metrics;
pub mod output;
pub mod reach;
pub mod serve;
pub mod store;
pub mod token;
pub mod top;
pub mod user;

use std::path::{Path, PathBuf};

use clap::{Parser, Subcommand};
use hubbub_storage::ErrorChain;

use self::{admin_link::AdminLink, failure::Failure};
use crate::{
    config::{Loaded, NodeConfig},
    datadir::{DataDir, admin_socket},
    http,
    logs::Levels,
    membership::Membership,
    serve::Node,
};

/// A chat cluster for large communities.
#[derive(Debug, Parser)]
#[command(name = "hubbub", version, about, after_help = EXIT_CODES)]
pub struct Cli {
    /// Where the node keeps its files.
    #[arg(long, global = true, value_name = "DIR", default_value = "./hubbub-data")]
    pub data_dir: PathBuf,
    /// A configuration file (`hubbub.toml`).
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// A file of certificates in PEM: trust nodes that show one signed by them, and no others.
    #[arg(long, global = true, value_name = "FILE", env = "HUBBUB_CA")]
    pub ca: Option<PathBuf>,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

const EXIT_CODES: &str = "Exit codes: 0 done, 1 failed, 2 wrong usage, 3 no node runs there, 4 refused, 5 not found, \
                          6 conflict or in use, 7 damaged or from a newer version, 8 doctor found a fault";

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a node.
    Serve(serve::Serve),
    /// Found a cluster with this node, which is stopped, as its first member.
    Init(join::Init),
    /// Make this node, which is stopped, a member of a cluster.
    Join(join::Join),
    /// Show how the cluster is, as a running member knows it.
    Status(cluster::Status),
    /// Watch the cluster at work: nodes, shards, rates, queues, and the rooms that cost most.
    Top(top::Top),
    /// Look at this node, running or not, and at its cluster, and say what is wrong and what to do.
    Doctor(cluster::Form),
    /// List, drain and remove members.
    #[command(subcommand)]
    Node(cluster::NodeCommand),
    /// List shards, and move one.
    #[command(subcommand)]
    Shard(cluster::ShardCommand),
    /// Find a room, or those that cost most.
    #[command(subcommand)]
    Room(cluster::RoomCommand),
    /// See and finish an upgrade of all nodes.
    #[command(subcommand)]
    Upgrade(cluster::UpgradeCommand),
    /// Make, list and disable accounts, on a running or a stopped node.
    #[command(subcommand)]
    User(user::UserCommand),
    /// Make tokens that let nodes join the cluster, or an API token of an account.
    Token(token::TokenCommand),
    /// Take an archive in, on a running or a stopped node.
    #[command(subcommand)]
    Import(import::ImportCommand),
    /// Move the data of a stopped node to another store.
    #[command(subcommand)]
    Store(store::StoreCommand),
    /// Write a community out as an archive, of a running or a stopped node.
    #[command(subcommand)]
    Export(export::ExportCommand),
    /// Show what can be set, what is set, and whether it can be used.
    #[command(subcommand)]
    Config(config::ConfigCommand),
    /// Show or change which lines a running node writes to its log.
    LogLevel(log_level::LogLevel),
    /// Print what the metrics of a node mean.
    #[command(subcommand)]
    Metrics(metrics::MetricsCommand),
    /// Talk from a terminal.
    Chat(chat::Chat),
    /// Print a script that completes these commands in a shell.
    Completions {
        /// Which shell.
        shell: clap_complete::Shell,
    },
}

impl Cli {
    /// Carries the command out.
    ///
    /// # Errors
    /// One sentence and an exit code.
    pub async fn run(self) -> Result<(), Failure> {
        self.carry_out().await.map_err(Failure::with_authority)
    }

    async fn carry_out(self) -> Result<(), Failure> {
        if let Some(file) = &self.ca {
            let wrong = |error| Failure::Failed(ErrorChain(&error).to_string());
            hubbub_client::trust::only(file).map_err(wrong)?;
        }
        let loaded = || Loaded::read(self.config.as_deref());
        match self.command {
            Command::Chat(chat) => chat.run().await,
            Command::Completions { shell } => {
                let mut script = Vec::new();
                clap_complete::generate(
                    shell,
                    &mut <Self as clap::CommandFactory>::command(),
                    "hubbub",
                    &mut script,
                );
                output::line(&String::from_utf8_lossy(&script));
                Ok(())
            }
            Command::Config(command) => command.run(self.config.as_deref()),
            Command::LogLevel(options) => options.run(&self.data_dir).await,
            Command::Metrics(command) => {
                command.run();
                Ok(())
            }
            Command::Serve(options) => options.run(&self.data_dir, loaded()).await,
            Command::Init(options) => options.run(&self.data_dir, &loaded().finish()?).await,
            Command::Join(options) => options.run(&self.data_dir, &loaded().finish()?).await,
            Command::Status(options) => options.run(&self.data_dir).await,
            Command::Top(top) => top.run(&self.data_dir).await,
            Command::Doctor(form) => doctor::run(&self.data_dir, loaded, form).await,
            Command::Node(command) => command.run(&self.data_dir).await,
            Command::Shard(command) => command.run(&self.data_dir).await,
            Command::Room(command) => command.run(&self.data_dir).await,
            Command::Upgrade(command) => command.run(&self.data_dir).await,
            Command::User(command) => {
                let link = Linked::to(&self.data_dir, &loaded().finish()?).await?;
                let done = command.run(&link.link).await;
                link.end(done).await
            }
            Command::Token(command) => command.run(&self.data_dir, &loaded().finish()?).await,
            Command::Import(command) => command.run(&self.data_dir, &loaded().finish()?).await,
            Command::Store(command) => command.run(&self.data_dir).await,
            Command::Export(command) => command.run(&self.data_dir, &loaded().finish()?).await,
        }
    }
}

/// A link to a node's operator interface, and the node itself when it runs here for one command.
#[derive(Debug)]
pub struct Linked {
    /// The link.
    pub link: AdminLink,
    here: Option<Node>,
}

impl Linked {
    /// Reaches the node that holds `data_dir`; when none runs, brings its parts up in this process.
    ///
    /// # Errors
    /// A sentence with the remedy.
    pub async fn to(data_dir: &Path, config: &NodeConfig) -> Result<Self, Failure> {
        if let Some(link) = AdminLink::to_running(&admin_socket(data_dir)).await? {
            return Ok(Self { link, here: None });
        }
        let data = DataDir::hold(data_dir)?;
        if Membership::load(&data)?.is_some() {
            let message = "this node is a member of a cluster and does not run: start it, or use another member";
            return Err(Failure::Refused(message.to_owned()));
        }
        let node = Node::open(data, config, Levels::none()).await?;
        let link = AdminLink::Here(Box::new(http::over_socket(&node.app)));
        Ok(Self { link, here: Some(node) })
    }

    /// Closes what was opened, and passes `done` on.
    ///
    /// # Errors
    /// That of `done`.
    pub async fn end<T>(self, done: Result<T, Failure>) -> Result<T, Failure> {
        if let Some(node) = self.here {
            node.close(0).await;
        }
        done
    }
}

#[cfg(test)]
mod tests;
