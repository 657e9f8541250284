//! A file of records that survives `kill -9` at any byte.
//!
//! The file starts with eight bytes of magic, a random salt of four and the salt's CRC-32. Each record is a length, a CRC-32 and that
//! many bytes. The sum covers the salt, the record's place in the file and its bytes, so that a record copied into
//! another one's bytes is never taken for a record.
//!
//! # Failure
//!
//! * A record at the end that was written half is cut away at the next start: nobody was told that it is there.
//! * A bad record with a good one behind it is damage, not an interrupted write: the file is refused by name.
//! * After a failed write or sync nothing more is written: what the disk holds is unknown until the next start.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read as _, Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
};

const MAGIC: &[u8; 8] = b"HUBRAFT1";
const FILE_HEAD_BYTES: usize = 16;
const RECORD_HEAD_BYTES: usize = 8;
/// Largest record, in bytes: an entry of the log with its largest batch, and room for its head.
pub(super) const RECORD_BYTES_MAX: usize = 512 * 1024;

/// Why a journal cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The operating system said so.
    #[error("{} cannot be read or written", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Another kind of file, or a head that was damaged.
    #[error("{} is not a Raft journal of this release", path.display())]
    NotAJournal {
        /// The file.
        path: PathBuf,
    },
    /// The remedy is in the text: a voter must never run on with part of its log.
    #[error(
        "{} is damaged at byte {at}: remove this node and let it join again with an empty data directory",
        path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where the first bad record starts.
        at: usize,
    },
}

/// The file, open for appending.
#[derive(Debug)]
pub(super) struct Journal {
    path: PathBuf,
    file: File,
    salt: [u8; 4],
    len: usize,
    failed: bool,
}

impl Journal {
    /// Opens or makes the file at `path`; gives the records in it, oldest first.
    pub(super) fn open(path: &Path) -> Result<(Self, Vec<Vec<u8>>), JournalError> {
        let failed = |source| JournalError::Io { path: path.to_owned(), source };
        let mut file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).map_err(failed)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(failed)?;
        // A head that is not whole was being written when the process ended, before any record.
        if bytes.len() < FILE_HEAD_BYTES {
            return Ok((Self::fresh(path, file).map_err(failed)?, Vec::new()));
        }
        let Some(salt) = salt_of(&bytes) else {
            return Err(JournalError::NotAJournal { path: path.to_owned() });
        };
        let (records, end) = read_records(&bytes, salt);
        if (end + 1..bytes.len()).any(|at| record_at(&bytes, salt, at).is_some()) {
            return Err(JournalError::Damaged { path: path.to_owned(), at: end });
        }
        if end < bytes.len() {
            tracing::warn!(bytes = bytes.len() - end, "cut an interrupted write off the Raft journal");
            file.set_len(u64::try_from(end).unwrap_or(u64::MAX)).map_err(failed)?;
            file.sync_all().map_err(failed)?;
        }
        file.seek(SeekFrom::End(0)).map_err(failed)?;
        Ok((Self { path: path.to_owned(), file, salt, len: end, failed: false }, records))
    }

    fn fresh(path: &Path, mut file: File) -> io::Result<Self> {
        let salt: [u8; 4] = rand::random();
        file.set_len(0)?;
        file.seek(SeekFrom::Start(0))?;
        file.write_all(&[&MAGIC[..], &salt, &crc32fast::hash(&salt).to_le_bytes()].concat())?;
        file.sync_all()?;
        sync_directory_of(path)?;
        Ok(Self { path: path.to_owned(), file, salt, len: FILE_HEAD_BYTES, failed: false })
    }

    /// Size of the file, in bytes.
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    /// Writes `records` at the end with one write, and returns once the disk has them if `durable`.
    pub(super) fn append(&mut self, records: &[Vec<u8>], durable: bool) -> io::Result<()> {
        if self.failed {
            return Err(io::Error::other("an earlier write to the Raft journal failed; start the node again"));
        }
        let mut bytes = Vec::new();
        for record in records {
            frame(&mut bytes, self.salt, self.len, record)?;
        }
        // Until the disk has said yes, assume that it has not: an unwinding or an error leaves the mark.
        self.failed = true;
        self.file.write_all(&bytes)?;
        self.len += bytes.len();
        if durable {
            self.file.sync_data()?;
        }
        self.failed = false;
        Ok(())
    }

    /// Replaces the file by one with only `records`, so that a reader finds either the old or the new one.
    pub(super) fn rewrite(&mut self, records: &[Vec<u8>]) -> io::Result<()> {
        let fresh_path = self.path.with_extension("new");
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(&fresh_path)?;
        let mut fresh = Self::fresh(&fresh_path, file)?;
        fresh.append(records, true)?;
        std::fs::rename(&fresh_path, &self.path)?;
        sync_directory_of(&self.path)?;
        *self = Self { path: self.path.clone(), ..fresh };
        Ok(())
    }
}

/// Makes a new, renamed or removed name in the directory of `path` durable.
pub(super) fn sync_directory_of(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(directory) => File::open(directory)?.sync_all(),
        None => Ok(()),
    }
}

/// The salt of a file with a whole and good head.
fn salt_of(bytes: &[u8]) -> Option<[u8; 4]> {
    let salt = bytes.strip_prefix(MAGIC)?.first_chunk::<4>()?;
    (bytes.get(12..FILE_HEAD_BYTES)? == crc32fast::hash(salt).to_le_bytes()).then_some(*salt)
}

fn sum(salt: [u8; 4], at: usize, record: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&salt);
    hasher.update(&at.to_le_bytes());
    hasher.update(record);
    hasher.finalize()
}

fn frame(bytes: &mut Vec<u8>, salt: [u8; 4], file_len: usize, record: &[u8]) -> io::Result<()> {
    let at = file_len + bytes.len();
    let len = u32::try_from(record.len()).ok().filter(|_| (1..=RECORD_BYTES_MAX).contains(&record.len()));
    let len = len.ok_or_else(|| io::Error::other("a record is empty or larger than a record may be"))?;
    bytes.extend(len.to_le_bytes());
    bytes.extend(sum(salt, at, record).to_le_bytes());
    bytes.extend(record);
    Ok(())
}

/// The record that starts at `at`, if there is a whole and good one.
fn record_at(bytes: &[u8], salt: [u8; 4], at: usize) -> Option<&[u8]> {
    let (head, rest) = bytes.get(at..)?.split_at_checked(RECORD_HEAD_BYTES)?;
    let word = |from: usize| Some(u32::from_le_bytes(head.get(from..from + 4)?.try_into().ok()?));
    let len = usize::try_from(word(0)?).ok().filter(|len| (1..=RECORD_BYTES_MAX).contains(len))?;
    let record = rest.get(..len)?;
    (sum(salt, at, record) == word(4)?).then_some(record)
}

/// All good records from the start, and where they end.
fn read_records(bytes: &[u8], salt: [u8; 4]) -> (Vec<Vec<u8>>, usize) {
    let (mut records, mut at) = (Vec::new(), FILE_HEAD_BYTES);
    while let Some(record) = record_at(bytes, salt, at) {
        at += RECORD_HEAD_BYTES + record.len();
        records.push(record.to_vec());
    }
    (records, at)
}

#[cfg(test)]
#[path = "journal_tests.rs"]
mod tests;
