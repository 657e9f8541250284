//! The newest snapshot of this node, as one file.
//!
//! # Invariants
//!
//! * The file is replaced by renaming, after the new one is on disk: a reader finds the old one or the new one.
//! * The log is purged only up to a snapshot that is on disk. A log that starts behind its snapshot is refused.

use std::{
    fs::File,
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use hubbub_protocol::codec::{self, CodecError};
use serde::{Deserialize, Serialize};

use super::{journal::sync_directory_of, types::Peer};
use crate::control::wire::CONTROL_BYTES_MAX;

const MAGIC: &[u8; 8] = b"HUBSNAP1";
const FORMAT: u8 = 1;
/// The facts, and 64 KiB for which entry they stand at and who takes part.
const BYTES_MAX: usize = CONTROL_BYTES_MAX + 64 * 1024;

/// Which entry a snapshot stands at, and who took part then.
pub(super) type SnapshotMeta = openraft::SnapshotMeta<u64, Peer>;

/// Why there is no snapshot to start from.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// The operating system said so.
    #[error("{} cannot be read or written", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Its sum is wrong, or it is another kind of file.
    #[error(
        "{} is damaged: remove this node and let it join again with an empty data directory",
        path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
    },
    /// Written by another release, or too large.
    #[error("the Raft snapshot has a form that this release does not know")]
    Form(#[source] CodecError),
}

/// A snapshot as it stands in the file.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Stored {
    pub(super) meta: SnapshotMeta,
    pub(super) control: Vec<u8>,
}

fn path_in(directory: &Path) -> PathBuf {
    directory.join("raft.snapshot")
}

/// Writes `stored`, and returns once it is on disk. Blocks.
pub(super) fn save(directory: &Path, stored: &Stored) -> Result<(), SnapshotError> {
    let path = path_in(directory);
    let body = codec::encode::<BYTES_MAX>(FORMAT, stored).map_err(SnapshotError::Form)?;
    let write = || {
        let fresh = path.with_extension("new");
        let mut file = File::create(&fresh)?;
        file.write_all(MAGIC)?;
        file.write_all(&crc32fast::hash(&body).to_le_bytes())?;
        file.write_all(&body)?;
        file.sync_all()?;
        std::fs::rename(&fresh, &path)?;
        sync_directory_of(&path)
    };
    write().map_err(|source| SnapshotError::Io { path: path.clone(), source })
}

/// The snapshot in `directory`, if there is one. Blocks.
pub(super) fn load(directory: &Path) -> Result<Option<Stored>, SnapshotError> {
    let path = path_in(directory);
    let bytes = match std::fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(SnapshotError::Io { path, source }),
    };
    let body = bytes.strip_prefix(MAGIC).and_then(|rest| {
        let (sum, body) = rest.split_first_chunk::<4>()?;
        (*sum == crc32fast::hash(body).to_le_bytes()).then_some(body)
    });
    let body = body.ok_or(SnapshotError::Damaged { path })?;
    codec::decode::<BYTES_MAX, _>(FORMAT, body).map(Some).map_err(SnapshotError::Form)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_reads_back_and_one_that_was_cut_or_flipped_anywhere_is_refused() {
        let directory = tempfile::tempdir().expect("a directory");
        assert!(load(directory.path()).expect("nothing is wrong").is_none());
        save(directory.path(), &Stored { meta: SnapshotMeta::default(), control: vec![1, 2, 3] }).expect("saved");
        let stored = load(directory.path()).expect("good").expect("there");
        assert_eq!(stored.control, [1, 2, 3]);

        let path = path_in(directory.path());
        let bytes = std::fs::read(&path).expect("there");
        for at in 0..bytes.len() {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1;
            for damaged in [&flipped[..], &bytes[..at]] {
                std::fs::write(&path, damaged).expect("written");
                assert!(matches!(load(directory.path()), Err(SnapshotError::Damaged { .. })), "byte {at}");
            }
        }
    }
}
