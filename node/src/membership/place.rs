//! Tells a member's data directory from a copy of it.
//!
//! The file `place` holds the directory's number, and `node.json` the number of the file's inode: a copy has the same
//! contents and another inode. Moving or renaming the directory keeps the inode; copying and restoring do not.

use std::{fs, os::unix::fs::MetadataExt, path::Path};

use super::{directory, files};
use crate::cli::failure::Failure;

const PLACE: &str = "place";

/// Which directory it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Its number, drawn when it was made.
    pub data_dir: u128,
    /// The inode of the file that holds it.
    pub inode: u64,
}

impl Place {
    /// That of the data directory `data`; drawn now, unless it was before.
    ///
    /// # Errors
    /// When it cannot be written or read.
    pub fn make(data: &Path) -> Result<Self, Failure> {
        let path = directory(data).join(PLACE);
        if !path.exists() {
            let number = uuid::Uuid::new_v4().as_u128();
            files::write_private(&path, format!("{number:032x}\n").as_bytes())
                .map_err(|error| files::unwritten(&path, &error))?;
        }
        Self::read(data)?.ok_or_else(|| files::damaged(&path))
    }

    fn read(data: &Path) -> Result<Option<Self>, Failure> {
        let path = directory(data).join(PLACE);
        let Some(text) = files::read_text(&path)? else { return Ok(None) };
        let data_dir = u128::from_str_radix(text.trim(), 16).map_err(|_| files::damaged(&path))?;
        let inode = fs::metadata(&path).map_err(|_| files::damaged(&path))?.ino();
        Ok(Some(Self { data_dir, inode }))
    }

    /// Whether `data` is the directory that was meant, and not a copy.
    ///
    /// # Errors
    /// [`Failure::Conflict`] for a copy.
    pub fn check(&self, data: &Path) -> Result<(), Failure> {
        // An operator who knows that the original is gone takes the file away.
        let Some(found) = Self::read(data)? else { return Ok(()) };
        if found == *self {
            return Ok(());
        }
        let (data, file) = (data.display(), directory(data).join(PLACE));
        Err(Failure::Conflict(format!(
            "the data directory {data} is a copy of a member's, and a member runs in one place only: join this node \
             anew with an empty --data-dir; or, if the original is gone for good, delete {} and start again",
            file.display()
        )))
    }
}
