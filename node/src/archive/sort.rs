//! Lines into order, however many: sorted runs in memory, written to a file that is gone when closed,
//! and merged from there.
//!
//! # Invariants
//!
//! * Memory is bounded by [`RUN_BYTES_MAX`] while lines are put in, and by one buffer a run while they
//!   are taken out: an archive of 100 GB has 1,600 runs, and so 100 MiB of buffers.

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    fs::File,
    io::{self, BufRead, BufReader, Read, Write},
    os::unix::fs::FileExt,
    path::PathBuf,
    sync::Arc,
};

/// Bytes of lines sorted in memory at once.
pub const RUN_BYTES_MAX: usize = 64 * 1024 * 1024;
/// What a line costs beside its bytes: its key and value are strings of their own.
const LINE_BYTES: usize = 64;
/// Buffer of a run that is being merged.
const BUFFER_BYTES: usize = 64 * 1024;

type Keyed = (Vec<u8>, Vec<u8>);

/// Takes lines in any order and gives them back by key.
#[derive(Debug)]
pub struct Sorter {
    folder: PathBuf,
    run_bytes_max: usize,
    lines: Vec<Keyed>,
    bytes: usize,
    file: Option<Arc<File>>,
    written: u64,
    runs: Vec<(u64, u64)>,
}

impl Sorter {
    /// A sorter whose file, if one is needed, is in `folder`.
    #[must_use]
    pub fn new(folder: PathBuf, run_bytes_max: usize) -> Self {
        Self { folder, run_bytes_max, lines: Vec::new(), bytes: 0, file: None, written: 0, runs: Vec::new() }
    }

    /// Takes a line in.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn put(&mut self, key: Vec<u8>, line: Vec<u8>) -> io::Result<()> {
        self.bytes += key.len() + line.len() + LINE_BYTES;
        self.lines.push((key, line));
        if self.bytes >= self.run_bytes_max { self.spill() } else { Ok(()) }
    }

    fn spill(&mut self) -> io::Result<()> {
        let file = match &self.file {
            Some(file) => file.clone(),
            None => self.file.insert(Arc::new(tempfile::tempfile_in(&self.folder)?)).clone(),
        };
        self.lines.sort_unstable();
        let begin = self.written;
        let mut out = io::BufWriter::with_capacity(1 << 20, &*file);
        for (key, line) in self.lines.drain(..) {
            for part in [key, line] {
                let length = u32::try_from(part.len()).map_err(|_| io::ErrorKind::InvalidData)?;
                out.write_all(&length.to_le_bytes())?;
                out.write_all(&part)?;
                self.written += 4 + u64::from(length);
            }
        }
        out.flush()?;
        self.bytes = 0;
        self.runs.push((begin, self.written));
        Ok(())
    }

    /// Ends the input.
    ///
    /// # Errors
    /// When the file cannot be written or read.
    pub fn sorted(mut self) -> io::Result<Sorted> {
        let Some(file) = self.file.clone() else {
            self.lines.sort_unstable();
            return Ok(Sorted { memory: self.lines.into_iter(), runs: Vec::new(), next: BinaryHeap::new() });
        };
        if !self.lines.is_empty() {
            self.spill()?;
        }
        let open = |(at, end)| BufReader::with_capacity(BUFFER_BYTES, Run { file: file.clone(), at, end });
        let mut sorted = Sorted {
            memory: Vec::new().into_iter(),
            runs: self.runs.into_iter().map(open).collect(),
            next: BinaryHeap::new(),
        };
        for run in 0..sorted.runs.len() {
            sorted.refill(run)?;
        }
        Ok(sorted)
    }
}

/// A stretch of the file.
#[derive(Debug)]
struct Run {
    file: Arc<File>,
    at: u64,
    end: u64,
}

impl Read for Run {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.end - self.at).unwrap_or(usize::MAX);
        let wanted = left.min(out.len());
        let read = self.file.read_at(&mut out[..wanted], self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}

/// The lines in order.
#[derive(Debug)]
pub struct Sorted {
    memory: std::vec::IntoIter<Keyed>,
    runs: Vec<BufReader<Run>>,
    next: BinaryHeap<Reverse<(Keyed, usize)>>,
}

impl Sorted {
    /// Reads the next line of a run, unless it has ended.
    fn refill(&mut self, run: usize) -> io::Result<()> {
        let from = &mut self.runs[run];
        if from.fill_buf()?.is_empty() {
            return Ok(());
        }
        let (key, line) = (part(from)?, part(from)?);
        self.next.push(Reverse(((key, line), run)));
        Ok(())
    }
}

impl Iterator for Sorted {
    type Item = io::Result<Vec<u8>>;

    fn next(&mut self) -> Option<io::Result<Vec<u8>>> {
        if let Some((_, line)) = self.memory.next() {
            return Some(Ok(line));
        }
        let Reverse(((_, line), run)) = self.next.pop()?;
        Some(self.refill(run).map(|()| line))
    }
}

fn part(from: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut length = [0; 4];
    from.read_exact(&mut length)?;
    let mut bytes = vec![0; usize::try_from(u32::from_le_bytes(length)).unwrap_or(usize::MAX)];
    from.read_exact(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sorted(run_bytes_max: usize) -> Vec<Vec<u8>> {
        let mut sorter = Sorter::new(std::env::temp_dir(), run_bytes_max);
        for number in (0..1_000_u32).map(|number| number * 7_919 % 1_000) {
            let key = format!("{number:05}").into_bytes();
            sorter.put(key.clone(), key).expect("a temporary folder");
        }
        sorter.sorted().expect("a temporary folder").map(|line| line.expect("our own file")).collect()
    }

    #[test]
    fn lines_come_in_order_whether_or_not_they_fit_in_memory() {
        let wanted: Vec<_> = (0..1_000).map(|number| format!("{number:05}").into_bytes()).collect();
        assert_eq!(sorted(usize::MAX), wanted);
        assert_eq!(sorted(5_000), wanted);
        assert_eq!(sorted(1), wanted);
    }
}
