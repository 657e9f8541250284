//! The processes behind a peer of Hubbub's: one node, or a cluster, with a database of their own where they share one.
//!
//! A cluster is founded as an operator does it, with `init`, `token create`, `join` and `serve`, by what the chaos rig
//! founds its clusters with.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, PoisonError, RwLock};

use anyhow::{Context, Result, bail, ensure};
use hubbub_tests::authority::Authority;
use hubbub_tests::chaos::{lab::Lab, members::Members};
use hubbub_tests::{postgres, redis};
use rustls::ClientConfig;
use tempfile::TempDir;
use tokio::process::Command;

use crate::peer::accounts::{OWNER, PASSWORD};
use crate::peer::{Kind, Spec};
use crate::processes::{Part, Role};
use crate::server::{Server, free_port};

#[derive(Debug)]
pub(super) struct Deployment {
    nodes: Nodes,
    /// That of a single node; a cluster has its own.
    database: Option<postgres::Server>,
    /// The Redis that the nodes share, where they have one.
    cache: Option<redis::Server>,
    /// Who signed what a node shows, where clients come over TLS.
    security: Option<Security>,
    /// Removed when the peer is dropped, after the nodes have ended.
    data: TempDir,
}

#[derive(Debug)]
enum Nodes {
    One { server: RwLock<Arc<Server>>, address: SocketAddr, program: Option<Program> },
    Cluster(Box<Members>),
}

/// An authority of this run's own, and how clients speak that trust it.
#[derive(Debug)]
struct Security {
    client: Arc<ClientConfig>,
    /// Its files are read by the node.
    _authority: Authority,
}

/// How a single node was started, to start it again.
#[derive(Debug, Clone)]
struct Program {
    name: String,
    binary: PathBuf,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
}

impl Program {
    /// Runs a command of the operator's on the node's data.
    async fn tell(&self, data: &Path, arguments: &[&str]) -> Result<()> {
        let mut command = Command::new(&self.binary);
        command.args(arguments).arg("--data-dir").arg(data).envs(self.environment.iter().cloned());
        let told = command.stdin(Stdio::null()).output().await.context("cannot run the node's program")?;
        ensure!(told.status.success(), "{arguments:?} failed: {}", String::from_utf8_lossy(&told.stderr));
        Ok(())
    }

    async fn start(&self) -> Result<Server> {
        let mut command = Command::new(&self.binary);
        command.args(&self.arguments).envs(self.environment.iter().cloned());
        Server::start(&self.name, command).await
    }
}

/// Lets a fresh database count the statements that it carries out, whoever sends them.
fn count_statements(database: &postgres::Server) {
    database.sql("ALTER SYSTEM SET shared_preload_libraries = 'pg_stat_statements'");
    database.stop();
    database.start_again();
    database.sql("CREATE EXTENSION pg_stat_statements");
}

impl Deployment {
    /// Starts what `spec` names on an empty store.
    pub(super) async fn start(spec: &Spec, binary: &Path) -> Result<Self> {
        let data = TempDir::with_prefix("hubbub-bench-")?;
        let cache = spec.redis.then(redis::Server::start);
        let mut environment = spec.environment();
        environment.extend(cache.as_ref().map(|cache| ("HUBBUB__REDIS__URL".to_owned(), cache.url().to_owned())));
        let mut started = match spec.kind {
            Kind::Hubbub2 => Self::cluster(2, spec, binary, data, environment).await?,
            Kind::Hubbub3 => Self::cluster(3, spec, binary, data, environment).await?,
            Kind::HubbubPg => {
                let database = fresh_database(spec);
                environment.push(("HUBBUB__STORE__URL".to_owned(), database.url().to_owned()));
                let started = Self::one(spec, binary, data, environment).await?;
                Self { database: Some(database), ..started }
            }
            _ => Self::one(spec, binary, data, environment).await?,
        };
        started.cache = cache;
        Ok(started)
    }

    async fn one(spec: &Spec, binary: &Path, data: TempDir, environment: Vec<(String, String)>) -> Result<Self> {
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()?));
        let admin = SocketAddr::from(([127, 0, 0, 1], free_port()?));
        ensure!(address != admin, "the same free port was found twice: run again");
        let (folder, listen, admin) = (data.path().display().to_string(), address.to_string(), admin.to_string());
        let arguments = ["serve", "--data-dir", &folder, "--listen", &listen, "--admin-listen", &admin];
        let open = ["--registration", "open", "--rate-limits", "off"];
        let authority = spec.tls.then(Authority::new);
        let mut arguments: Vec<String> = arguments.iter().chain(&open).map(ToString::to_string).collect();
        if let Some(authority) = &authority {
            authority.sign(1);
            arguments.extend(authority.flags());
        }
        let program = Program { name: spec.to_string(), binary: binary.to_owned(), arguments, environment };
        let mut started = Self::of_one(program.start().await?, address, data);
        started.security =
            authority.map(|authority| Security { client: authority.client(), _authority: authority });
        if let Nodes::One { program: known, .. } = &mut started.nodes {
            *known = Some(program);
        }
        Ok(started)
    }

    /// That of a node that is up.
    pub(super) fn of_one(server: Server, address: SocketAddr, data: TempDir) -> Self {
        Self {
            nodes: Nodes::One { server: RwLock::new(Arc::new(server)), address, program: None },
            database: None,
            cache: None,
            security: None,
            data,
        }
    }

    async fn cluster(
        nodes: usize,
        spec: &Spec,
        binary: &Path,
        data: TempDir,
        environment: Vec<(String, String)>,
    ) -> Result<Self> {
        let (lab, database) = (Lab::open(nodes, true), fresh_database(spec));
        let founding = Members::found_with(lab, database, binary, data.path(), environment);
        let members = founding.await.with_context(|| format!("founding {spec}"))?;
        Ok(Self { nodes: Nodes::Cluster(Box::new(members)), database: None, cache: None, security: None, data })
    }

    /// Makes the owner of the installation, as its operator does.
    pub(super) async fn make_owner(&self) -> Result<()> {
        let file = self.data.path().join("password");
        std::fs::write(&file, PASSWORD)?;
        let file = file.display().to_string();
        let create = ["user", "create", OWNER, "--owner", "--password-file", &file];
        match &self.nodes {
            Nodes::One { program: Some(program), .. } => program.tell(self.data.path(), &create).await,
            Nodes::One { program: None, .. } => bail!("the node was not started here"),
            Nodes::Cluster(members) => members.tell(0, &create).await.map(drop),
        }
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

    /// How clients speak TLS, where they do.
    pub(super) fn tls(&self) -> Option<&Arc<ClientConfig>> {
        self.security.as_ref().map(|security| &security.client)
    }

    pub(super) fn parts(&self) -> Vec<Part> {
        let (mut parts, database) = match &self.nodes {
            Nodes::One { server, .. } => (vec![Part::node(current(server).pid())], self.database.as_ref()),
            Nodes::Cluster(members) => {
                let pids = (0..members.len()).filter_map(|node| members.pid(node));
                (pids.map(Part::node).collect(), Some(members.server.as_ref()))
            }
        };
        let database = database.and_then(postgres::Server::pid);
        parts.extend(database.map(|pid| Part { role: Role::Database, pid }));
        parts.extend(self.cache.as_ref().map(|cache| Part { role: Role::Cache, pid: cache.pid() }));
        parts
    }

    /// How many nodes there are.
    pub(super) fn nodes(&self) -> usize {
        match &self.nodes {
            Nodes::One { .. } => 1,
            Nodes::Cluster(members) => members.len(),
        }
    }

    /// The cluster; `None` of a single node.
    pub(super) fn members(&self) -> Option<&Members> {
        match &self.nodes {
            Nodes::One { .. } => None,
            Nodes::Cluster(members) => Some(members),
        }
    }

    /// Where the data is; `None` of an embedded store.
    pub(super) fn database(&self) -> Option<&postgres::Server> {
        self.members().map(|members| members.server.as_ref()).or(self.database.as_ref())
    }

    /// Ends a node as a loss of power would.
    pub(super) async fn kill(&self, node: usize) -> Result<()> {
        match &self.nodes {
            Nodes::One { server, .. } => {
                let server = current(server);
                server.kill().await
            }
            Nodes::Cluster(members) => {
                members.kill(node);
                Ok(())
            }
        }
    }

    /// Starts a node that was killed; a single one listens when this returns.
    pub(super) async fn start_again(&self, node: usize) -> Result<()> {
        match &self.nodes {
            Nodes::One { server, program: Some(program), .. } => {
                let started = Arc::new(program.start().await?);
                *server.write().unwrap_or_else(PoisonError::into_inner) = started;
                Ok(())
            }
            Nodes::One { program: None, .. } => bail!("the node was not started here"),
            Nodes::Cluster(members) => members.start(node),
        }
    }

    pub(super) async fn stop(&self) -> Result<()> {
        match &self.nodes {
            Nodes::One { server, .. } => current(server).stop().await,
            Nodes::Cluster(members) => {
                // One that a case killed is not missed here.
                for node in (0..members.len()).filter(|node| members.pid(*node).is_some()) {
                    ensure!(members.runs(node), "n{node} ended by itself; it said:\n{}", members.last_words(node));
                    // How a cluster drains is measured by the chaos rig, and takes its time.
                    members.kill(node);
                }
                Ok(())
            }
        }
    }
}

fn current(server: &RwLock<Arc<Server>>) -> Arc<Server> {
    Arc::clone(&server.read().unwrap_or_else(PoisonError::into_inner))
}

fn fresh_database(spec: &Spec) -> postgres::Server {
    let database = postgres::Server::start();
    if spec.counts_statements {
        count_statements(&database);
    }
    database
}
