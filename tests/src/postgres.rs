//! PostgreSQL servers for tests: real ones, started by `tests/postgres`.
//!
//! Most tests share one and take a database each: that of `$HUBBUB_TEST_POSTGRES`, which a setup script
//! of nextest provides, or else one that this process starts for itself and that ends with it. A test
//! that stops its server has a [`Server`] of its own.

use std::{
    net::Ipv4Addr,
    os::unix::{
        fs::{MetadataExt, PermissionsExt, chown},
        process::CommandExt,
    },
    path::Path,
    process::Command,
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use tempfile::TempDir;

use crate::{authority::Authority, script};

/// Names the server that tests share.
const SHARED: &str = "HUBBUB_TEST_POSTGRES";
/// Says that it was made for this run.
const TEMPORARY: &str = "HUBBUB_TEST_POSTGRES_TEMPORARY";

/// Names a further address that a server listens on.
const ALSO: &str = "HUBBUB_POSTGRES_ALSO";

/// How long a server may take to do what it is told by its settings.
const OBEYS_WITHIN: Duration = Duration::from_secs(10);

fn script(arguments: &[&str]) -> String {
    script::run("postgres", arguments, None)
}

fn script_with(arguments: &[&str], also: Option<Ipv4Addr>) -> String {
    script::run("postgres", arguments, also.map(|also| (ALSO, also.to_string())))
}

/// The URL of the server that tests share, as its superuser.
///
/// # Panics
/// When there is none and none can be started; the panic says how to install one.
#[must_use]
pub fn shared() -> &'static str {
    static URL: OnceLock<String> = OnceLock::new();
    script::shared(&URL, SHARED, "postgres")
}

/// Whether the shared server and all its databases go by themselves when the tests end.
#[must_use]
pub fn shared_is_temporary() -> bool {
    let given = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    !given(SHARED) || given(TEMPORARY)
}

/// The URL of a database of a server's, given another of its URLs.
#[must_use]
pub fn database_of(url: &str, name: &str) -> String {
    url.rsplit_once('/').map_or_else(|| url.to_owned(), |(server, _)| format!("{server}/{name}"))
}

/// A fresh, empty database on the server that tests share.
///
/// # Panics
/// When the server refuses.
#[must_use]
pub fn fresh_database() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let name = format!("hubbub_whole_{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    sql(shared(), &format!("CREATE DATABASE {name}"));
    database_of(shared(), &name)
}

/// Runs SQL; returns what it printed.
///
/// # Panics
/// When the server refuses.
pub fn sql(url: &str, sql: &str) -> String {
    let done = Command::new("psql").args([url, "-Atqc", sql]).output().expect("psql runs");
    script::told("psql", &done)
}

/// A server of one test's own.
#[derive(Debug)]
pub struct Server {
    folder: TempDir,
    url: String,
    also: Option<Ipv4Addr>,
}

impl Server {
    /// Starts a fresh one.
    ///
    /// # Panics
    /// When none can be started; the panic says how to install one.
    #[must_use]
    pub fn start() -> Self {
        Self::start_also_at(None)
    }

    /// The same, on a further address, of whose network of 256 it takes connections.
    ///
    /// # Panics
    /// As [`Server::start`].
    #[must_use]
    pub fn start_also_at(also: Option<Ipv4Addr>) -> Self {
        let folder = TempDir::with_prefix("hubbub-postgres-").expect("a temporary folder");
        // The server's user is another than this one when this is root.
        let open = PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(folder.path(), open).expect("our own folder");
        let url = script_with(&["start", &folder.path().display().to_string()], also);
        Self { folder, url, also }
    }

    /// Its URL, as its superuser.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    fn folder(&self) -> String {
        self.folder.path().display().to_string()
    }

    /// Its URL by the further address, or by loopback where it has none.
    #[must_use]
    pub fn url_from_elsewhere(&self) -> String {
        self.also.map_or_else(|| self.url.clone(), |also| self.url.replacen("127.0.0.1", &also.to_string(), 1))
    }

    /// Its port.
    ///
    /// # Panics
    /// Never: its URL names one.
    #[must_use]
    pub fn port(&self) -> u16 {
        let (_, rest) = self.url.rsplit_once(':').expect("a port");
        rest.split('/').next().and_then(|port| port.parse().ok()).expect("a port")
    }

    /// The process that started all others of it; `None` while it does not run.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        let noted = std::fs::read_to_string(self.folder.path().join("data/postmaster.pid")).ok()?;
        noted.lines().next()?.trim().parse().ok()
    }

    /// Stops it as an operator does: sessions are ended, and what was committed is kept.
    pub fn stop(&self) {
        script(&["stop", &self.folder(), "fast"]);
    }

    /// Ends it as a crash does.
    pub fn crash(&self) {
        script(&["stop", &self.folder(), "immediate"]);
    }

    /// Starts it again, on the same port.
    pub fn start_again(&self) {
        script_with(&["start", &self.folder(), &self.port().to_string()], self.also);
    }

    /// Where everything of it is; its user may look into it.
    #[must_use]
    pub fn place(&self) -> &Path {
        self.folder.path()
    }

    /// Gives `path` to the server's user.
    ///
    /// # Panics
    /// When this is neither root nor that user.
    pub fn give(&self, path: &Path) {
        chown(path, Some(self.owner().0), None).expect("root, or the server's own user");
    }

    /// User and group that it runs as.
    fn owner(&self) -> (u32, u32) {
        let data = self.folder.path().join("data").metadata().expect("the server's folder");
        (data.uid(), data.gid())
    }

    /// Bounds the size of the files that its sessions write, of those that begin from now on.
    ///
    /// # Panics
    /// When the system refuses.
    pub fn limit_files(&self, bytes: &str) {
        let (pid, limit) = (self.pid().expect("it runs").to_string(), format!("--fsize={bytes}:unlimited"));
        let mut prlimit = Command::new("prlimit");
        prlimit.args(["--pid", &pid, &limit]);
        let (user, group) = self.owner();
        if Path::new("/proc/self").metadata().is_ok_and(|own| own.uid() != user) {
            prlimit.uid(user).gid(group);
        }
        assert!(prlimit.status().is_ok_and(|done| done.success()), "prlimit is a program of every Linux");
    }

    /// Lets it speak TLS, with the certificate that `authority` has signed, to those who ask for it.
    ///
    /// # Panics
    /// When it does not.
    pub fn speak_tls(&self, authority: &Authority) {
        let data = self.folder.path().join("data");
        for (from, to) in [("cert.pem", "server.crt"), ("key.pem", "server.key")] {
            let to = data.join(to);
            std::fs::copy(authority.file(from), &to).expect("the server's folder is writable");
            // The server refuses a key that others may read.
            std::fs::set_permissions(&to, PermissionsExt::from_mode(0o600)).expect("our own file");
            self.give(&to);
        }
        self.sql("ALTER SYSTEM SET ssl = on");
        self.sql("SELECT pg_reload_conf()");
        let begun = Instant::now();
        while self.sql("SHOW ssl") != "on" {
            assert!(begun.elapsed() < OBEYS_WITHIN, "the server speaks no TLS");
            self.sql("SELECT pg_sleep(0.02)");
        }
    }

    /// Runs SQL on its first database; returns what it printed.
    pub fn sql(&self, sql: &str) -> String {
        self::sql(&self.url, sql)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("postgres");
        // It may be stopped already.
        let _ = Command::new(script).args(["stop", &self.folder(), "immediate"]).output();
    }
}
