//! `hubbub status`, `node`, `shard`, `room` and `upgrade`: the cluster from the command line, at any running member.

use std::{path::Path, time::Duration};

use clap::{Args, Subcommand};
use hubbub_protocol::{
    ids::{NodeId, RoomId},
    rest::Page,
};
use serde::{Serialize, de::DeserializeOwned};
use tokio::time::Instant;

use super::{admin_link::AdminLink, failure::Failure, output, reach::Reach};
use crate::{
    config::units,
    http::{
        admin::{Place, Shard},
        admin_hot::{HotBy, HotRooms},
        admin_nodes::{ClusterView, Finalize, MemberView, MoveShard, WishView},
    },
};

/// What to do when no node runs.
const START: &str = "start a member with `hubbub serve`";

/// For people or for programs.
#[derive(Debug, Clone, Copy, Args)]
pub struct Form {
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// Options of `status`.
#[derive(Debug, Args)]
pub struct Status {
    /// Which member is asked.
    #[command(flatten)]
    pub reach: Reach,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// How long to wait for something that takes time.
#[derive(Debug, Clone, Args)]
pub struct Wait {
    /// Return when it is over, and not when it has begun.
    #[arg(long)]
    pub wait: bool,
    /// How long to wait: exit code 1 after that, and it goes on.
    #[arg(long, default_value = "10min", value_name = "TIME")]
    pub timeout: String,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// What to do with members.
#[derive(Debug, Subcommand)]
pub enum NodeCommand {
    /// List the members.
    List(Form),
    /// Let a node hand over everything it orders; it stays a member.
    Drain(OfNode),
    /// Take a drain back.
    Undrain(OfNode),
    /// Drain a node and end its membership for ever; its certificate is refused from then on.
    Remove(OfNode),
}

/// A member, and how long to wait.
#[derive(Debug, Args)]
pub struct OfNode {
    /// Its number, as `node list` shows it.
    pub node: u64,
    /// Waiting.
    #[command(flatten)]
    pub wait: Wait,
}

/// What to do with shards.
#[derive(Debug, Subcommand)]
pub enum ShardCommand {
    /// List the shards, and who orders each.
    List(Form),
    /// Move a shard to another node.
    Move(Move),
}

/// Options of `shard move`.
#[derive(Debug, Args)]
pub struct Move {
    /// Its number.
    pub shard: u32,
    /// The node that shall order it.
    #[arg(long, value_name = "NODE")]
    pub to: u64,
    /// Waiting.
    #[command(flatten)]
    pub wait: Wait,
}

/// What to ask of rooms.
#[derive(Debug, Subcommand)]
pub enum RoomCommand {
    /// Say which shard a room is in, and which node orders it.
    Where(Where),
    /// List the rooms that cost the cluster most, the dearest first.
    Hot(Hot),
}

/// Options of `room where`.
#[derive(Debug, Args)]
pub struct Where {
    /// The room.
    pub id: RoomId,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// Options of `room hot`.
#[derive(Debug, Args)]
pub struct Hot {
    /// By what they are compared.
    #[arg(long, value_enum, default_value_t)]
    pub by: HotBy,
    /// How many, 1 to 100.
    #[arg(long, default_value_t = 20, value_name = "NUMBER")]
    pub limit: u8,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// What to do with versions.
#[derive(Debug, Subcommand)]
pub enum UpgradeCommand {
    /// Show which formats the members speak, and which one is used.
    Status(Form),
    /// Let every node use the newest format that all speak; the release before cannot come back after that.
    Finalize(Form),
}

async fn link(data_dir: &Path) -> Result<AdminLink, Failure> {
    Ok(Reach::here().running(data_dir, START).await?.0)
}

async fn view(link: &AdminLink) -> Result<ClusterView, Failure> {
    link.get("/v1/admin/cluster").await
}

/// All items of a paged list.
async fn all<T: DeserializeOwned>(link: &AdminLink, path: &str) -> Result<Vec<T>, Failure> {
    let (mut items, mut next) = (Vec::new(), format!("{path}?limit=100"));
    loop {
        let page: Page<T> = link.get(&next).await?;
        items.extend(page.items);
        match page.next {
            Some(cursor) => next = format!("{path}?limit=100&cursor={cursor}"),
            None => return Ok(items),
        }
    }
}

/// Asks for a wish, and again until it is done, when that is waited for.
async fn wish(
    link: &AdminLink,
    path: &str,
    body: &(impl Serialize + Sync),
    wait: &Wait,
    what: &str,
) -> Result<(), Failure> {
    let wrong = || Failure::Usage(format!("--timeout `{}` is no time such as `30s` or `10min`", wait.timeout));
    let patience: Duration = units::time(&wait.timeout).ok_or_else(wrong)?;
    let deadline = Instant::now() + patience;
    let mut wished: WishView = link.post(path, body).await?;
    while wait.wait && !wished.done {
        if Instant::now() >= deadline {
            return Err(Failure::Failed(format!(
                "{what} is not over after {}; it goes on: `hubbub status` shows how far it is",
                wait.timeout
            )));
        }
        wished = link.post(path, body).await?;
    }
    if wait.json {
        return output::json(&wished);
    }
    output::line(&format!("{what} {}", if wished.done { "is done" } else { "goes on: `hubbub status` shows it" }));
    Ok(())
}

fn row(member: &MemberView, leader: Option<NodeId>) -> Vec<String> {
    let part = match (leader == Some(member.node), member.votes) {
        (true, _) => "leads",
        (_, true) => "votes",
        _ if member.stands_by => "stands by",
        _ => "",
    };
    let trouble = match (&member.fault, member.storage_ok) {
        (Some(fault), _) => fault.clone(),
        (None, Some(false)) => "its store takes no writes".to_owned(),
        _ => String::new(),
    };
    let shards = member.shards.to_string();
    let text = |text: &str| text.to_owned();
    vec![
        member.node.to_string(),
        text(&member.name),
        text(&member.state),
        text(part),
        shards,
        text(&member.zone),
        member.addresses.join(" "),
        trouble,
    ]
}

const HEADS: [&str; 8] = ["NODE", "NAME", "STATE", "PART", "SHARDS", "ZONE", "ADDRESS", "TROUBLE"];

fn table(view: &ClusterView) -> String {
    let rows: Vec<_> = view.members.iter().map(|member| row(member, view.leader)).collect();
    output::table(&HEADS, &rows)
}

impl Status {
    /// `hubbub status`.
    ///
    /// # Errors
    /// The documented failures.
    pub async fn run(self, data_dir: &Path) -> Result<(), Failure> {
        let view = view(&self.reach.running(data_dir, START).await?.0).await?;
        if self.json {
            return output::json(&view);
        }
        let leader = view.leader.map_or_else(|| "nobody leads".to_owned(), |leader| format!("node {leader} leads"));
        output::line(&format!(
            "cluster {}: {} nodes, {} of them vote, {leader}; {} shards, {} on their way; format {}",
            view.cluster,
            view.members.len(),
            view.voters.len(),
            view.shards,
            view.moving,
            view.version
        ));
        if view.superseded {
            output::line("this node was removed, or another process runs under its number: stop one of them");
        } else if view.coasting {
            output::line(
                "this node has no word from a leader: it goes on, and placement waits for a majority of voters",
            );
        }
        output::line(&table(&view));
        Ok(())
    }
}

impl NodeCommand {
    /// Carries it out.
    ///
    /// # Errors
    /// The documented failures.
    pub async fn run(self, data_dir: &Path) -> Result<(), Failure> {
        let link = link(data_dir).await?;
        let (options, verb, what) = match self {
            Self::List(form) => {
                let view = view(&link).await?;
                return if form.json {
                    output::json(&view.members)
                } else {
                    output::line(&table(&view));
                    Ok(())
                };
            }
            Self::Drain(options) => (options, "drain", "the drain"),
            Self::Undrain(options) => (options, "undrain", "taking the drain back"),
            Self::Remove(options) => (options, "remove", "the removal"),
        };
        let node = options.node;
        let path = format!("/v1/admin/cluster/nodes/{node}/{verb}");
        wish(&link, &path, &serde_json::json!({}), &options.wait, &format!("{what} of node {node}")).await
    }
}

impl ShardCommand {
    /// Carries it out.
    ///
    /// # Errors
    /// The documented failures.
    pub async fn run(self, data_dir: &Path) -> Result<(), Failure> {
        let link = link(data_dir).await?;
        match self {
            Self::List(form) => {
                let shards: Vec<Shard> = all(&link, "/v1/admin/shards").await?;
                if form.json {
                    return output::json(&shards);
                }
                let row = |shard: &Shard| {
                    let Shard { shard, owner, epoch, head } = shard;
                    vec![shard.0.to_string(), owner.to_string(), epoch.0.to_string(), head.0.to_string()]
                };
                let rows: Vec<_> = shards.iter().map(row).collect();
                output::line(&output::table(&["SHARD", "NODE", "EPOCH", "EVENTS"], &rows));
                Ok(())
            }
            Self::Move(options) => {
                let path = format!("/v1/admin/cluster/shards/{}/move", options.shard);
                let body = MoveShard { to: NodeId(options.to) };
                let what = format!("the move of shard {} to node {}", options.shard, options.to);
                wish(&link, &path, &body, &options.wait, &what).await
            }
        }
    }
}

impl RoomCommand {
    /// Carries it out.
    ///
    /// # Errors
    /// The documented failures.
    pub async fn run(self, data_dir: &Path) -> Result<(), Failure> {
        let link = link(data_dir).await?;
        let (id, json) = match self {
            Self::Where(Where { id, json }) => (id, json),
            Self::Hot(Hot { by, limit, json }) => {
                let path = format!("/v1/admin/rooms/hot?by={}&limit={limit}", by.name());
                let hot: HotRooms = link.get(&path).await?;
                if json {
                    return output::json(&hot);
                }
                output::line(&super::top::hot_rooms(&hot));
                return Ok(());
            }
        };
        let place: Place = link.get(&format!("/v1/admin/rooms/{id}/where")).await?;
        if json {
            return output::json(&place);
        }
        output::line(&format!("room {id} is in shard {}, which node {} orders", place.shard.0, place.owner));
        Ok(())
    }
}

impl UpgradeCommand {
    /// Carries it out.
    ///
    /// # Errors
    /// The documented failures.
    pub async fn run(self, data_dir: &Path) -> Result<(), Failure> {
        let link = link(data_dir).await?;
        let view = view(&link).await?;
        match self {
            Self::Status(form) if form.json => output::json(&serde_json::json!({
                "version": view.version, "version_possible": view.version_possible, "members": view.members,
            })),
            Self::Status(_) => {
                let row = |member: &MemberView| {
                    let spoken = format!("{} to {}", member.version_min, member.version_max);
                    vec![member.node.to_string(), member.name.clone(), member.state.clone(), spoken]
                };
                output::line(&format!("format {} is used; all speak {}", view.version, view.version_possible));
                let rows: Vec<_> = view.members.iter().map(row).collect();
                output::line(&output::table(&["NODE", "NAME", "STATE", "FORMATS"], &rows));
                Ok(())
            }
            Self::Finalize(form) => {
                let body = Finalize { version: view.version_possible };
                let done: WishView = link.post("/v1/admin/cluster/finalize", &body).await?;
                if form.json {
                    return output::json(&done);
                }
                output::line(&format!("format {} is used from now on", body.version));
                Ok(())
            }
        }
    }
}
