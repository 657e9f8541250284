//! The data directory: one node's files, and the lock that keeps a second node out.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Read, Seek, Write},
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use crate::cli::failure::Failure;

/// The layout this program writes.
const FORMAT: u32 = 1;

/// A data directory that this process holds. Given up when dropped.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    _lock: File,
}

impl DataDir {
    /// Takes hold of `path`, making it when it is not there.
    ///
    /// # Errors
    /// A sentence with the remedy: in use, not writable, or of a newer version.
    pub fn hold(path: &Path) -> Result<Self, Failure> {
        let unfit = |error: io::Error| unwritable(path, &error);
        // Keys and password hashes are in it: it is this user's alone.
        fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(unfit)?;
        let file = path.join("lock");
        let mut lock =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&file).map_err(unfit)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(in_use(path, &mut lock)),
            Err(TryLockError::Error(error)) => return Err(unfit(error)),
        }
        lock.set_len(0).map_err(unfit)?;
        lock.rewind().map_err(unfit)?;
        write!(lock, "{}", std::process::id()).map_err(unfit)?;
        check_format(path)?;
        Ok(Self { path: path.to_owned(), _lock: lock })
    }

    /// The directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The embedded store's file.
    #[must_use]
    pub fn store(&self) -> PathBuf {
        self.path.join("hubbub.sqlite")
    }
}

/// The operator's socket of the node that holds `path`.
#[must_use]
pub fn admin_socket(path: &Path) -> PathBuf {
    path.join("admin.sock")
}

fn in_use(path: &Path, lock: &mut File) -> Failure {
    let mut holder = String::new();
    // Who holds it is a courtesy; that it is held is the fact.
    let _ = lock.read_to_string(&mut holder);
    let holder = if holder.is_empty() { "another process".to_owned() } else { format!("process {holder}") };
    Failure::Conflict(format!(
        "the data directory {} is in use by {holder}: stop that node first, or choose another --data-dir",
        path.display()
    ))
}

fn unwritable(path: &Path, error: &io::Error) -> Failure {
    let path = path.display();
    Failure::Failed(match error.kind() {
        io::ErrorKind::StorageFull => format!("the disk of {path} is full: make room and start again"),
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            format!("cannot write to the data directory {path}: make it writable for this user ({error})")
        }
        io::ErrorKind::AlreadyExists | io::ErrorKind::NotADirectory => {
            format!("the data directory {path} is no directory, or lies below a file: choose another --data-dir")
        }
        _ => format!("cannot use the data directory {path}: choose another --data-dir ({error})"),
    })
}

fn check_format(path: &Path) -> Result<(), Failure> {
    let file = path.join("format");
    match fs::read_to_string(&file) {
        Ok(text) => match text.trim().parse::<u32>() {
            Ok(format) if format <= FORMAT => Ok(()),
            Ok(format) => Err(Failure::Damaged(format!(
                "the data directory {} was written by a newer version of Hubbub (format {format}, this program \
                 knows {FORMAT}): start that version",
                path.display()
            ))),
            Err(_) => Err(Failure::Damaged(format!(
                "{} does not say which format the data directory has: restore it from a backup",
                file.display()
            ))),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            fs::write(&file, format!("{FORMAT}\n")).map_err(|error| unwritable(path, &error))
        }
        Err(error) => Err(unwritable(path, &error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_held_by_one_process() {
        let folder = tempfile::TempDir::new().expect("a temporary folder");
        let path = folder.path().join("data");
        let held = DataDir::hold(&path).expect("a fresh directory");
        let refused = DataDir::hold(&path).expect_err("held already");
        assert_eq!(refused.exit_code(), 6);
        assert!(refused.to_string().contains(&std::process::id().to_string()), "{refused}");
        drop(held);
        DataDir::hold(&path).expect("given up");
    }

    #[test]
    fn a_directory_made_here_is_its_users_alone() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::TempDir::new().expect("a temporary folder");
        let path = folder.path().join("data");
        let _held = DataDir::hold(&path).expect("a fresh directory");
        let mode = fs::metadata(&path).expect("it is there").permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
    }

    #[test]
    fn a_newer_format_is_left_alone() {
        let folder = tempfile::TempDir::new().expect("a temporary folder");
        fs::write(folder.path().join("format"), "2").expect("a writable folder");
        let refused = DataDir::hold(folder.path()).expect_err("newer");
        assert_eq!(refused.exit_code(), 7);
    }

    #[test]
    fn a_file_in_its_place_is_named() {
        let folder = tempfile::TempDir::new().expect("a temporary folder");
        let path = folder.path().join("data");
        fs::write(&path, "not a directory").expect("a writable folder");
        let refused = DataDir::hold(&path).expect_err("no directory");
        assert!(refused.to_string().contains("data"), "{refused}");
        assert_eq!(refused.exit_code(), 1);
    }
}
