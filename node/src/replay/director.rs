//! Reads archives and deals their lines to lanes: a room's lines to one lane, in order.
//!
//! # Failure
//!
//! The first lane that fails ends the replay; what the others have begun is finished first.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    path::Path,
    sync::Arc,
    time::Duration,
};

use futures_util::StreamExt;
use hubbub_protocol::time::Timestamp;
use tokio::{
    io::AsyncRead,
    sync::{mpsc, oneshot},
    task::JoinSet,
    time::Instant,
};
use tokio_util::io::ReaderStream;

use super::{
    cast::Cast,
    names::Names,
    pace::{Pace, Speed},
    stage::{Part, Stage},
    tally::Tally,
};
use crate::{
    archive::{
        line::{Entry, Line},
        source::{Batch, Chunks, batches},
    },
    cli::{admin_link::AdminLink, failure::Failure},
};

/// Lines of one batch: their names are asked for together.
const BATCH_LINES: usize = 500;
/// Lines that wait for one lane, so that others go on while one room is slow: 256 lanes of 512 lines of 1 KB are 128 MB,
/// the usual 64 are 32 MB.
const LANE_LINES: usize = 512;
/// Messages of one lane whose reactions are being made.
const REACTING_MAX: usize = 16;
/// Bytes of a file read at once.
const CHUNK_BYTES: usize = 64 * 1024;
/// How often progress is shown while a paced replay waits.
const SHOWN_EVERY: Duration = Duration::from_secs(1);

/// A replay into one community.
#[derive(Debug)]
pub struct Director {
    names: Names,
    stage: Arc<Stage>,
    cast: Arc<Cast>,
    lanes: Vec<mpsc::Sender<Job>>,
    playing: JoinSet<Result<(), Failure>>,
    pace: Pace,
    begun: Instant,
}

#[derive(Debug)]
struct Job {
    part: Part,
    /// Is told whether the line was played for the first time.
    told: Option<oneshot::Sender<bool>>,
}

/// Plays lines in order; the reactions to one are made while the next are sent, since no archive says
/// when they were.
async fn lane(stage: Arc<Stage>, mut jobs: mpsc::Receiver<Job>) -> Result<(), Failure> {
    let mut reacting = JoinSet::new();
    while let Some(Job { part, told }) = jobs.recv().await {
        let played = stage.play(&part).await?;
        if let Some(told) = told {
            // Who asked has given up only when the replay ends.
            let _ = told.send(played.fresh);
        }
        let Some((room, seq)) = played.place.filter(|_| !part.line.reactions.is_empty()) else { continue };
        if reacting.len() >= REACTING_MAX {
            one(&mut reacting).await?;
        }
        let stage = Arc::clone(&stage);
        reacting.spawn(async move { stage.react(&part, room, seq).await });
    }
    while !reacting.is_empty() {
        one(&mut reacting).await?;
    }
    Ok(())
}

/// Waits for one of several tasks of ours.
async fn one(tasks: &mut JoinSet<Result<(), Failure>>) -> Result<(), Failure> {
    match tasks.join_next().await {
        Some(Ok(ended)) => ended,
        Some(Err(_)) => Err(Failure::Failed("a part of the replay broke".to_owned())),
        None => Ok(()),
    }
}

impl Director {
    /// Begins a replay into the community of that name, over up to `clients` connections to `url`.
    ///
    /// # Errors
    /// Those of the link.
    pub async fn begin(
        link: AdminLink,
        url: &str,
        community: &str,
        clients: usize,
        speed: Speed,
    ) -> Result<Self, Failure> {
        let link = Arc::new(link);
        let names = Names::begin(Arc::clone(&link), community).await?;
        let cast = Arc::new(Cast::new(link, url, clients));
        let stage = Arc::new(Stage::new(names.community, Arc::clone(&cast)));
        let mut playing = JoinSet::new();
        let lanes = (0..clients).map(|_| {
            let (lane_of, jobs) = mpsc::channel(LANE_LINES);
            playing.spawn(lane(Arc::clone(&stage), jobs));
            lane_of
        });
        let lanes = lanes.collect();
        Ok(Self { names, stage, cast, lanes, playing, pace: Pace::new(speed), begun: Instant::now() })
    }

    /// Counts so far.
    #[must_use]
    pub fn tally(&self) -> Tally {
        self.stage.tally.lock().clone()
    }

    /// Plays one archive; `show` is given the bytes read of it, now and then.
    ///
    /// # Errors
    /// [`Failure::Failed`] with the line for one that cannot be read; those of a lane are told by
    /// [`Director::end`], and playing just ends.
    pub async fn play(&mut self, file: &Path, mut show: impl FnMut(u64, &Tally)) -> Result<(), Failure> {
        let mut batches = open(file).await?;
        while let Some(batch) = batches.recv().await {
            let batch = batch.map_err(|error| Failure::Failed(error.to_string()))?;
            let bytes = batch.bytes;
            if !self.deal(batch, |tally| show(bytes, tally)).await? {
                return Ok(());
            }
            show(bytes, &self.tally());
        }
        Ok(())
    }

    /// Deals a batch; tells whether the lanes still play.
    async fn deal(&mut self, batch: Batch, mut show: impl FnMut(&Tally)) -> Result<bool, Failure> {
        let lines: Vec<&Line> = batch.entries.iter().filter_map(|(_, entry)| line_of(entry)).collect();
        self.names.learn(&lines).await?;
        for (_, entry) in batch.entries {
            let line = match entry {
                Entry::Message(line) => *line,
                Entry::Title(title) => {
                    self.stage.keep_title(&title.room, &title.thread, title.title)?;
                    continue;
                }
            };
            let ts = Timestamp::parse(&line.ts).unwrap_or_default();
            let due = self.begun + self.pace.due(ts);
            while Instant::now() < due {
                tokio::time::sleep_until(due.min(Instant::now() + SHOWN_EVERY)).await;
                show(&self.stage.tally.lock().clone());
            }
            if !self.hand(line, ts).await? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Hands a line to its lane; tells whether that plays.
    async fn hand(&mut self, line: Line, ts: Timestamp) -> Result<bool, Failure> {
        let mut hash = DefaultHasher::new();
        line.room.hash(&mut hash);
        let lanes = self.lanes.len() as u64;
        let lane = usize::try_from(hash.finish() % lanes).unwrap_or(0);
        let reacted = line.reactions.iter().map(|reaction| {
            let user = reaction.user.as_deref();
            user.map(|user| self.names.user(user)).transpose()
        });
        let part = Part {
            room: self.names.room(&line.room)?,
            by: self.names.user(&line.user)?,
            reacted: reacted.collect::<Result<_, _>>()?,
            line,
        };
        // Until the first line that is new, lines go one by one: the clock begins with that one, so
        // that who repeats a replay does not wait for what was played before.
        let (told, wait) = self.pace.stands().then(oneshot::channel).unzip();
        let taken = self.lanes[lane].send(Job { part, told }).await.is_ok();
        if let Some(wait) = wait {
            match wait.await {
                Ok(true) => {
                    self.pace.begin(ts);
                    self.begun = Instant::now();
                }
                Ok(false) => {}
                Err(_) => return Ok(false),
            }
        }
        Ok(taken)
    }

    /// Lets the lanes finish, signs all authors out, and tells what was done.
    ///
    /// # Errors
    /// That of the first lane that failed.
    pub async fn end(mut self) -> Result<Tally, Failure> {
        self.lanes.clear();
        let mut done = Ok(());
        while !self.playing.is_empty() {
            let ended = one(&mut self.playing).await;
            done = done.and(ended);
        }
        self.cast.end().await;
        done.map(|()| self.stage.tally.lock().clone())
    }
}

fn line_of(entry: &Entry) -> Option<&Line> {
    match entry {
        Entry::Message(line) => Some(line),
        Entry::Title(_) => None,
    }
}

/// The batches of an archive; `-` is standard input.
async fn open(file: &Path) -> Result<mpsc::Receiver<Result<Batch, crate::archive::source::SourceError>>, Failure> {
    let from = reader(file).await?;
    let (sender, chunks) = Chunks::channel();
    tokio::spawn(async move {
        let mut chunks = ReaderStream::with_capacity(from, CHUNK_BYTES);
        while let Some(chunk) = chunks.next().await {
            let ends = chunk.is_err();
            if sender.send(chunk).await.is_err() || ends {
                return;
            }
        }
    });
    Ok(batches(chunks, BATCH_LINES))
}

/// An archive's bytes; `-` is standard input.
///
/// # Errors
/// [`Failure::Failed`] for a file that cannot be opened.
pub async fn reader(file: &Path) -> Result<Box<dyn AsyncRead + Send + Unpin>, Failure> {
    if file.as_os_str() == "-" {
        return Ok(Box::new(tokio::io::stdin()));
    }
    let unread = |error: std::io::Error| Failure::Failed(format!("{}: {error}", file.display()));
    Ok(Box::new(tokio::fs::File::open(file).await.map_err(unread)?))
}
