//! The processes behind a peer of Hubbub's: one node, or a cluster, with a database of their own where they share one.
//!
//! A cluster is founded as an operator does it, with `init`, `token create`, `join` and `serve`, by what the chaos rig
//! founds its clusters with.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use anyhow::{Context, Result, ensure};
use hubbub_tests::chaos::{lab::Lab, members::Members};
use hubbub_tests::postgres;
use tempfile::TempDir;
use tokio::process::Command;

use crate::peer::{Kind, Spec};
use crate::processes::{Part, Role};
use crate::server::{Server, free_port};

#[derive(Debug)]
pub(super) struct Deployment {
    nodes: Nodes,
    /// That of a single node; a cluster has its own.
    database: Option<postgres::Server>,
    /// Removed when the peer is dropped, after the nodes have ended.
    _data: TempDir,
}

#[derive(Debug)]
enum Nodes {
    One { server: Box<Server>, address: SocketAddr },
    Cluster(Box<Members>),
}

impl Deployment {
    /// Starts what `spec` names on an empty store.
    pub(super) async fn start(spec: &Spec, binary: &Path) -> Result<Self> {
        let data = TempDir::with_prefix("hubbub-bench-")?;
        match spec.kind {
            Kind::Hubbub2 => Self::cluster(2, spec, binary, data).await,
            Kind::Hubbub3 => Self::cluster(3, spec, binary, data).await,
            Kind::HubbubPg => {
                let database = postgres::Server::start();
                let url = ("HUBBUB__STORE__URL".to_owned(), database.url().to_owned());
                let mut started = Self::one(spec, binary, data, Some(url)).await?;
                started.database = Some(database);
                Ok(started)
            }
            _ => Self::one(spec, binary, data, None).await,
        }
    }

    async fn one(spec: &Spec, binary: &Path, data: TempDir, store: Option<(String, String)>) -> Result<Self> {
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()?));
        let admin = SocketAddr::from(([127, 0, 0, 1], free_port()?));
        ensure!(address != admin, "the same free port was found twice: run again");
        let mut command = Command::new(binary);
        command.arg("serve").arg("--data-dir").arg(data.path());
        command.args(["--listen", &address.to_string()]);
        command.args(["--admin-listen", &admin.to_string()]);
        command.args(["--registration", "open", "--rate-limits", "off"]);
        command.envs(store).envs(spec.environment());
        Ok(Self::of_one(Server::start(&spec.to_string(), command).await?, address, data))
    }

    /// That of a node that is up.
    pub(super) fn of_one(server: Server, address: SocketAddr, data: TempDir) -> Self {
        Self { nodes: Nodes::One { server: Box::new(server), address }, database: None, _data: data }
    }

    async fn cluster(nodes: usize, spec: &Spec, binary: &Path, data: TempDir) -> Result<Self> {
        let (lab, database) = (Lab::open(nodes, true), postgres::Server::start());
        let founding = Members::found_with(lab, database, binary, data.path(), spec.environment());
        let members = founding.await.with_context(|| format!("founding {spec}"))?;
        Ok(Self { nodes: Nodes::Cluster(Box::new(members)), database: None, _data: data })
    }

    /// Where clients reach the node for `place`: places go round the nodes.
    pub(super) fn address(&self, place: usize) -> SocketAddr {
        match &self.nodes {
            Nodes::One { address, .. } => *address,
            Nodes::Cluster(members) => {
                let node = place % members.len();
                SocketAddr::new(IpAddr::V4(members.lab.address(node)), members.lab.ports(node).public)
            }
        }
    }

    pub(super) fn parts(&self) -> Vec<Part> {
        let (mut parts, database) = match &self.nodes {
            Nodes::One { server, .. } => (vec![Part::node(server.pid())], self.database.as_ref()),
            Nodes::Cluster(members) => {
                let pids = (0..members.len()).filter_map(|node| members.pid(node));
                (pids.map(Part::node).collect(), Some(members.server.as_ref()))
            }
        };
        let database = database.and_then(postgres::Server::pid);
        parts.extend(database.map(|pid| Part { role: Role::Database, pid }));
        parts
    }

    pub(super) async fn stop(&self) -> Result<()> {
        match &self.nodes {
            Nodes::One { server, .. } => server.stop().await,
            Nodes::Cluster(members) => {
                for node in 0..members.len() {
                    ensure!(members.runs(node), "n{node} ended by itself; it said:\n{}", members.last_words(node));
                    // How a cluster drains is measured by the chaos rig, and takes its time.
                    members.kill(node);
                }
                Ok(())
            }
        }
    }
}
