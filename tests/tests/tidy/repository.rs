//! The files of the repository as git would commit them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The tree under test: its root, and the paths below it with `/` between their parts.
#[derive(Debug)]
pub(crate) struct Repository {
    root: PathBuf,
    paths: Vec<String>,
}

impl Repository {
    /// Lists the tree that holds this crate.
    pub(crate) fn open() -> Self {
        let root = root();
        let listed = Command::new("git")
            .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
            .current_dir(&root)
            .output()
            .expect("git lists the files of the repository");
        assert!(listed.status.success(), "git ls-files: {}", String::from_utf8_lossy(&listed.stderr));
        let paths = String::from_utf8(listed.stdout)
            .expect("paths are UTF-8")
            .split('\0')
            .filter(|path| !path.is_empty() && root.join(path).is_file())
            .map(str::to_owned)
            .collect::<Vec<_>>();
        assert!(paths.iter().any(|path| path == "Cargo.toml"), "the list starts at the root of the repository");
        Self { root, paths }
    }

    /// Paths that end with one of `endings`.
    pub(crate) fn ending<'a>(&'a self, endings: &'a [&str]) -> impl Iterator<Item = &'a str> {
        self.all().filter(|path| endings.iter().any(|ending| path.ends_with(ending)))
    }

    /// All paths.
    pub(crate) fn all(&self) -> impl Iterator<Item = &str> {
        self.paths.iter().map(String::as_str)
    }

    /// The text of a file, or nothing when it is not text.
    pub(crate) fn text(&self, path: &str) -> Option<String> {
        fs::read_to_string(self.root.join(path)).ok()
    }

    /// Whether a file or a folder is there.
    pub(crate) fn has(&self, path: &Path) -> bool {
        self.root.join(path).exists()
    }
}

/// The folder of the workspace's Cargo.toml.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("this crate lies in the root of the repository")
        .to_owned()
}
