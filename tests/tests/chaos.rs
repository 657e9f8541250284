//! A short run of the rig: three real nodes and a database are broken for half a minute while people talk.

#![expect(clippy::print_stderr, reason = "a failure shows what was broken, and when")]

use std::time::Duration;

use hubbub_tests::{
    chaos::{
        plan::Kind,
        run::{Orders, run},
        verdict::Verdict,
    },
    program,
};
use tempfile::TempDir;

/// Pauses an owner, crashes the database, kills the leader and cuts an owner off; `tests/chaos/run` takes any other.
const SEED: u64 = 7;

#[tokio::test(flavor = "multi_thread")]
async fn three_nodes_keep_every_promise_while_they_are_broken() {
    let folder = TempDir::new().expect("a temporary folder");
    let orders = Orders {
        program: program(),
        seed: SEED,
        length: Duration::from_secs(30),
        nodes: 3,
        kinds: vec![Kind::Kill, Kind::Pause, Kind::Cut, Kind::Db],
        loopback: false,
        folder: folder.path().to_owned(),
    };
    let told = |line: &str| eprintln!("{line}");
    let (counts, verdict) = Box::pin(run(&orders, told)).await.expect("a cluster can be founded");
    eprintln!("{counts}");
    if !matches!(verdict, Verdict::Passed) {
        let kept = folder.keep();
        panic!("{verdict:#?}; history and logs are in {}", kept.display());
    }
}
