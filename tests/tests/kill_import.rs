//! Losing power in the middle of a bulk import: what is imported again afterwards is neither lost nor
//! doubled, and an export has the bytes of an import that nothing disturbed.

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::Duration,
};

use hubbub_tests::{Node, archive, free_port, program};
use tempfile::TempDir;

/// Lines of the archive: five batches.
const LINES: usize = 10_000;
/// Kills in the middle that a test must have seen.
const KILLS: usize = 2;
/// Tries to hit the middle; a fast machine needs more of them.
const TRIES_MAX: u32 = 60;
/// The first try is killed after this long, each later one this much later.
const STEP: Duration = Duration::from_millis(40);

struct Archive {
    _folder: TempDir,
    file: PathBuf,
}

fn an_archive() -> Archive {
    let folder = TempDir::new().expect("a temporary folder");
    let file = folder.path().join("archive.jsonl");
    std::fs::write(&file, archive::written(&archive::made_up(LINES))).expect("a writable folder");
    Archive { _folder: folder, file }
}

impl Archive {
    fn importing(&self, data: &Path) -> Child {
        let mut import = Command::new(program());
        import.args(["import", "jsonl"]).arg(&self.file);
        import.args(["--community", "Big", "--direct", "--data-dir"]).arg(data);
        import.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the program starts")
    }

    fn import(&self, data: &Path) {
        let status = self.importing(data).wait().expect("a child can be waited for");
        assert!(status.success(), "an import that nothing disturbs: {status}");
    }

    /// What an import that nothing disturbs exports.
    fn undisturbed(&self) -> Vec<u8> {
        let folder = TempDir::new().expect("a temporary folder");
        let data = folder.path().join("data");
        self.import(&data);
        let export = export(&data);
        assert_eq!(messages(&export), LINES);
        export
    }
}

fn exported(data: &Path) -> Output {
    let export =
        Command::new(program()).args(["export", "jsonl", "--community", "Big", "--data-dir"]).arg(data).output();
    export.expect("the program starts")
}

fn export(data: &Path) -> Vec<u8> {
    let output = exported(data);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

fn messages(export: &[u8]) -> usize {
    export.iter().filter(|byte| **byte == b'\n').count()
}

/// How much of the archive is there; nothing when the community is not there yet.
fn so_far(data: &Path) -> usize {
    messages(&exported(data).stdout)
}

/// Whether a kill that left `now` of the archive, where `before` was there before, hit the middle.
const fn in_the_middle(before: usize, now: usize) -> bool {
    before < now && now < LINES
}

#[test]
fn an_import_into_a_stopped_node_survives_being_killed() {
    let archive = an_archive();
    let wanted = archive.undisturbed();
    let folder = TempDir::new().expect("a temporary folder");
    let data = folder.path().join("data");
    let (mut kills, mut before) = (0, 0);
    for step in 1..=TRIES_MAX {
        let mut import = archive.importing(&data);
        std::thread::park_timeout(STEP * step);
        import.kill().expect("a child can be killed");
        import.wait().expect("a child can be waited for");
        let now = so_far(&data);
        assert!(now >= before, "what was imported was lost: {now} after {before}");
        kills += usize::from(in_the_middle(before, now));
        before = now;
        if kills >= KILLS || now == LINES {
            break;
        }
    }
    assert!(kills > 0, "no kill hit the middle of an import");
    archive.import(&data);
    assert!(export(&data) == wanted, "after {kills} kills the export is another");
    archive.import(&data);
    assert!(export(&data) == wanted, "importing what is there changed it");
}

#[test]
fn an_import_into_a_running_node_survives_the_node_being_killed() {
    let archive = an_archive();
    let wanted = archive.undisturbed();
    let folder = TempDir::new().expect("a temporary folder");
    let data = folder.path().join("data");
    let port = free_port();
    let (mut kills, mut before) = (0, 0);
    for step in 1..=TRIES_MAX {
        let mut node = Node::over(&data, port, &[]);
        let mut import = archive.importing(&data);
        std::thread::park_timeout(STEP * step);
        node.kill();
        let done = import.wait().expect("a child can be waited for").success();
        let now = so_far(&data);
        assert!(now >= before, "what was imported was lost: {now} after {before}");
        assert!(!done || now == LINES, "an import that told of success is not all there: {now}");
        kills += usize::from(in_the_middle(before, now));
        before = now;
        if kills >= KILLS || now == LINES {
            break;
        }
    }
    assert!(kills > 0, "no kill hit the middle of an import");
    let mut node = Node::over(&data, port, &[]);
    archive.import(&data);
    assert!(export(&data) == wanted, "after {kills} kills the export of the running node is another");
    assert_eq!(node.stop(), Some(0));
    assert!(export(&data) == wanted, "the stopped node's export is another");
}

#[test]
fn an_import_into_a_running_node_survives_the_command_being_killed() {
    let archive = an_archive();
    let wanted = archive.undisturbed();
    let node = Node::fresh(&[]);
    let (mut kills, mut before) = (0, 0);
    for step in 1..=TRIES_MAX {
        let mut import = archive.importing(node.folder());
        std::thread::park_timeout(STEP * step);
        import.kill().expect("a child can be killed");
        import.wait().expect("a child can be waited for");
        let now = so_far(node.folder());
        kills += usize::from(in_the_middle(before, now));
        before = now;
        if kills >= KILLS || now == LINES {
            break;
        }
    }
    assert!(kills > 0, "no kill hit the middle of an import");
    archive.import(node.folder());
    assert!(export(node.folder()) == wanted, "after {kills} kills the export is another");
}
