//! What is missing of a room is fetched by REST, a page at a time, while live events wait their turn.

use std::time::Duration;

use bytes::Bytes;
use hubbub_protocol::{
    event::Event,
    ids::{RoomId, Seq},
    op::Mode,
};
use serde::Deserialize;
use tokio::sync::mpsc;

use super::Task;
use crate::{
    handle::Update,
    socket::SocketError,
    track::{Came, Track},
};

/// Events fetched at once when a hole is filled.
const PAGE: usize = 100;

/// How long to wait before fetching again what could not be had.
const PAUSE: Duration = Duration::from_millis(1_000);

/// A push of a room.
#[derive(Debug)]
pub(super) enum Read {
    /// One that we can read.
    Known(Came),
    /// One of a later version: only its place is of use.
    Later(RoomId, Seq),
}

/// Reads a push of a room; `None` for what is none.
pub(super) fn read(json: Bytes) -> Option<Read> {
    #[derive(Deserialize)]
    struct Place {
        room: RoomId,
        seq: Seq,
    }
    match Event::decode(&json) {
        Ok(event) => Some(Read::Known((event, json))),
        Err(_) => serde_json::from_slice(&json).ok().map(|Place { room, seq }| Read::Later(room, seq)),
    }
}

/// A page that was fetched.
pub(super) struct Healed {
    room: RoomId,
    events: Vec<Read>,
    /// Whether there is more to fetch, or the fetch failed and must be made again.
    more: bool,
}

impl Task {
    pub(super) fn begin_room(&mut self, room: RoomId, after: Option<Seq>, mode: Mode, head: Seq) {
        self.unread.retain(|known| *known != room);
        match mode {
            Mode::Unread => {
                self.tracks.remove(&room);
                self.unread.push(room);
            }
            Mode::Live => {
                let track = self.tracks.entry(room).or_insert_with(|| Track::after(after.unwrap_or(head)));
                track.head(head);
            }
        }
    }

    pub(super) async fn event(&mut self, came: Came, heal: &mpsc::Sender<Healed>) {
        let room = came.0.room;
        let Some(track) = self.tracks.get_mut(&room) else { return };
        let seq = came.0.seq;
        let ready = track.take(came);
        self.hand_on(room, seq, ready, heal).await;
    }

    pub(super) async fn skip(&mut self, room: RoomId, seq: Seq, heal: &mpsc::Sender<Healed>) {
        let Some(track) = self.tracks.get_mut(&room) else { return };
        let ready = track.skip(seq);
        self.hand_on(room, seq, ready, heal).await;
    }

    /// Hands on what is ready after the event `seq` came, and fetches what is missing before it.
    async fn hand_on(&mut self, room: RoomId, seq: Seq, ready: Vec<Came>, heal: &mpsc::Sender<Healed>) {
        let Some(track) = self.tracks.get(&room) else { return };
        let hole = track.seen() < seq;
        for (event, json) in ready {
            self.tell(Update::Event(Box::new(event), json)).await;
        }
        if hole {
            self.heal(room, heal);
        }
    }

    pub(super) fn mark_gap(&mut self, room: RoomId) {
        self.healing.insert(room, ());
    }

    pub(super) fn heal_if_gap(&mut self, room: RoomId, heal: &mpsc::Sender<Healed>) {
        if self.healing.remove(&room).is_some() {
            self.heal(room, heal);
        }
    }

    /// Fetches what is missing of a room, one page at a time, once at a time.
    pub(super) fn heal(&mut self, room: RoomId, heal: &mpsc::Sender<Healed>) {
        let Some(track) = self.tracks.get(&room) else { return };
        if self.healing.insert(room, ()).is_some() {
            return;
        }
        let (rest, heal, after) = (self.rest.with_token(&self.token), heal.clone(), track.seen());
        tokio::spawn(async move {
            let page = match rest.events(room, after, PAGE).await {
                Ok((pushes, next)) => {
                    let events: Vec<Read> = pushes.into_iter().filter_map(read).collect();
                    if events.is_empty() {
                        // The log does not have it yet, or not any more: asking at once asks in vain.
                        tokio::time::sleep(PAUSE).await;
                    }
                    Healed { room, events, more: next.is_some() }
                }
                Err(error) => {
                    tracing::debug!(%error, "could not fetch what is missing");
                    tokio::time::sleep(PAUSE).await;
                    Healed { room, events: Vec::new(), more: true }
                }
            };
            // A connection that is over heals anew when it is made again.
            let _ = heal.send(page).await;
        });
    }

    pub(super) async fn healed(&mut self, page: Healed, heal: &mpsc::Sender<Healed>) -> Result<(), SocketError> {
        let Healed { room, events, more } = page;
        self.healing.remove(&room);
        for read in events {
            let Some(track) = self.tracks.get_mut(&room) else { return Ok(()) };
            let ready = match read {
                Read::Known(came) => track.take(came),
                Read::Later(_, seq) => track.skip(seq),
            };
            for (event, json) in ready {
                self.tell(Update::Event(Box::new(event), json)).await;
            }
        }
        if more || self.tracks.get(&room).is_some_and(Track::is_behind) {
            self.heal(room, heal);
        }
        Ok(())
    }
}
