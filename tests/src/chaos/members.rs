//! The nodes of a lab, as their operator runs them: `init`, `token create`, `join`, `serve`, and signals.
//!
//! # Invariants
//!
//! * A node is found by its number in the lab, from 0; what the cluster calls it is known here alone.
//! * Every process is a child, ended by its id with this value.

use std::{
    fs::File,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::{Arc, Mutex},
    time::Duration,
};

use anyhow::{Context as _, bail};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::{Instant, sleep, timeout},
};

use self::asking::{field, number};
use super::{gate::Health, lab::Lab};
use crate::{canary, postgres::Server};

mod asking;

/// How long a node may take until it is ready: an election and a settled member are 5 s; the rest is a busy machine.
pub const READY_WITHIN: Duration = Duration::from_secs(60);
/// How long a node may take to hand everything over and end.
const ENDS_WITHIN: Duration = Duration::from_secs(90);
/// How often the nodes are asked whether they are well, and how long that may take.
const ASKED_EVERY: Duration = Duration::from_millis(250);
const ANSWERS_WITHIN: Duration = Duration::from_secs(1);
/// How long a command of the operator's may take.
const COMMAND_WITHIN: Duration = Duration::from_secs(60);
/// The nodes.
#[derive(Debug)]
pub struct Members {
    /// Where they run.
    pub lab: Lab,
    /// Where everything is kept.
    pub server: Arc<Server>,
    program: PathBuf,
    folder: PathBuf,
    environment: Vec<(String, String)>,
    children: Vec<Mutex<Option<Child>>>,
    /// What the cluster calls each.
    numbers: Vec<u64>,
}

fn signal(child: &Child, name: &str) -> anyhow::Result<()> {
    let sent = Command::new("kill").args([name, &child.id().to_string()]).status()?;
    if sent.success() { Ok(()) } else { bail!("process {} is gone", child.id()) }
}

impl Members {
    /// Founds a cluster of all nodes of `lab` on `server`, and waits until it can lose any of them.
    ///
    /// # Errors
    /// What a command of the operator's said instead.
    pub async fn found(lab: Lab, server: Server, program: &Path, folder: &Path) -> anyhow::Result<Self> {
        Self::found_with(lab, server, program, folder, Vec::new()).await
    }

    /// The same, with further variables in every node's environment.
    ///
    /// # Errors
    /// As [`Members::found`].
    pub async fn found_with(
        lab: Lab,
        server: Server,
        program: &Path,
        folder: &Path,
        environment: Vec<(String, String)>,
    ) -> anyhow::Result<Self> {
        let nodes = lab.nodes();
        let children = (0..nodes).map(|_| Mutex::new(None)).collect();
        let (program, folder) = (program.to_owned(), folder.to_owned());
        let server = Arc::new(server);
        let mut members = Self { lab, server, program, folder, environment, children, numbers: Vec::new() };
        for node in 0..nodes {
            members.configure(node)?;
        }
        let made = members.tell(0, &["init", "--json"]).await?;
        members.called(&made)?;
        members.start(0)?;
        members.ready_within(0, READY_WITHIN).await?;
        if nodes > 1 {
            let uses = (nodes - 1).to_string();
            let token = members.tell(0, &["token", "create", "--role", "voter", "--uses", &uses]).await?;
            let seed = format!("{}:{}", members.lab.address(0), members.lab.ports(0).cluster);
            for node in 1..nodes {
                let join = ["join", "--json", "--seed", &seed, "--token", token.trim()];
                let joined = members.tell(node, &join).await?;
                members.called(&joined)?;
                members.start(node)?;
            }
            for node in 1..nodes {
                members.ready_within(node, READY_WITHIN).await?;
            }
        }
        members.established().await?;
        Ok(members)
    }

    fn called(&mut self, json: &str) -> anyhow::Result<()> {
        let said: Value = serde_json::from_str(json).with_context(|| format!("no JSON: {json}"))?;
        let number = field(&said, "node").and_then(number).with_context(|| format!("no node in {json}"))?;
        self.numbers.push(number);
        Ok(())
    }

    fn folder(&self, node: usize) -> PathBuf {
        self.folder.join(format!("n{node}"))
    }

    fn config(&self, node: usize) -> PathBuf {
        self.folder.join(format!("n{node}.toml"))
    }

    /// Settings are the defaults, but for where things are, and that people who test may be many and fast.
    fn configure(&self, node: usize) -> anyhow::Result<()> {
        let (address, ports) = (self.lab.address(node), self.lab.ports(node));
        let text = format!(
            "[listen]\npublic = \"{address}:{}\"\nadmin = \"{address}:{}\"\n\n[cluster]\nlisten = \"{address}:{}\"\n\
             name = \"n{node}\"\n\n[store]\nurl = \"{}\"\n\n[auth]\nregistration = \"open\"\n\n[edge]\n\
             rate_limits = false\n",
            ports.public,
            ports.admin,
            ports.cluster,
            self.server.url_from_elsewhere(),
        );
        Ok(std::fs::write(self.config(node), text)?)
    }

    fn command(&self, node: usize) -> Command {
        let mut command = self.lab.command(node, &self.program);
        command.arg("--data-dir").arg(self.folder(node)).arg("--config").arg(self.config(node));
        command.stdin(Stdio::null()).envs(self.environment.iter().cloned());
        command
    }

    async fn run(&self, node: usize, arguments: &[&str]) -> anyhow::Result<Output> {
        let mut command = self.command(node);
        command.args(arguments);
        let mut command = tokio::process::Command::from(command);
        let done = timeout(COMMAND_WITHIN, command.kill_on_drop(true).output()).await;
        Ok(done.with_context(|| format!("hubbub {arguments:?} did not end"))??)
    }

    /// Runs a command of the operator's on a node; returns what it printed.
    ///
    /// # Errors
    /// What it said.
    pub async fn tell(&self, node: usize, arguments: &[&str]) -> anyhow::Result<String> {
        let done = self.run(node, arguments).await?;
        if !done.status.success() {
            let said = String::from_utf8_lossy(&done.stderr);
            // A token is among the arguments of some.
            bail!("hubbub {} of n{node}: {}", arguments.first().unwrap_or(&""), said.trim());
        }
        Ok(String::from_utf8_lossy(&done.stdout).into_owned())
    }

    /// How many there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.children.len()
    }

    /// Whether there are none, which no lab is made for.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.children.is_empty()
    }

    /// What the cluster calls a node.
    #[must_use]
    pub fn called_in_cluster(&self, node: usize) -> u64 {
        self.numbers[node]
    }

    /// Where clients reach a node.
    #[must_use]
    pub fn url(&self, node: usize) -> String {
        format!("http://{}:{}", self.lab.address(node), self.lab.ports(node).public)
    }

    /// What a node has said so far is in here.
    #[must_use]
    pub fn log(&self, node: usize) -> PathBuf {
        let own = self.folder.file_name().unwrap_or_default().to_string_lossy();
        match canary::folder() {
            Some(kept) => kept.join(format!("{}-{own}-n{node}.log", std::process::id())),
            None => self.folder.join(format!("n{node}.log")),
        }
    }

    fn child(&self, node: usize) -> std::sync::MutexGuard<'_, Option<Child>> {
        self.children[node].lock().expect("nobody panics with a child in hand")
    }

    /// Starts a node that does not run.
    ///
    /// # Errors
    /// When the program cannot be started.
    pub fn start(&self, node: usize) -> anyhow::Result<()> {
        let log = File::options().create(true).append(true).open(self.log(node))?;
        let mut command = self.command(node);
        canary::plant("text", canary::TEXT);
        command.envs(canary::levels().map(|levels| (canary::LEVELS_VARIABLE, levels)));
        command.arg("serve").stdout(Stdio::null()).stderr(log);
        *self.child(node) = Some(command.spawn().context("the program cannot be started")?);
        Ok(())
    }

    /// The process id of a node that runs.
    #[must_use]
    pub fn pid(&self, node: usize) -> Option<u32> {
        self.child(node).as_ref().map(Child::id)
    }

    /// Whether its process runs, or is paused.
    #[must_use]
    pub fn runs(&self, node: usize) -> bool {
        self.child(node).as_mut().is_some_and(|child| matches!(child.try_wait(), Ok(None)))
    }

    /// Ends a node as a loss of power would.
    pub fn kill(&self, node: usize) {
        if let Some(mut child) = self.child(node).take() {
            // One that has died already is as dead.
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Pauses a node: it keeps its connections and does nothing.
    ///
    /// # Errors
    /// When it is gone.
    pub fn pause(&self, node: usize) -> anyhow::Result<()> {
        self.child(node).as_ref().map_or_else(|| bail!("n{node} does not run"), |child| signal(child, "-STOP"))
    }

    /// Lets a paused node go on.
    ///
    /// # Errors
    /// When it is gone.
    pub fn go_on(&self, node: usize) -> anyhow::Result<()> {
        self.child(node).as_ref().map_or_else(|| bail!("n{node} does not run"), |child| signal(child, "-CONT"))
    }

    /// Asks a node to end, and waits until it has.
    ///
    /// # Errors
    /// When it does not, or not with success; it is dead then all the same.
    pub async fn stop(&self, node: usize) -> anyhow::Result<()> {
        let Some(mut child) = self.child(node).take() else { bail!("n{node} does not run") };
        signal(&child, "-TERM")?;
        let until = Instant::now() + ENDS_WITHIN;
        while Instant::now() < until {
            if let Some(status) = child.try_wait()? {
                if status.success() {
                    return Ok(());
                }
                bail!("n{node} was asked to end and said {status}");
            }
            sleep(Duration::from_millis(20)).await;
        }
        child.kill()?;
        child.wait()?;
        bail!("n{node} did not end within {} s of SIGTERM", ENDS_WITHIN.as_secs())
    }

    /// Waits until a node serves.
    ///
    /// # Errors
    /// When it does not, with the end of what it said.
    pub async fn ready_within(&self, node: usize, within: Duration) -> anyhow::Result<()> {
        let until = Instant::now() + within;
        while Instant::now() < until {
            if self.is_ready(node).await {
                return Ok(());
            }
            if !self.runs(node) {
                bail!("n{node} ended by itself; it said:\n{}", self.last_words(node));
            }
            sleep(Duration::from_millis(100)).await;
        }
        bail!("n{node} is not ready after {} s; it said:\n{}", within.as_secs(), self.last_words(node))
    }

    /// The end of what a node has said.
    #[must_use]
    pub fn last_words(&self, node: usize) -> String {
        let said = std::fs::read_to_string(self.log(node)).unwrap_or_default();
        let lines: Vec<&str> = said.lines().collect();
        lines[lines.len().saturating_sub(12)..].join("\n")
    }

    /// Whether a node says that it serves.
    pub async fn is_ready(&self, node: usize) -> bool {
        let address = (self.lab.address(node), self.lab.ports(node).admin);
        let asked = async {
            let mut stream = TcpStream::connect(address).await?;
            stream.write_all(b"GET /readyz HTTP/1.1\r\nHost: lab\r\nConnection: close\r\n\r\n").await?;
            let mut begun = [0; 12];
            stream.read_exact(&mut begun).await?;
            Ok::<_, std::io::Error>(begun.ends_with(b" 200"))
        };
        timeout(ANSWERS_WITHIN, asked).await.is_ok_and(|answered| answered.unwrap_or(false))
    }

    /// Asks all nodes again and again whether they are well, as a load balancer does. Ends with the last receiver.
    #[must_use]
    pub fn watched(self: &Arc<Self>) -> Health {
        let (tell, health) = tokio::sync::watch::channel(vec![true; self.len()]);
        let members = Arc::downgrade(self);
        tokio::spawn(async move {
            while !tell.is_closed() {
                let Some(members) = members.upgrade() else { return };
                let asked = (0..members.len()).map(|node| members.is_ready(node));
                let health = futures_util::future::join_all(asked).await;
                drop(members);
                tell.send_if_modified(|known| {
                    let news = *known != health;
                    *known = health;
                    news
                });
                sleep(ASKED_EVERY).await;
            }
        });
        health
    }
}

impl Drop for Members {
    fn drop(&mut self) {
        for node in 0..self.len() {
            self.kill(node);
        }
    }
}
