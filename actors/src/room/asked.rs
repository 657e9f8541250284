//! What is asked of a room, in a form that can be sent to its owner and asked again.
//!
//! # Invariants
//!
//! * A post asked twice under one key is stored once. Nothing else here [may be repeated](Asked::may_repeat) when
//!   nobody knows what became of it.

use bytes::Bytes;
use hubbub_protocol::{
    error::{ErrorCode, Refusal},
    event::{Event, EventBody, EventError},
    ids::{MessageKey, RoomId, Seq, UserId},
    rest::{Changed, Sent, Thread},
    time::Timestamp,
};
use hubbub_storage::{Effect, facts};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{
    actor::{Ask, Build},
    post::{Archived, Change, NewPost},
};
use crate::{
    answer::{Answer, unavailable},
    caller::Caller,
};

/// Something as JSON, where its type is not made for the codec of nodes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Json(Bytes);

impl Json {
    pub(crate) fn of(value: &impl Serialize) -> Self {
        Self(Bytes::from(serde_json::to_vec(value).expect("facts have string keys and no failing parts")))
    }

    fn open<T: DeserializeOwned>(&self) -> Result<T, Refusal> {
        serde_json::from_slice(&self.0).map_err(|_| unreadable())
    }

    fn of_body(by: UserId, ts: Timestamp, key: Option<MessageKey>, body: EventBody) -> Self {
        Self(Event { room: RoomId::from_raw(0), seq: Seq(0), ts, by, key, body }.encode())
    }

    fn open_body(&self) -> Result<Event, Refusal> {
        Event::decode(&self.0).map_err(|_: EventError| unreadable())
    }

    fn len(&self) -> usize {
        self.0.len()
    }
}

fn unreadable() -> Refusal {
    let message = "another node sent what this release cannot read: finish the upgrade";
    Refusal::new(ErrorCode::Unavailable, message).after_ms(500)
}

/// What is asked. New variants go to the end: their number is what is sent.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Asked {
    /// [`Ask::Post`].
    Post { caller: Caller, post: NewPost },
    /// [`Ask::Change`].
    Change { caller: Caller, seq: Seq, change: Change },
    /// [`Ask::Thread`]: the thread's facts.
    Thread { by: UserId, seq: Seq, thread: Json },
    /// [`Ask::Record`]: the body and the facts.
    Record { body: Json, effects: Json },
    /// [`Ask::Archive`] at a place: the events and the facts. With none it only tells the place.
    Archive { first: Seq, events: Vec<Json>, effects: Json },
}

/// What an owner answers. New variants go to the end.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Given {
    /// To a post.
    Sent { seq: Seq, ts: Timestamp, repeat: bool },
    /// To a change; `None` when nothing was to be done.
    Changed(Option<Seq>),
    /// To a thread.
    Thread { room: RoomId, created: bool },
    /// To a record or an archive.
    Seq(Seq),
    /// A refusal.
    Refused(Json),
}

impl Asked {
    /// Whether asking again does no harm when the first time may have been carried out.
    pub(crate) const fn may_repeat(&self) -> bool {
        matches!(self, Self::Post { .. })
    }

    fn archive(first: Seq, events: Vec<Archived>, effects: &Vec<Effect>) -> Self {
        let event = |Archived { by, ts, key, body }| Json::of_body(by, ts, key, body);
        Self::Archive { first, events: events.into_iter().map(event).collect(), effects: Json::of(effects) }
    }

    /// About how many bytes it takes on its way.
    pub(crate) fn bytes(&self) -> usize {
        let content = match self {
            Self::Post { post, .. } => {
                post.text.len() + post.files.iter().map(|file| file.len() + 8).sum::<usize>()
            }
            Self::Change { change: Change::Edit(text), .. } => text.len(),
            Self::Change { .. } => 64,
            Self::Thread { thread, .. } => thread.len(),
            Self::Record { body, effects } => body.len() + effects.len(),
            Self::Archive { events, effects, .. } => {
                events.iter().map(|event| event.len() + 8).sum::<usize>() + effects.len()
            }
        };
        content + 128
    }
}

impl Given {
    /// The refusal as it is sent.
    pub(crate) fn refused(refusal: &Refusal) -> Self {
        Self::Refused(Json::of(refusal))
    }
}

/// Who waits for what is given.
#[derive(Debug)]
pub(crate) enum Waiting {
    Sent(Answer<Sent>),
    Changed(Answer<Changed>),
    Thread(Answer<Thread>),
    Seq(Answer<Seq>),
}

impl Waiting {
    pub(crate) fn refuse(self, refusal: &Refusal) {
        match self {
            Self::Sent(answer) => answer.give(Err(refusal.clone())),
            Self::Changed(answer) => answer.give(Err(refusal.clone())),
            Self::Thread(answer) => answer.give(Err(refusal.clone())),
            Self::Seq(answer) => answer.give(Err(refusal.clone())),
        }
    }

    pub(crate) fn give(self, given: Given) {
        match (self, given) {
            (Self::Sent(answer), Given::Sent { seq, ts, repeat }) => answer.give(Ok(Sent { seq, ts, repeat })),
            (Self::Changed(answer), Given::Changed(Some(event_seq))) => {
                answer.give(Ok(Changed::Event { event_seq }));
            }
            (Self::Changed(answer), Given::Changed(None)) => answer.give(Ok(Changed::Repeat { repeat: true })),
            (Self::Thread(answer), Given::Thread { room, created }) => answer.give(Ok(Thread { room, created })),
            (Self::Seq(answer), Given::Seq(seq)) => answer.give(Ok(seq)),
            (waiting, Given::Refused(refusal)) => {
                waiting.refuse(&refusal.open::<Refusal>().unwrap_or_else(|refusal| refusal));
            }
            // An answer to something else: no node of this release gives one.
            (waiting, _) => waiting.refuse(&unavailable()),
        }
    }
}

/// Something that waits to be asked where the room is.
#[derive(Debug)]
pub(crate) enum Pending {
    Plain(Asked, Waiting),
    /// Events that are built once their place is known.
    Archive(Build, Answer<Seq>),
}

impl From<Ask> for Pending {
    fn from(ask: Ask) -> Self {
        match ask {
            Ask::Post { caller, post, answer, .. } => {
                Self::Plain(Asked::Post { caller, post }, Waiting::Sent(answer))
            }
            Ask::Change { caller, seq, change, answer, .. } => {
                Self::Plain(Asked::Change { caller, seq, change }, Waiting::Changed(answer))
            }
            Ask::Thread { seq, thread, by, answer, .. } => {
                Self::Plain(Asked::Thread { by, seq, thread: Json::of(&thread) }, Waiting::Thread(answer))
            }
            Ask::Record { by, body, effects, answer } => {
                let body = Json::of_body(by, Timestamp(0), None, *body);
                Self::Plain(Asked::Record { body, effects: Json::of(&effects) }, Waiting::Seq(answer))
            }
            Ask::Archive { build, answer } => Self::Archive(build, answer),
            Ask::ArchiveAt { first, events, effects, answer } => {
                Self::Plain(Asked::archive(first, events, &effects), Waiting::Seq(answer))
            }
        }
    }
}

/// The events and facts that `build` makes of the place `first`.
pub(crate) fn archive_at(build: Build, first: Seq) -> Asked {
    let (events, effects) = (build.0)(first);
    Asked::archive(first, events, &effects)
}

/// No facts, for an archive that only asks for its place.
pub(crate) fn no_facts() -> Json {
    Json::of(&Vec::<Effect>::new())
}

/// A thread's facts.
pub(crate) fn thread_facts(thread: &Json) -> Result<Box<facts::Room>, Refusal> {
    thread.open()
}

/// A record's author, body and facts.
pub(crate) fn record_of(body: &Json, effects: &Json) -> Result<(UserId, Box<EventBody>, Vec<Effect>), Refusal> {
    let event = body.open_body()?;
    Ok((event.by, Box::new(event.body), effects.open()?))
}

/// An archive's events and facts, to be stored at `first` and nowhere else.
pub(crate) fn archive_of(events: &[Json], effects: &Json) -> Result<(Vec<Archived>, Vec<Effect>), Refusal> {
    let events = events.iter().map(|event| {
        let Event { ts, by, key, body, .. } = event.open_body()?;
        Ok(Archived { by, ts, key, body })
    });
    Ok((events.collect::<Result<_, Refusal>>()?, effects.open()?))
}
