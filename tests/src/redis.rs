//! Redis servers for tests: real ones, started by `tests/redis`.
//!
//! Most tests share one: that of `$HUBBUB_TEST_REDIS`, which a setup script of nextest provides, or else one that this
//! process starts for itself and that ends with it. A test that breaks its server has a [`Server`] of its own.

use std::{
    io::{BufRead, BufReader, Write},
    net::TcpStream,
    process::Command,
    sync::OnceLock,
};

use tempfile::TempDir;

use crate::script;

/// Names the server that tests share.
const SHARED: &str = "HUBBUB_TEST_REDIS";

fn script(arguments: &[&str]) -> String {
    script::run("redis", arguments, None)
}

/// The URL of the server that tests share.
///
/// # Panics
/// When there is none and none can be started; the panic says how to install one.
#[must_use]
pub fn shared() -> &'static str {
    static URL: OnceLock<String> = OnceLock::new();
    script::shared(&URL, SHARED, "redis")
}

/// A server's password, host and port, out of its URL.
fn parts(url: &str) -> (&str, &str) {
    let rest = url.strip_prefix("redis://:").expect("a URL of the script's");
    let (password, rest) = rest.split_once('@').expect("it has a password");
    (password, rest.split('/').next().expect("a host and a port"))
}

/// Sends one command of plain words; gives the first line of the answer, without its line's end.
///
/// # Panics
/// When the server does not answer.
pub fn tell(url: &str, command: &str) -> String {
    let (password, address) = parts(url);
    let mut stream = TcpStream::connect(address).expect("the server takes a connection");
    write!(stream, "AUTH {password}\r\n{command}\r\n").expect("it reads");
    let mut lines = BufReader::new(stream).lines();
    let mut line = || lines.next().expect("an answer").expect("it can be read");
    assert_eq!(line(), "+OK", "the password is right");
    line()
}

/// A server of one test's own.
#[derive(Debug)]
pub struct Server {
    folder: TempDir,
    url: String,
}

impl Server {
    /// Starts a fresh one.
    ///
    /// # Panics
    /// When none can be started; the panic says how to install one.
    #[must_use]
    pub fn start() -> Self {
        let folder = TempDir::with_prefix("hubbub-redis-").expect("a temporary folder");
        let url = script(&["start", &folder.path().display().to_string()]);
        Self { folder, url }
    }

    /// Its URL.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Its process id.
    ///
    /// # Panics
    /// Never: the script wrote it.
    #[must_use]
    pub fn pid(&self) -> u32 {
        let text = std::fs::read_to_string(self.folder.path().join("pid")).expect("the script wrote it");
        text.trim().parse().expect("a number")
    }

    fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([name, &self.pid().to_string()]).status().expect("kill is a program");
        assert!(sent.success(), "the server runs");
    }

    /// Ends it as a crash does.
    pub fn kill(&self) {
        self.signal("-KILL");
    }

    /// Starts it again, empty, on the same port.
    ///
    /// # Panics
    /// Never: its URL names a port.
    pub fn start_again(&self) {
        let port = parts(&self.url).1.rsplit_once(':').expect("a port").1;
        script(&["start", &self.folder.path().display().to_string(), port]);
    }

    /// Pauses it: it keeps its connections and does nothing.
    pub fn pause(&self) {
        self.signal("-STOP");
    }

    /// Lets it go on.
    pub fn go_on(&self) {
        self.signal("-CONT");
    }

    /// Forgets everything.
    pub fn flush(&self) {
        assert_eq!(tell(&self.url, "FLUSHALL"), "+OK");
    }

    /// How many keys it holds.
    ///
    /// # Panics
    /// When it does not answer.
    #[must_use]
    pub fn keys(&self) -> u64 {
        let answer = tell(&self.url, "DBSIZE");
        answer.strip_prefix(':').and_then(|count| count.parse().ok()).expect("a number")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = Command::new("kill").args(["-KILL", &self.pid().to_string()]).output();
    }
}
