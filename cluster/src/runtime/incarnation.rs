//! Counts the starts of this node's process, on disk: what is said of an earlier start is not believed.

use std::{
    fs::File,
    io::{self, Write as _},
    path::Path,
};

const FILE: &str = "incarnation";

/// The number of this start: one more than the last, and at least `least`. On disk when this returns. Blocks.
///
/// # Errors
/// When the file cannot be read or replaced, or holds no number.
pub(super) fn next(directory: &Path, least: u64) -> io::Result<u64> {
    let path = directory.join(FILE);
    let last = match std::fs::read_to_string(&path) {
        Ok(text) => {
            text.trim().parse().map_err(|_| io::Error::other(format!("{} holds no number", path.display())))?
        }
        // A node that joins is at its first; this is the first of its starts.
        Err(error) if error.kind() == io::ErrorKind::NotFound => 1,
        Err(error) => return Err(error),
    };
    let number = least.max(u64::saturating_add(last, 1));
    let fresh = directory.join(format!("{FILE}.new"));
    let mut file = File::create(&fresh)?;
    writeln!(file, "{number}")?;
    file.sync_all()?;
    std::fs::rename(&fresh, &path)?;
    File::open(directory)?.sync_all()?;
    Ok(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_start_has_a_higher_number_and_a_damaged_file_is_refused() {
        let directory = tempfile::tempdir().expect("a directory");
        let next = |least| next(directory.path(), least);
        assert_eq!(
            (next(0).expect("2"), next(0).expect("3"), next(9).expect("9"), next(0).expect("10")),
            (2, 3, 9, 10)
        );
        std::fs::write(directory.path().join(FILE), "ten").expect("written");
        assert!(next(0).expect_err("no number").to_string().contains("holds no number"));
    }
}
