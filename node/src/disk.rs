//! How much room is left where the data is: sends fail on a full disk, and an operator wants to know
//! before.

use std::{path::PathBuf, time::Duration};

use rustix::fs::statvfs;
use tokio_util::sync::CancellationToken;

use crate::config::units;

/// How often the room that is left is looked at for the log.
const LOOK_EVERY: Duration = Duration::from_secs(30);

/// The disk of the data directory.
#[derive(Debug, Clone)]
pub struct Disk {
    /// The data directory.
    pub path: PathBuf,
    /// Free bytes below which it is told.
    pub space_min_bytes: u64,
}

impl Disk {
    /// What there is to tell: too little room is left.
    #[must_use]
    pub fn warning(&self) -> Option<String> {
        // A file system that does not say how much is free has nothing to be told.
        let told = statvfs(&self.path).ok()?;
        let free_bytes = told.f_bavail.saturating_mul(told.f_frsize);
        (free_bytes < self.space_min_bytes).then(|| {
            format!(
                "the disk of {} has {} left, less than `store.space_min` ({}): make room",
                self.path.display(),
                units::of_size(free_bytes),
                units::of_size(self.space_min_bytes),
            )
        })
    }

    /// Logs when room becomes scarce, and when there is enough again.
    pub async fn watch(self, stopping: CancellationToken) {
        let mut scarce = false;
        loop {
            let warning = self.warning();
            match (&warning, scarce) {
                (Some(warning), false) => tracing::warn!("{warning}"),
                (None, true) => tracing::info!("the disk of {} has room again", self.path.display()),
                _ => {}
            }
            scarce = warning.is_some();
            tokio::select! {
                () = tokio::time::sleep(LOOK_EVERY) => {}
                () = stopping.cancelled() => return,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scarce_room_is_told_with_the_directory_and_the_key() {
        let folder = tempfile::TempDir::new().expect("a temporary folder");
        let disk = |space_min_bytes| Disk { path: folder.path().to_owned(), space_min_bytes };
        assert_eq!(disk(0).warning(), None);
        let warning = disk(u64::MAX).warning().expect("no disk is that large");
        assert!(warning.contains("store.space_min"), "{warning}");
        assert!(warning.contains(&folder.path().display().to_string()), "{warning}");
    }
}
