//! Writes what clients see, as lines of a [`history`](crate::history), while it happens.

use std::{
    fs::File,
    io::{BufWriter, Write as _},
    path::{Path, PathBuf},
    sync::Mutex,
    time::{SystemTime, UNIX_EPOCH},
};

use anyhow::Context as _;

use crate::history::{Op, Record};

/// One file for all clients of a run.
#[derive(Debug)]
pub struct Recorder {
    path: PathBuf,
    file: Mutex<BufWriter<File>>,
}

/// Unix milliseconds.
#[must_use]
pub fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// A line without its particulars.
#[must_use]
pub fn record(client: &str, op: Op, room: &str) -> Record {
    Record {
        client: client.to_owned(),
        op,
        room: room.to_owned(),
        key: None,
        seq: None,
        from: None,
        to: None,
        events: Vec::new(),
        ts: Some(now_ms()),
    }
}

impl Recorder {
    /// Begins a file.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn create(path: &Path) -> anyhow::Result<Self> {
        let file = File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(Self { path: path.to_owned(), file: Mutex::new(BufWriter::new(file)) })
    }

    /// Adds a line. The lines of one client are in the order of its calls.
    ///
    /// # Panics
    /// When the disk takes no more: a history with a hole would accuse the product.
    pub fn note(&self, record: &Record) {
        let mut line = serde_json::to_vec(record).expect("a record is JSON");
        line.push(b'\n');
        let mut file = self.file.lock().expect("nobody panics while writing a line");
        file.write_all(&line).expect("the history can be written");
    }

    /// Everything that was written, read back.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn read(&self) -> anyhow::Result<Vec<Record>> {
        self.file.lock().expect("nobody panics while writing a line").flush()?;
        crate::history::read(&std::fs::read_to_string(&self.path)?).map_err(anyhow::Error::msg)
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_noted_is_read_back_in_order() {
        let folder = tempfile::TempDir::new().expect("a temporary folder");
        let recorder = Recorder::create(&folder.path().join("history.jsonl")).expect("a new file");
        let lines: Vec<Record> =
            (1..4).map(|seq| Record { seq: Some(seq), ..record("ada", Op::Event, "r") }).collect();
        lines.iter().for_each(|line| recorder.note(line));
        assert_eq!(recorder.read().expect("a history"), lines);
    }
}
