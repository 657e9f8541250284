//! Open files: each connection takes one in this program and one in the server, which inherits the limit.

use anyhow::{Result, ensure};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Files that are no clients' connections: standard streams, REST, pipes of servers.
const OTHER_FILES: u64 = 256;

/// Lets this process and those it starts open a file for each of `connections`, as far as it may.
///
/// # Errors
/// When it may not, with what to do.
pub(crate) fn raise(connections: usize) -> Result<()> {
    let wanted = connections as u64 + OTHER_FILES;
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current.is_none_or(|current| current >= wanted) {
        return Ok(());
    }
    // Only a privileged process may raise the maximum.
    let more = maximum.map(|maximum| maximum.max(wanted));
    let raised = setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum: more }).is_ok();
    ensure!(
        raised,
        "{connections} connections take {wanted} open files, and this process may open {}: raise `ulimit -Hn`",
        maximum.unwrap_or_default()
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_allowed_already_is_left_alone_and_what_cannot_be_is_told() {
        let before = getrlimit(Resource::Nofile);
        raise(1).expect("a few files are always allowed");
        assert_eq!(getrlimit(Resource::Nofile).current, before.current);
        // More than the kernel gives anybody.
        let refused = raise(1 << 40).expect_err("nobody may open that many").to_string();
        assert!(refused.contains("raise `ulimit -Hn`"), "{refused}");
    }
}
