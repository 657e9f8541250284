//! Where the newest messages of a replay went, so that answers find what they answer.

use std::collections::{HashMap, VecDeque};

use hubbub_protocol::ids::{MessageKey, RoomId, Seq};

/// Messages remembered: a million of some 60 bytes are 60 MB. What answers an older one is sent without.
pub const RECENT_MAX: usize = 1_000_000;

/// The newest messages, by key.
#[derive(Debug)]
pub struct Recent {
    places: HashMap<MessageKey, (RoomId, Seq)>,
    order: VecDeque<MessageKey>,
    most: usize,
}

impl Recent {
    /// Remembers up to `most`.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self { places: HashMap::new(), order: VecDeque::new(), most }
    }

    /// Notes where a message went, and forgets the oldest when there are too many.
    pub fn note(&mut self, key: MessageKey, room: RoomId, seq: Seq) {
        if self.places.insert(key, (room, seq)).is_none() {
            self.order.push_back(key);
        }
        if self.order.len() > self.most
            && let Some(oldest) = self.order.pop_front()
        {
            self.places.remove(&oldest);
        }
    }

    /// The seq of a message, if it went to `room`.
    #[must_use]
    pub fn in_room(&self, key: MessageKey, room: RoomId) -> Option<Seq> {
        self.places.get(&key).filter(|(there, _)| *there == room).map(|(_, seq)| *seq)
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn the_newest_are_found_in_their_room_and_the_oldest_forgotten() {
        let (here, there) = (RoomId::from_raw(1), RoomId::from_raw(2));
        let key = |number: u128| MessageKey(Uuid::from_u128(number));
        let mut recent = Recent::new(2);
        for number in [1, 2, 2, 3] {
            let seq = u64::try_from(number).expect("small");
            recent.note(key(number), here, Seq(seq));
        }
        assert_eq!(recent.in_room(key(1), here), None, "forgotten");
        assert_eq!(recent.in_room(key(2), here), Some(Seq(2)));
        assert_eq!(recent.in_room(key(3), there), None);
        assert_eq!(recent.in_room(key(3), here), Some(Seq(3)));
    }
}
