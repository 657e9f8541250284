//! Small disks for tests: mounting one needs root, and a test leaves that part out with a word where it is not allowed.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::Command,
};

/// A file system of a few megabytes, unmounted when dropped.
#[derive(Debug)]
pub struct Mount {
    /// Where it is.
    pub path: PathBuf,
}

impl Mount {
    /// Mounts one below `folder`; nothing where that is not allowed, which is said.
    ///
    /// # Panics
    /// When `folder` cannot be written.
    #[must_use]
    pub fn tmpfs(folder: &Path, options: &str) -> Option<Self> {
        let path = folder.join("small");
        fs::create_dir(&path).expect("a writable folder");
        let done = Command::new("mount").args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(&path).output();
        let mounted = done.is_ok_and(|done| done.status.success());
        if !mounted {
            // The rest of the test has run; this part needs the right to mount.
            let _ = writeln!(std::io::stderr(), "left out: mounting a small disk needs root");
        }
        mounted.then_some(Self { path })
    }

    /// Mounts it again with other options.
    ///
    /// # Panics
    /// When the system refuses.
    pub fn again(&self, options: &str) {
        let options = format!("remount,{options}");
        let done = Command::new("mount").args(["-o", &options]).arg(&self.path).status();
        assert!(done.is_ok_and(|done| done.success()), "mount -o {options}");
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // Lazily, since a node that failed its test may still hold a file.
        let _ = Command::new("umount").arg("-l").arg(&self.path).status();
    }
}
