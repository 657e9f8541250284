//! Filling holes from the log: one page of a room at a time, and few rooms at once.
//!
//! # Failure
//!
//! A page that cannot be had is asked for again, for as long as the connection lives. A log that answers and does not
//! hold what is owed is asked [`EMPTY_MAX`] times (the node that answers may be behind the one that told us), then
//! believed. A room whose log is refused is followed no longer.

use std::collections::{BTreeMap, VecDeque};

use hubbub_protocol::ids::{RoomId, Seq};

use super::{Core, Effect};
use crate::{
    error::RequestError,
    track::{Came, Step, Track},
    update::Update,
};

/// Rooms healed at once: enough to keep a line of 50 ms busy, few enough to leave the node to others.
const AT_ONCE_MAX: usize = 4;
/// Answers without what is owed after which it is taken for lost; with the pauses between them some 7 s on average.
pub(crate) const EMPTY_MAX: u32 = 5;

/// Who is being healed, and who waits for it.
#[derive(Debug, Default)]
pub(crate) struct Healing {
    /// With the pages in a row that were of no use.
    now: BTreeMap<RoomId, u32>,
    next: VecDeque<RoomId>,
}

/// What became of a page.
pub(crate) type Fetched = Result<Vec<Came>, RequestError>;

impl Core {
    /// Fetches what is missing of a room, if anything is and nobody does so already.
    pub(super) fn heal(&mut self, room: RoomId, effects: &mut Vec<Effect>) {
        if !self.live.get(&room).is_some_and(Track::is_behind)
            || self.healing.now.contains_key(&room)
            || self.healing.next.contains(&room)
        {
            return;
        }
        self.healing.next.push_back(room);
        self.fetch_next(effects);
    }

    fn fetch_next(&mut self, effects: &mut Vec<Effect>) {
        while self.healing.now.len() < AT_ONCE_MAX
            && let Some(room) = self.healing.next.pop_front()
        {
            self.healing.now.insert(room, 0);
            self.fetch(room, 0, effects);
        }
    }

    /// Asks for the next page, or ends the healing of a room that needs none any more.
    fn fetch(&mut self, room: RoomId, tries: u32, effects: &mut Vec<Effect>) {
        match self.live.get(&room).filter(|track| track.is_behind()) {
            Some(track) => {
                self.healing.now.insert(room, tries);
                effects.push(Effect::Fetch { room, after: track.seen(), tries });
            }
            None => {
                self.healing.now.remove(&room);
                self.fetch_next(effects);
            }
        }
    }

    /// Takes in what became of a page that [`Effect::Fetch`] asked for.
    pub(crate) fn fetched(&mut self, room: RoomId, after: Seq, fetched: Fetched) -> Vec<Effect> {
        let tries = self.healing.now.get(&room).copied().unwrap_or(0) + 1;
        let mut effects = Vec::new();
        let tries = match fetched {
            Ok(page) => self.filled(room, after, page, tries, &mut effects),
            Err(RequestError::Refused(refusal)) if !refusal.retryable => {
                if self.live.contains_key(&room) {
                    self.let_go(room);
                    effects.push(Effect::Tell(Update::Unfollowed { room, refusal }));
                }
                0
            }
            Err(_) => tries,
        };
        self.fetch(room, tries, &mut effects);
        effects
    }

    /// Hands on what a page brought; returns the pages in a row that were of no use.
    fn filled(&mut self, room: RoomId, after: Seq, page: Vec<Came>, tries: u32, effects: &mut Vec<Effect>) -> u32 {
        // A page that begins beyond where we stand is of a room that was left and followed anew meanwhile.
        let Some(track) = self.live.get_mut(&room).filter(|track| after <= track.seen()) else { return 0 };
        let before = track.seen();
        let mut steps: Vec<Step> = track.page(page);
        let moved = track.seen() > before;
        let given_up = !moved && tries >= EMPTY_MAX;
        if given_up {
            steps.extend(track.give_up());
        }
        effects.extend(self.tell(room, steps));
        if moved || given_up { 0 } else { tries }
    }
}
