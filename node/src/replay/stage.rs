//! One line, played: sent as its author, its thread begun; and then its reactions made.

use std::{collections::HashMap, future::Future, sync::Arc, time::Duration};

use hubbub_client::{Draft, RequestError};
use hubbub_protocol::{
    error::Refusal,
    ids::{CommunityId, MessageKey, RoomId, Seq, UserId},
    rest::{Changed, Sent},
};
use parking_lot::Mutex;
use tokio::time::Instant;

use super::{
    cast::Cast,
    recent::{RECENT_MAX, Recent},
    script,
    tally::Tally,
};
use crate::{
    archive::{line::Line, names::title_of, thread_name},
    cli::failure::Failure,
};

/// How long one request is tried again: a node that restarts is back sooner.
const WITHIN: Duration = Duration::from_secs(120);
/// Pause before a request without a pause of the node's is tried again.
const PAUSE: Duration = Duration::from_millis(200);
/// Threads and titles remembered, each of some 150 bytes: 150 MB at most.
const THREADS_MAX: usize = 1_000_000;

/// What all lanes share.
#[derive(Debug)]
pub struct Stage {
    community: CommunityId,
    cast: Arc<Cast>,
    /// Counts so far.
    pub tally: Mutex<Tally>,
    recent: Mutex<Recent>,
    threads: Mutex<HashMap<String, RoomId>>,
    titles: Mutex<HashMap<String, String>>,
}

/// A line, with what its names stand for.
#[derive(Debug)]
pub struct Part {
    /// The line.
    pub line: Line,
    /// Its room.
    pub room: RoomId,
    /// Its author.
    pub by: UserId,
    /// Who reacted, by the line's reactions; none where nobody is named.
    pub reacted: Vec<Option<UserId>>,
}

/// What playing a line came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Played {
    /// Whether it had not been played before.
    pub fresh: bool,
    /// Where its message is; none for a line that was left out.
    pub place: Option<(RoomId, Seq)>,
}

/// How a request ended.
enum Answer<T> {
    Done(T),
    /// For good.
    Refused(Refusal),
}

impl Stage {
    /// An empty one.
    #[must_use]
    pub fn new(community: CommunityId, cast: Arc<Cast>) -> Self {
        Self {
            community,
            cast,
            tally: Mutex::default(),
            recent: Mutex::new(Recent::new(RECENT_MAX)),
            threads: Mutex::default(),
            titles: Mutex::default(),
        }
    }

    /// Keeps the title of a thread that is yet to begin.
    ///
    /// # Errors
    /// [`Failure::Failed`] when there are more than can be remembered.
    pub fn keep_title(&self, room: &str, thread: &str, title: String) -> Result<(), Failure> {
        let ext = thread_name(room, thread);
        let mut tally = self.tally.lock();
        tally.lines += 1;
        if self.threads.lock().contains_key(&ext) {
            tally.titles_left_out += 1;
            return Ok(());
        }
        insert(&mut self.titles.lock(), ext, title)
    }

    /// Plays a line, save its reactions.
    ///
    /// # Errors
    /// What ends the replay: the node is gone, or does not take its authors any more.
    pub async fn play(&self, part: &Part) -> Result<Played, Failure> {
        let Part { line, room, by, .. } = part;
        let ext = line.thread.as_deref().map(|thread| thread_name(&line.room, thread));
        let thread = ext.as_ref().and_then(|ext| self.threads.lock().get(ext).copied());
        let room = thread.unwrap_or(*room);
        self.tally.lock().lines += 1;
        let Some(sent) = self.send(line, room, *by).await? else {
            return Ok(Played { fresh: true, place: None });
        };
        if let Some(ext) = ext.filter(|_| thread.is_none()) {
            self.begin_thread(line, ext, room, sent.seq, *by).await?;
        }
        Ok(Played { fresh: !sent.repeat, place: Some((room, sent.seq)) })
    }

    /// Sends a line's text; none when nothing was sent.
    async fn send(&self, line: &Line, room: RoomId, by: UserId) -> Result<Option<Sent>, Failure> {
        let parts = script::parts(&line.text);
        if parts.is_empty() {
            self.tally.lock().empty += 1;
            return Ok(None);
        }
        let answered = line.reply_to.as_deref().map(|id| script::key(self.community, id, 0));
        let reply_to = answered.and_then(|key| self.recent.lock().in_room(key, room));
        let mut first = None;
        for (number, text) in parts.iter().enumerate() {
            let key = script::key(self.community, &line.id, number);
            let draft = Draft { key, reply_to: reply_to.filter(|_| number == 0), ..Draft::new(room, text) };
            match self.send_one(by, &draft).await? {
                Answer::Done(sent) => _ = first.get_or_insert(sent),
                Answer::Refused(refusal) => {
                    let mut tally = self.tally.lock();
                    tally.refused += 1;
                    tally.refusal(|| format!("{}: {}", line.id, refusal.message));
                    return Ok(first);
                }
            }
        }
        let Some(sent) = first else { return Ok(None) };
        self.note(line, room, &sent, parts.len(), reply_to.is_none() && answered.is_some());
        Ok(Some(sent))
    }

    fn note(&self, line: &Line, room: RoomId, sent: &Sent, parts: usize, answer_left_out: bool) {
        let key: MessageKey = script::key(self.community, &line.id, 0);
        self.recent.lock().note(key, room, sent.seq);
        let mut tally = self.tally.lock();
        if sent.repeat {
            tally.repeated += 1;
            return;
        }
        tally.messages += 1;
        tally.split += u64::from(parts > 1);
        tally.answers_left_out += u64::from(answer_left_out);
    }

    async fn send_one(&self, by: UserId, draft: &Draft) -> Result<Answer<Sent>, Failure> {
        let lease = self.cast.lease(by).await?;
        let sent = lease.client().send_draft(draft, WITHIN).await;
        self.judged(by, sent)
    }

    async fn begin_thread(
        &self,
        line: &Line,
        ext: String,
        room: RoomId,
        seq: Seq,
        by: UserId,
    ) -> Result<(), Failure> {
        let title = self.titles.lock().remove(&ext).unwrap_or_else(|| title_of(&line.text));
        let title: String = title.chars().take(hubbub_protocol::limits::NAME_CHARS_MAX).collect();
        let title = Some(title.as_str()).filter(|title| !title.trim().is_empty());
        let lease = self.cast.lease(by).await?;
        let begun = until_answered(|| lease.client().thread(room, seq, title)).await;
        match self.judged(by, begun)? {
            Answer::Done(thread) => {
                self.tally.lock().threads += u64::from(thread.created);
                insert(&mut self.threads.lock(), ext, thread.room)
            }
            Answer::Refused(refusal) => {
                self.tally.lock().refusal(|| format!("{}: {}", line.id, refusal.message));
                Ok(())
            }
        }
    }

    /// Makes a line's reactions, in order.
    ///
    /// # Errors
    /// As [`Stage::play`].
    pub async fn react(&self, part: &Part, room: RoomId, seq: Seq) -> Result<(), Failure> {
        for (reaction, by) in part.line.reactions.iter().zip(&part.reacted) {
            let emoji = script::emoji(&reaction.emoji);
            let (Some(by), Some(emoji)) = (*by, emoji) else {
                self.tally.lock().reactions_left_out += u64::from(reaction.count.unwrap_or(1));
                continue;
            };
            let lease = self.cast.lease(by).await?;
            let reacted = until_answered(|| lease.client().react(room, seq, emoji.clone())).await;
            let mut tally = self.tally.lock();
            match self.judged(by, reacted)? {
                Answer::Done(Changed::Event { .. }) => tally.reactions += 1,
                Answer::Done(_) => {}
                Answer::Refused(refusal) => {
                    tally.reactions_left_out += 1;
                    tally.refusal(|| format!("a reaction to {}: {}", part.line.id, refusal.message));
                }
            }
        }
        Ok(())
    }

    /// Tells a refusal for good from what ends the replay.
    fn judged<T>(&self, by: UserId, answer: Result<T, RequestError>) -> Result<Answer<T>, Failure> {
        match answer {
            Ok(done) => Ok(Answer::Done(done)),
            Err(RequestError::Refused(refusal)) if !refusal.retryable => Ok(Answer::Refused(refusal)),
            Err(error @ RequestError::Ended(_)) => {
                self.cast.forget(by);
                Err(Failure::Refused(format!("the author {by}: {error}: replay again to go on")))
            }
            Err(error @ (RequestError::Disconnected | RequestError::Late)) => {
                Err(Failure::NotRunning(format!("the node is gone: {error}: replay again to go on")))
            }
            Err(error) => Err(Failure::Failed(format!("{error}: replay again to go on"))),
        }
    }
}

fn insert<T>(map: &mut HashMap<String, T>, name: String, value: T) -> Result<(), Failure> {
    if map.len() >= THREADS_MAX {
        let sentence = format!("the archive has more than {THREADS_MAX} threads: import it with --direct");
        return Err(Failure::Failed(sentence));
    }
    map.insert(name, value);
    Ok(())
}

/// Asks until there is an answer that stands: for requests that do nothing twice.
async fn until_answered<T, F>(ask: impl Fn() -> F) -> Result<T, RequestError>
where
    F: Future<Output = Result<T, RequestError>>,
{
    let until = Instant::now() + WITHIN;
    loop {
        let error = match ask().await {
            Ok(answer) => return Ok(answer),
            Err(error) => error,
        };
        let pause = match &error {
            RequestError::Refused(refusal) if refusal.retryable => {
                refusal.retry_after_ms.map_or(PAUSE, Duration::from_millis)
            }
            RequestError::Disconnected | RequestError::Late => PAUSE,
            RequestError::Refused(_)
            | RequestError::Ended(_)
            | RequestError::NoToken(_)
            | RequestError::Unreadable => return Err(error),
        };
        if Instant::now() + pause >= until {
            return Err(error);
        }
        tokio::time::sleep(pause).await;
    }
}
