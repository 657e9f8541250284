//! `hubbub export jsonl --community NAME`: a community into an archive.

use std::path::{Path, PathBuf};

use axum::{body::Body, http::Method};
use clap::{Args, Subcommand};
use futures_util::StreamExt;
use tokio::io::{AsyncWrite, AsyncWriteExt};

use super::{failure::Failure, reach::Reach};
use crate::config::NodeConfig;

/// Forms of archives.
#[derive(Debug, Subcommand)]
pub enum ExportCommand {
    /// Lines of JSON: a message a line by time and id, then the titles of threads.
    Jsonl(Jsonl),
}

/// Options of `export jsonl`.
#[derive(Debug, Args)]
pub struct Jsonl {
    /// Name of the community.
    #[arg(long, value_name = "NAME")]
    pub community: String,
    /// File to write, in place of standard output. It is there only once it is whole.
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Private rooms too; an archive does not say who may read them.
    #[arg(long)]
    pub private: bool,
    /// Which node.
    #[command(flatten)]
    pub reach: Reach,
}

impl ExportCommand {
    /// Writes the archive.
    ///
    /// # Errors
    /// The documented failures.
    pub async fn run(self, data_dir: &Path, config: &NodeConfig) -> Result<(), Failure> {
        let Self::Jsonl(options) = self;
        let link = options.reach.link(data_dir, config).await?;
        let private = if options.private { "true" } else { "false" };
        let query = [("community", options.community.as_str()), ("private", private)];
        let path = format!("/v1/admin/export?{}", serde_urlencoded::to_string(query).unwrap_or_default());
        let done = async {
            let lines = link.link.stream(Method::GET, &path, Body::empty()).await?;
            match &options.output {
                None => copy(lines, tokio::io::stdout()).await,
                Some(file) => write_whole(lines, file).await,
            }
        };
        let done = done.await;
        link.end(done).await
    }
}

async fn copy(lines: Body, mut out: impl AsyncWrite + Unpin) -> Result<(), Failure> {
    let mut chunks = lines.into_data_stream();
    let unwritten = |error: std::io::Error| Failure::Failed(format!("cannot write the archive: {error}"));
    while let Some(chunk) = chunks.next().await {
        let cut =
            |_| Failure::Failed("the node could not go on, its log says why: the archive is not whole".to_owned());
        out.write_all(&chunk.map_err(cut)?).await.map_err(unwritten)?;
    }
    out.flush().await.map_err(unwritten)
}

/// Writes beside the file, and puts it in place once it is on disk.
async fn write_whole(lines: Body, file: &Path) -> Result<(), Failure> {
    let unwritten = |error: std::io::Error| Failure::Failed(format!("{}: {error}", file.display()));
    let mut part = file.as_os_str().to_owned();
    part.push(".part");
    let part = PathBuf::from(part);
    let mut out = tokio::fs::File::create(&part).await.map_err(unwritten)?;
    copy(lines, &mut out).await?;
    out.sync_all().await.map_err(unwritten)?;
    tokio::fs::rename(&part, file).await.map_err(unwritten)
}
