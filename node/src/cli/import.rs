//! `hubbub import jsonl FILE… --community NAME`: archives into a community, replayed through clients or,
//! with `--direct`, stored as they are.

use std::path::{Path, PathBuf};

use axum::{
    body::{Body, Bytes},
    http::Method,
};
use clap::{Args, Subcommand};
use futures_util::StreamExt;
use hubbub_protocol::error::ErrorCode;
use serde::Serialize;
use tokio_util::io::ReaderStream;

use super::{admin_link::AdminLink, bar::Bar, failure::Failure, output, reach::Reach};
use crate::{
    archive::progress::{Progress, Report},
    config::NodeConfig,
    replay::{
        director::{Director, reader},
        pace::Speed,
        tally::Tally,
    },
};

/// What to do about a replay into a stopped node.
const STOPPED: &str = "start it with `hubbub serve` to replay through clients, or import with --direct";
/// Bytes of a file sent at once.
const CHUNK_BYTES: usize = 64 * 1024;
/// Longest line of a report, in bytes; ours have some 200.
const REPORT_BYTES_MAX: usize = 64 * 1024;

/// What a replay keeps, for `--help`.
const KEPT: &str = "\
Without --direct the archive is replayed through WebSocket clients, as its people would have written it now; \
the node must be running.
A replay keeps who wrote what in which room, the order within each room, texts, answers within a room, threads with \
their titles, and reactions of people with names.
It does not keep what no client can set: times and ids (they are those of the replay), and the marks for edits, bots \
and notices of the system. Texts longer than a client may send are sent in parts. Messages without text, reactions of \
people without names and answers to other rooms are left out. All that is counted and told at the end.
With --direct everything is kept, and an export gives the archive back to the byte.
A message keeps its key however often it is replayed, and a replay after an import with --direct finds its messages \
there. The other way round is not so: --direct into a replayed community stores the messages a second time.";

/// Forms of archives.
#[derive(Debug, Subcommand)]
pub enum ImportCommand {
    /// Lines of JSON, plain or gzipped: a message a line, or a thread's title.
    #[command(after_long_help = KEPT)]
    Jsonl(Jsonl),
}

/// Options of `import jsonl`.
#[derive(Debug, Args)]
pub struct Jsonl {
    /// Archives, taken in one after another; `-` is standard input. Lines that are there already are
    /// skipped, so an import that was broken off is repeated as it is. Replayed, titles of threads are
    /// given before the messages.
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Name of the community; made when there is none, for the first owner of the installation.
    #[arg(long, value_name = "NAME")]
    pub community: String,
    /// Store the messages as they are, all at once, on a running or a stopped node.
    #[arg(long, conflicts_with_all = ["speed", "clients"])]
    pub direct: bool,
    /// How fast to replay: `max`, or times the recorded speed, such as `1x` or `10x`.
    #[arg(long, value_name = "SPEED", default_value = "max")]
    pub speed: Speed,
    /// Connections at once, 1 to 256: so many authors are signed in at the same time.
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub clients: u16,
    /// Which node.
    #[command(flatten)]
    pub reach: Reach,
    /// Print what was done as JSON.
    #[arg(long)]
    pub json: bool,
}

/// What an import did.
#[derive(Debug, Serialize)]
struct Done<'a> {
    community: &'a str,
    #[serde(flatten)]
    progress: Progress,
    lines_per_s: u64,
}

/// What a replay did.
#[derive(Debug, Serialize)]
struct Replayed<'a> {
    community: &'a str,
    #[serde(flatten)]
    tally: Tally,
    lines_per_s: u64,
}

impl ImportCommand {
    /// Takes the archives in.
    ///
    /// # Errors
    /// The documented failures; one about a line names the file and the line.
    pub async fn run(self, data_dir: &Path, config: &NodeConfig) -> Result<(), Failure> {
        let Self::Jsonl(options) = self;
        if !options.direct {
            let (link, url) = options.reach.running(data_dir, STOPPED).await?;
            return options.replay(link, &url).await;
        }
        let link = options.reach.link(data_dir, config).await?;
        let done = options.store(&link.link).await;
        link.end(done).await
    }
}

impl Jsonl {
    async fn replay(&self, link: AdminLink, url: &str) -> Result<(), Failure> {
        let mut director =
            Director::begin(link, url, &self.community, usize::from(self.clients), self.speed).await?;
        let mut bar = Bar::begin(total_bytes(&self.files));
        let (mut before, mut failed) = (0, None);
        for file in &self.files {
            let mut bytes = 0;
            let played = director.play(file, |read, tally| {
                bytes = read;
                bar.show(&Progress { bytes: before + read, lines: tally.lines, ..Progress::default() });
            });
            let played = played.await.map_err(|failure| failure.about(&file.display().to_string()));
            before += bytes;
            if let Err(failure) = played {
                failed = Some(failure);
                break;
            }
        }
        let ended = director.end().await;
        let tally = failed.map_or(ended, Err)?;
        let lines_per_s = bar.end(&Progress { bytes: before, lines: tally.lines, ..Progress::default() });
        if self.json {
            return output::json(&Replayed { community: &self.community, tally, lines_per_s });
        }
        output::line(&format!(
            "{}: {} messages sent, {} had been before; {} threads begun, {} reactions made; {lines_per_s} lines/s",
            self.community, tally.messages, tally.repeated, tally.threads, tally.reactions
        ));
        for left_out in tally.left_out().into_iter().chain(tally.first_refusal) {
            output::line(&left_out);
        }
        Ok(())
    }

    async fn store(&self, link: &AdminLink) -> Result<(), Failure> {
        let query = serde_urlencoded::to_string([("community", &self.community)]).unwrap_or_default();
        let path = format!("/v1/admin/import?{query}");
        let mut bar = Bar::begin(total_bytes(&self.files));
        let mut all = Progress::default();
        for file in &self.files {
            let name = file.display();
            let begun = link.stream(Method::POST, &path, body(file).await?).await?;
            let done = follow(begun, |progress| bar.show(&sum(&all, progress))).await;
            all = sum(&all, &done.map_err(|failure| failure.about(&name.to_string()))?);
        }
        let lines_per_s = bar.end(&all);
        if self.json {
            return output::json(&Done { community: &self.community, progress: all, lines_per_s });
        }
        output::line(&format!(
            "{}: {} messages stored, {} were there already; {} rooms, {} accounts, {} threads and {} titles new; \
             {lines_per_s} lines/s",
            self.community, all.messages, all.skipped, all.rooms, all.users, all.threads, all.titles
        ));
        Ok(())
    }
}

/// Bytes of all files, if all are files.
fn total_bytes(files: &[PathBuf]) -> Option<u64> {
    let size =
        |file: &PathBuf| std::fs::metadata(file).ok().filter(std::fs::Metadata::is_file).map(|file| file.len());
    files.iter().map(size).sum()
}

async fn body(file: &Path) -> Result<Body, Failure> {
    Ok(Body::from_stream(ReaderStream::with_capacity(reader(file).await?, CHUNK_BYTES)))
}

/// Reads the reports of an import to the last.
async fn follow(answer: Body, mut show: impl FnMut(&Progress)) -> Result<Progress, Failure> {
    let cut =
        || Failure::Failed("the node went away before the end: import again, and it goes on there".to_owned());
    let mut chunks = answer.into_data_stream();
    let mut text: Vec<u8> = Vec::new();
    loop {
        while let Some(end) = text.iter().position(|&byte| byte == b'\n') {
            let line: Vec<u8> = text.drain(..=end).collect();
            match serde_json::from_slice(&line) {
                Ok(Report::Progress(progress)) => show(&progress),
                Ok(Report::Done(progress)) => return Ok(progress),
                // What is wrong with a line is the archive's fault, not the command's.
                Ok(Report::Error(refusal)) if refusal.code == ErrorCode::BadRequest => {
                    return Err(Failure::Failed(refusal.message));
                }
                Ok(Report::Error(refusal)) => return Err(refusal.into()),
                Err(_) => return Err(cut()),
            }
        }
        let chunk: Bytes = chunks.next().await.and_then(Result::ok).ok_or_else(cut)?;
        text.extend_from_slice(&chunk);
        if text.len() > REPORT_BYTES_MAX {
            return Err(cut());
        }
    }
}

const fn sum(one: &Progress, other: &Progress) -> Progress {
    Progress {
        bytes: one.bytes + other.bytes,
        lines: one.lines + other.lines,
        messages: one.messages + other.messages,
        skipped: one.skipped + other.skipped,
        titles: one.titles + other.titles,
        users: one.users + other.users,
        rooms: one.rooms + other.rooms,
        threads: one.threads + other.threads,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn reports_are_followed_to_the_last_however_they_are_cut() {
        let progress = Progress { lines: 2_000, ..Progress::default() };
        let mut text = Vec::new();
        for report in [Report::Progress(progress), Report::Done(Progress { lines: 3_000, ..progress })] {
            text.extend(serde_json::to_vec(&report).expect("a report"));
            text.push(b'\n');
        }
        let chunks = text.chunks(5).map(|chunk| Ok::<_, std::io::Error>(Bytes::copy_from_slice(chunk)));
        let chunks: Vec<_> = chunks.collect();
        let mut shown = Vec::new();
        let done = follow(Body::from_stream(futures_util::stream::iter(chunks)), |at| shown.push(at.lines)).await;
        assert_eq!(done.expect("the end").lines, 3_000);
        assert_eq!(shown, [2_000]);
        let cut = follow(Body::from(text[..20].to_vec()), |_| ()).await.expect_err("cut off");
        assert!(cut.to_string().contains("import again"), "{cut}");
    }
}
