//! A server process under test: started, waited for until it listens, asked to end, and checked.
//!
//! # Failure
//! A server that ends early, or is not listening after [`START_MAX`], fails the run with the tail of what it said.
//! Whatever happens, the process does not outlive this one's [`Server`].

use std::collections::VecDeque;
use std::net::{SocketAddr, TcpListener};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::net::TcpStream;
use tokio::process::{Child, ChildStderr, Command};
use tokio::sync::Mutex;
use tokio::time::{sleep, timeout};

/// Time for a server to start on an empty data directory, in a debug build on a busy machine.
const START_MAX: Duration = Duration::from_secs(30);

/// Time for a server to drain after SIGTERM.
const STOP_MAX: Duration = Duration::from_secs(30);

/// Lines of a server's log kept for the failure message.
const TAIL_LINES_MAX: usize = 20;

/// The announcement both servers make on standard error, with and without TLS.
const LISTENING: [&str; 2] = ["listening on http://", "listening on https://"];

/// First port tried. Below 32768, where Linux begins to give ports to clients.
const PORTS_FROM: u16 = 21_000;
const PORTS: u16 = 9_000;

type Tail = Arc<std::sync::Mutex<VecDeque<String>>>;

#[derive(Debug)]
pub(crate) struct Server {
    name: String,
    pid: u32,
    child: Mutex<Option<Child>>,
    tail: Tail,
}

impl Server {
    /// Starts `command` and returns once it announced that it listens.
    pub(crate) async fn start(name: &str, command: Command) -> Result<Self> {
        Self::start_until(name, command, None).await
    }

    /// Starts `command`, which announces nothing, and returns once it takes connections at `address`.
    pub(crate) async fn start_at(name: &str, command: Command, address: SocketAddr) -> Result<Self> {
        Self::start_until(name, command, Some(address)).await
    }

    async fn start_until(name: &str, mut command: Command, address: Option<SocketAddr>) -> Result<Self> {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot start {:?}", command.as_std().get_program()))?;
        let pid = child.id().context("the server has already ended")?;
        let stderr = child.stderr.take().context("the server has no standard error")?;
        let tail = Tail::default();
        let mut lines = BufReader::new(stderr).lines();
        let listening = async {
            tokio::select! {
                said = until_listening(&mut lines, &tail) => said,
                () = until_connected(address) => Ok(()),
            }
        };
        timeout(START_MAX, listening)
            .await
            .map_err(|_| anyhow::anyhow!("not listening after {START_MAX:?}"))
            .flatten()
            .with_context(|| format!("{name} did not start; it said:\n{}", said(&tail)))?;
        tokio::spawn(keep_reading(lines, Arc::clone(&tail)));
        Ok(Self { name: name.to_owned(), pid, child: Mutex::new(Some(child)), tail })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// Ends the process at once, as a loss of power would.
    pub(crate) async fn kill(&self) -> Result<()> {
        if let Some(mut child) = self.child.lock().await.take() {
            child.kill().await.with_context(|| format!("killing {}", self.name))?;
        }
        Ok(())
    }

    /// Asks the process to end by SIGTERM and waits for it.
    pub(crate) async fn stop(&self) -> Result<()> {
        let Some(mut child) = self.child.lock().await.take() else {
            return Ok(());
        };
        let signal = format!("kill -TERM {}", self.pid);
        Command::new("sh").args(["-c", &signal]).status().await?;
        let Ok(status) = timeout(STOP_MAX, child.wait()).await else {
            bail!("{} was still there {STOP_MAX:?} after SIGTERM", self.name);
        };
        let status = status?;
        // The floor does not catch the signal; a Hubbub node drains and exits with 0.
        ensure!(
            status.success() || status.code().is_none(),
            "{} ended with {status}; it said:\n{}",
            self.name,
            said(&self.tail)
        );
        Ok(())
    }
}

async fn until_listening(lines: &mut Lines<BufReader<ChildStderr>>, tail: &Tail) -> Result<()> {
    while let Some(line) = lines.next_line().await? {
        let listening = LISTENING.iter().any(|said| line.contains(said));
        keep(tail, line);
        if listening {
            return Ok(());
        }
    }
    bail!("it ended before it listened");
}

/// Waits until a connection to `address` is taken; for ever when there is none.
async fn until_connected(address: Option<SocketAddr>) {
    let Some(address) = address else { return std::future::pending().await };
    while TcpStream::connect(address).await.is_err() {
        sleep(Duration::from_millis(50)).await;
    }
}

async fn keep_reading(mut lines: Lines<BufReader<ChildStderr>>, tail: Tail) {
    while let Ok(Some(line)) = lines.next_line().await {
        keep(&tail, line);
    }
}

fn keep(tail: &Tail, line: String) {
    let mut tail = tail.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if tail.len() == TAIL_LINES_MAX {
        tail.pop_front();
    }
    tail.push_back(line);
}

fn said(tail: &Tail) -> String {
    let tail = tail.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    Vec::from_iter(tail.iter().cloned()).join("\n")
}

/// A loopback port nobody listens on now.
pub(crate) fn free_port() -> Result<u16> {
    for _ in 0..200 {
        let port = PORTS_FROM + rand::random::<u16>() % PORTS;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
    bail!("no free port from {PORTS_FROM} on");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[tokio::test]
    async fn a_server_is_up_once_it_says_so_and_gone_once_stopped() {
        let script = "echo starting >&2; echo 'INFO listening on http://127.0.0.1:1' >&2; exec sleep 60";
        let server = Server::start("test", shell(script)).await.expect("it listens");
        assert_ne!(crate::procfs::stat(server.pid()).expect("alive").state, 'Z');
        server.stop().await.expect("it ends");
        assert!(crate::procfs::stat(server.pid()).is_err());
    }

    #[tokio::test]
    async fn a_server_that_announces_nothing_is_up_once_it_takes_connections() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("bound");
        let quiet = || shell("exec sleep 60");
        let server = Server::start_at("test", quiet(), address).await.expect("something listens there");
        server.stop().await.expect("it ends");
        let ended =
            Server::start_at("test", shell("echo 'no such user' >&2"), SocketAddr::from(([127, 0, 0, 1], 1)));
        let failure = format!("{:#}", ended.await.expect_err("nobody listens there"));
        assert!(failure.contains("no such user"), "{failure}");
    }

    #[tokio::test]
    async fn a_server_that_ends_early_is_quoted() {
        let failure =
            Server::start("test", shell("echo 'the disk is full' >&2; exit 3")).await.expect_err("it ended");
        assert!(format!("{failure:#}").contains("the disk is full"), "{failure:#}");
    }

    #[tokio::test]
    async fn a_server_that_fails_while_draining_fails_the_run() {
        let script = "trap 'exit 4' TERM; echo 'listening on http://x' >&2; while :; do sleep 0.05; done";
        let server = Server::start("test", shell(script)).await.expect("it listens");
        let failure = server.stop().await.expect_err("it exits with 4");
        assert!(failure.to_string().contains("exit status: 4"), "{failure}");
    }
}
