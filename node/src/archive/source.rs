//! An archive's bytes into numbered lines: unzipped when they are gzip, told by their first two bytes.
//!
//! The reader runs on a thread of its own, so that unzipping and parsing go on while the lines before
//! are committed.
//!
//! # Failure
//!
//! The first line that cannot be read ends the archive, with its number; what came before it is given.

use std::{
    cell::Cell,
    io::{self, BufRead, BufReader, Read},
    rc::Rc,
};

use bytes::Bytes;
use flate2::read::MultiGzDecoder;
use tokio::sync::mpsc;

use super::line::{Entry, LINE_BYTES_MAX, LineError};

/// Lines of one batch: some 2,300 events, 1 MB, a tenth of a second to commit.
pub const BATCH_LINES: usize = 2_000;
/// Bytes of lines in one batch, for archives of long lines; one line may go beyond.
const BATCH_BYTES: usize = 8 * 1024 * 1024;
/// Batches read ahead of the one that is being committed.
const BATCHES_AHEAD: usize = 2;
/// Chunks of bytes read ahead: 64 of at most 64 KiB are 4 MiB.
pub const CHUNKS_AHEAD: usize = 64;
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// Lines in the order of the archive.
#[derive(Debug, Default)]
pub struct Batch {
    /// Each with its number, from 1.
    pub entries: Vec<(u64, Entry)>,
    /// Bytes of the archive read so far, as they came.
    pub bytes: u64,
}

/// Why an archive could not be read on.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// A line.
    #[error(
        "line {line}: {source}: correct or remove that line, then import again; lines already taken in are skipped"
    )]
    Line {
        /// Its number.
        line: u64,
        /// What is wrong.
        source: LineError,
    },
    /// The bytes.
    #[error("after line {line}: {source}: the file is cut off or damaged; import it again when it is whole")]
    Read {
        /// The last whole line.
        line: u64,
        /// What went wrong.
        source: io::Error,
    },
}

/// Chunks of bytes that arrive from elsewhere, as something to read from on a thread that may wait.
#[derive(Debug)]
pub struct Chunks {
    chunks: mpsc::Receiver<io::Result<Bytes>>,
    rest: Bytes,
}

impl Chunks {
    /// Reads what is sent to the sender.
    #[must_use]
    pub fn channel() -> (mpsc::Sender<io::Result<Bytes>>, Self) {
        let (sender, chunks) = mpsc::channel(CHUNKS_AHEAD);
        (sender, Self { chunks, rest: Bytes::new() })
    }
}

impl Read for Chunks {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.rest.is_empty() {
            match self.chunks.blocking_recv() {
                Some(chunk) => self.rest = chunk?,
                None => return Ok(0),
            }
        }
        let taken = self.rest.len().min(out.len());
        out[..taken].copy_from_slice(&self.rest.split_to(taken));
        Ok(taken)
    }
}

/// Reads `archive` on a thread of its own, at most `lines` to a batch; the batches end with the archive or with an error.
pub fn batches(archive: Chunks, lines: usize) -> mpsc::Receiver<Result<Batch, SourceError>> {
    let (sender, batches) = mpsc::channel(BATCHES_AHEAD);
    tokio::task::spawn_blocking(move || {
        let mut counted = Counted { inner: archive, taken: Rc::default() };
        let taken = counted.taken.clone();
        let mut begin = [0; 2];
        let mut have = 0;
        while have < 2 {
            match counted.read(&mut begin[have..]) {
                Ok(0) => break,
                Ok(more) => have += more,
                Err(source) => {
                    let _ = sender.blocking_send(Err(SourceError::Read { line: 0, source }));
                    return;
                }
            }
        }
        let whole = io::Cursor::new(begin).take(have as u64).chain(counted);
        if begin == GZIP && have == 2 {
            read_lines(BufReader::with_capacity(1 << 16, MultiGzDecoder::new(whole)), lines, &taken, &sender);
        } else {
            read_lines(BufReader::with_capacity(1 << 16, whole), lines, &taken, &sender);
        }
    });
    batches
}

struct Counted<R> {
    inner: R,
    taken: Rc<Cell<u64>>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(out)?;
        self.taken.set(self.taken.get() + read as u64);
        Ok(read)
    }
}

fn read_lines(
    mut from: impl BufRead,
    lines: usize,
    taken: &Cell<u64>,
    to: &mpsc::Sender<Result<Batch, SourceError>>,
) {
    let (mut batch, mut bytes, mut number) = (Batch::default(), 0, 0);
    let mut text = Vec::new();
    let end = loop {
        text.clear();
        match from.by_ref().take(LINE_BYTES_MAX as u64 + 1).read_until(b'\n', &mut text) {
            Ok(0) => break None,
            Ok(_) => {}
            Err(source) => break Some(SourceError::Read { line: number, source }),
        }
        number += 1;
        let line = text.strip_suffix(b"\n").unwrap_or(&text);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.len() >= LINE_BYTES_MAX {
            break Some(SourceError::Line { line: number, source: LineError::Long });
        }
        if line.is_empty() {
            continue;
        }
        match Entry::read(line) {
            Ok(entry) => batch.entries.push((number, entry)),
            Err(source) => break Some(SourceError::Line { line: number, source }),
        }
        bytes += text.len();
        if batch.entries.len() >= lines || bytes >= BATCH_BYTES {
            batch.bytes = taken.get();
            bytes = 0;
            // Nobody reads on: the import has ended.
            if to.blocking_send(Ok(std::mem::take(&mut batch))).is_err() {
                return;
            }
        }
    };
    batch.bytes = taken.get();
    if to.blocking_send(Ok(batch)).is_ok()
        && let Some(error) = end
    {
        let _ = to.blocking_send(Err(error));
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    const LINE: &str = r#"{"id":"a","room":"r","user":"u","ts":"2015-06-06T10:00:00Z","text":"x"}"#;

    async fn read(bytes: Vec<u8>, chunk: usize) -> Result<Vec<u64>, String> {
        let (sender, chunks) = Chunks::channel();
        let mut batches = batches(chunks, BATCH_LINES);
        tokio::spawn(async move {
            for chunk in bytes.chunks(chunk) {
                if sender.send(Ok(Bytes::copy_from_slice(chunk))).await.is_err() {
                    return;
                }
            }
        });
        let mut numbers = Vec::new();
        while let Some(batch) = batches.recv().await {
            let batch = batch.map_err(|error| error.to_string())?;
            numbers.extend(batch.entries.iter().map(|(number, _)| *number));
        }
        Ok(numbers)
    }

    #[tokio::test]
    async fn plain_and_gzipped_archives_are_told_apart_by_their_bytes() {
        let plain = format!("{LINE}\n\n{LINE}\r\n{LINE}\n").into_bytes();
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(&plain).expect("memory");
        let gzip = gzip.finish().expect("memory");
        assert_eq!(read(plain.clone(), 7).await, Ok(vec![1, 3, 4]));
        assert_eq!(read(gzip.clone(), 7).await, Ok(vec![1, 3, 4]));
        assert_eq!(read([gzip.clone(), gzip].concat(), 7).await, Ok(vec![1, 3, 4, 5, 7, 8]), "in two parts");
        assert_eq!(read(plain[..plain.len() - 1].to_vec(), 7).await, Ok(vec![1, 3, 4]), "without its last end");
        assert_eq!(read(Vec::new(), 1).await, Ok(Vec::new()));
    }

    #[tokio::test]
    async fn a_bad_line_is_named_and_a_cut_file_too() {
        let bad = read(format!("{LINE}\n{{}}\n").into_bytes(), 1_000).await.expect_err("a bad line");
        assert!(bad.starts_with("line 2: not a line of an archive: missing field `id`"), "{bad}");
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(format!("{LINE}\n").repeat(500).as_bytes()).expect("memory");
        let mut cut = gzip.finish().expect("memory");
        cut.truncate(cut.len() - 9);
        let cut = read(cut, 1_000).await.expect_err("cut off");
        assert!(cut.contains("cut off or damaged"), "{cut}");
        let long = read(vec![b' '; LINE_BYTES_MAX + 10], 1 << 16).await.expect_err("too long");
        assert!(long.contains("longer than"), "{long}");
    }
}
