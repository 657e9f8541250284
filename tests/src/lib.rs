//! What the tests of the whole product share: a node as its operator starts it, and people who talk.
//!
//! A [`Node`] is the real program on a free loopback port with a data directory of its own; it is
//! stopped by its process id, whatever the test does. Nothing here knows the insides of the product.

pub mod archive;
pub mod authority;
pub mod canary;
pub mod chaos;
pub mod cut;
pub mod diary;
pub mod history;
pub mod mount;
pub mod postgres;
pub mod raw;
pub mod redis;
mod script;

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, mpsc},
    thread,
    time::Duration,
};

use hubbub_client::{Client, Config, Updates, rest::Rest};
use hubbub_protocol::rest::SignedIn;
use tempfile::TempDir;

/// How long a node may take until it listens.
const STARTS_WITHIN: Duration = Duration::from_secs(30);
/// Lines of a node that wait to be read; what comes when nobody reads any more is let go.
const LINES_MAX: usize = 1_024;
/// Bytes of a node's log that are kept for its test; the rest is let go.
const LOG_BYTES_MAX: usize = 16 * 1024 * 1024;
/// A password that is long enough.
pub const PASSWORD: &str = "correct horse battery";

/// A node under test.
#[derive(Debug)]
pub struct Node {
    child: Child,
    port: u16,
    folder: PathBuf,
    said: Vec<String>,
    log: Arc<Mutex<String>>,
    /// Removes the folder with the node that made it.
    owned: Option<TempDir>,
}

/// The program, as it was built beside this test.
///
/// # Panics
/// When it was not built: `cargo build --workspace` does it.
#[must_use]
pub fn program() -> PathBuf {
    let test = std::env::current_exe().expect("a test knows its own file");
    let built = test.ancestors().nth(2).expect("tests lie in target/…/deps");
    let program = built.join("hubbub");
    assert!(program.is_file(), "build the program first: cargo build --workspace");
    program
}

/// A loopback port below 32768 that nobody listens on.
///
/// # Panics
/// When a thousand in a row are taken.
#[must_use]
pub fn free_port() -> u16 {
    let first = 20_000 + u16::try_from(std::process::id() % 10_000).expect("below ten thousand");
    let free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    (first..first + 1_000).find(free).expect("a free port")
}

impl Node {
    /// Starts a fresh node where anyone may register, with further flags.
    #[must_use]
    pub fn fresh(flags: &[&str]) -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        let path = folder.path().join("data");
        let mut node = Self::over(&path, free_port(), flags);
        node.owned = Some(folder);
        node
    }

    /// Starts a node over a data directory, on a port.
    ///
    /// # Panics
    /// When it does not listen within half a minute; the panic tells what it said instead.
    #[must_use]
    pub fn over(folder: &Path, port: u16, flags: &[&str]) -> Self {
        Self::start(folder, port, flags, canary::levels())
    }

    /// Starts a fresh node that logs by these levels.
    #[must_use]
    pub fn logging(levels: &str, flags: &[&str]) -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        let path = folder.path().join("data");
        let mut node = Self::start(&path, free_port(), flags, Some(levels));
        node.owned = Some(folder);
        node
    }

    fn start(folder: &Path, port: u16, flags: &[&str], levels: Option<&str>) -> Self {
        let mut child = Command::new(program())
            .arg("serve")
            .args(["--data-dir", &folder.display().to_string()])
            .args(["--listen", &format!("127.0.0.1:{port}"), "--admin-listen", "127.0.0.1:0"])
            .args(["--registration", "open", "--rate-limits", "off"])
            .args(flags)
            .envs(levels.map(|levels| (canary::LEVELS_VARIABLE, levels)))
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let (tell, told) = mpsc::sync_channel(LINES_MAX);
        let said = child.stderr.take().expect("standard error is piped");
        let (log, mut file) = (Arc::<Mutex<String>>::default(), canary::log());
        let keep = Arc::clone(&log);
        thread::spawn(move || {
            for line in BufReader::new(said).lines().map_while(Result::ok) {
                if let Some(file) = &mut file {
                    // A full disk fails elsewhere.
                    let _ = writeln!(file, "{line}");
                }
                let mut kept = keep.lock().expect("nobody panics with it in hand");
                if kept.len() < LOG_BYTES_MAX {
                    kept.push_str(&line);
                    kept.push('\n');
                }
                drop(kept);
                // The test may have heard enough.
                let _ = tell.try_send(line);
            }
        });
        let mut lines = Vec::new();
        while !lines.iter().any(|line: &String| line.starts_with("listening on http")) {
            match told.recv_timeout(STARTS_WITHIN) {
                Ok(line) => lines.push(line),
                Err(_) => panic!("the node did not start; it said {lines:#?}"),
            }
        }
        Self { child, port, folder: folder.to_owned(), said: lines, log, owned: None }
    }

    /// Where it is.
    #[must_use]
    pub fn url(&self) -> String {
        let tls = self.said.iter().any(|line| line.starts_with("listening on https://"));
        format!("{}://127.0.0.1:{}", if tls { "https" } else { "http" }, self.port)
    }

    /// Its port.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// What it said until it listened, by line.
    #[must_use]
    pub fn said(&self) -> &[String] {
        &self.said
    }

    /// What it has said so far.
    ///
    /// # Panics
    /// When the thread that reads it has.
    #[must_use]
    pub fn log(&self) -> String {
        self.log.lock().expect("nobody panics with it in hand").clone()
    }

    /// Address and port of its listener for operators.
    ///
    /// # Panics
    /// When it did not tell.
    #[must_use]
    pub fn admin(&self) -> &str {
        let told = self.said.iter().find_map(|line| line.split_once("health and metrics on http://"));
        told.expect("it tells where operators reach it").1
    }

    /// Its data directory.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// REST as nobody.
    #[must_use]
    pub fn rest(&self) -> Rest {
        Rest::new(&self.url())
    }

    /// Registers somebody.
    ///
    /// # Panics
    /// When the node refuses.
    pub async fn person(&self, name: &str) -> Person {
        let signed = self.rest().register(name, PASSWORD).await.expect("anyone may register");
        planted(&signed);
        Person { rest: self.rest().with_token(&signed.access_token), signed, url: self.url() }
    }

    /// Signs somebody in who has an account and the usual password.
    ///
    /// # Panics
    /// When the node refuses.
    pub async fn signs_in(&self, name: &str) -> Person {
        let signed = self.rest().login(name, PASSWORD).await.expect("the account is there");
        planted(&signed);
        Person { rest: self.rest().with_token(&signed.access_token), signed, url: self.url() }
    }

    /// Ends it at once, as a loss of power would.
    pub fn kill(&mut self) {
        // One that has died already is as dead.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Asks it to stop, and waits; returns its exit code.
    ///
    /// # Panics
    /// When it cannot be asked.
    pub fn stop(&mut self) -> Option<i32> {
        let asked = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
        assert!(asked.expect("kill is a program").success(), "the node runs");
        self.child.wait().expect("a child can be waited for").code()
    }

    /// Kills it and starts it again over the same data, on the same port.
    #[must_use]
    pub fn killed_and_started_again(mut self, flags: &[&str]) -> Self {
        self.kill();
        let mut next = Self::over(&self.folder, self.port, flags);
        next.owned = self.owned.take();
        next
    }

    /// Bytes of memory it occupies.
    ///
    /// # Panics
    /// When it does not run.
    #[must_use]
    pub fn memory_bytes(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("the node runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a size");
        let kib: u64 = line.trim().trim_end_matches(" kB").parse().expect("a number");
        kib * 1024
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.kill();
    }
}

fn planted(signed: &SignedIn) {
    canary::plant("password", PASSWORD);
    canary::plant("access-token", &signed.access_token);
    canary::plant("refresh-token", &signed.refresh_token);
}

/// Somebody with an account.
#[derive(Debug)]
pub struct Person {
    /// REST as this person.
    pub rest: Rest,
    /// Tokens and account.
    pub signed: SignedIn,
    url: String,
}

impl Person {
    /// Connects.
    ///
    /// # Panics
    /// When the node refuses.
    pub async fn connects(&self) -> (Client, Updates) {
        let config = Config::new(&self.url, &self.signed.access_token);
        Client::connect(config).await.expect("the node takes its own token")
    }
}
