//! Where `benches/peers/setup` has put the peers that are not ours, and the servers they lean on.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use tokio::process::Command;

use crate::server::{Server, free_port};

/// The command that mends all of it.
const REMEDY: &str = "run benches/peers/setup";

/// Our own programs and scripts around a peer, in the source tree this program was built from.
pub(super) fn source(path: &str) -> Result<PathBuf> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers").join(path);
    ensure!(source.is_file(), "{} is missing: run from the source tree that this was built in", source.display());
    Ok(source)
}

/// What was installed below the cargo target directory, which is two above this program.
pub(super) fn below_target(path: &str) -> Result<PathBuf> {
    let own = std::env::current_exe().context("finding this program")?;
    let target = own.ancestors().nth(2).context("this program lies in no target directory")?;
    let found = target.join("peers").join(path);
    ensure!(found.exists(), "there is no {}: {REMEDY} with CARGO_TARGET_DIR={}", found.display(), target.display());
    Ok(found)
}

/// Checks that `programs` can be started, before anything is.
pub(super) fn programs(programs: &[&str]) -> Result<()> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    // Debian keeps daemons where an ordinary user's PATH does not look.
    let folders = || std::env::split_paths(&path).chain(["/usr/sbin".into()]);
    for program in programs {
        if !folders().any(|folder| folder.join(program).is_file()) {
            bail!("{program} is not installed: {REMEDY}");
        }
    }
    Ok(())
}

/// A Redis of this run's own that keeps nothing on disk.
pub(super) async fn redis(folder: &Path) -> Result<(Server, SocketAddr)> {
    let address = SocketAddr::from(([127, 0, 0, 1], free_port()?));
    let mut command = Command::new("sh");
    // It says what is wrong on its standard output.
    command.args(["-c", "exec redis-server \"$@\" >&2", "redis-server", "--bind", "127.0.0.1"]);
    command.args(["--port", &address.port().to_string(), "--save", "", "--appendonly", "no"]);
    command.arg("--dir").arg(folder);
    Ok((Server::start_at("redis", command, address).await?, address))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_installed_is_named_with_the_remedy() {
        assert!(programs(&["sh"]).is_ok());
        let missing = programs(&["sh", "no-such-program"]).expect_err("missing").to_string();
        assert_eq!(missing, "no-such-program is not installed: run benches/peers/setup");
        let missing = below_target("no-such-peer").expect_err("missing").to_string();
        assert!(missing.contains("run benches/peers/setup with CARGO_TARGET_DIR="), "{missing}");
    }
}
