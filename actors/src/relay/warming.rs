//! A relay that begins fills its ring from the room's hot tail, when somebody who waits for it has missed something.
//!
//! After a node has died, thousands resume elsewhere at once, and each of their rooms has a relay that has seen nothing.
//! With a tail, the relay reads a few rows once; without one, it reads what each of them missed from the store.

use std::{collections::VecDeque, time::Duration};

use bytes::Bytes;
use hubbub_protocol::{event::Event, ids::Seq};

use super::{Delivery, RING_MAX, RelayMessage, RelayState};
use crate::tails;

/// How long followers wait for the ring: the cache answers within 50 ms, and the store in a few more.
const WARMS_WITHIN: Duration = Duration::from_millis(500);

impl RelayState {
    /// Begins to fill the ring, if there is a cache and somebody misses what came before `head`; whether the ring is
    /// being filled, and the relay begins afterwards.
    pub(super) fn warms(&mut self, head: Seq) -> bool {
        if let Some((_, told)) = &mut self.warming {
            *told = head;
            return true;
        }
        let misses = |after: Option<Seq>| after.is_some_and(|after| after < head);
        if !self.context.ports.cache.status().there || !self.waiting.iter().any(|joining| misses(joining.after)) {
            return false;
        }
        self.warming = Some((head, head));
        let (context, room, me) = (self.context.clone(), self.room, self.me.clone());
        tokio::spawn(async move {
            let read = tokio::time::timeout(WARMS_WITHIN, tails::read(&context, room)).await;
            let _ = me.cast(RelayMessage::Warmed(read.ok().flatten()));
        });
        true
    }

    /// Begins, with what was read in the ring.
    pub(super) async fn warmed(&mut self, read: Option<Vec<(Seq, Bytes)>>) {
        let Some((head, told)) = self.warming.take() else { return };
        self.ring = read.and_then(|events| ring_of(&events, head)).unwrap_or_default();
        self.begin_at(head).await;
        if told > head {
            self.heal();
        }
    }
}

/// The ring of a relay that has got to `head`, out of a room's newest events; `None` when they do not reach there, or
/// one of them cannot be read.
fn ring_of(events: &[(Seq, Bytes)], head: Seq) -> Option<VecDeque<Delivery>> {
    let seen = events.iter().filter(|(seq, _)| *seq <= head);
    let past = |(_, push): &(Seq, Bytes)| Some(Delivery::past(&Event::decode(push).ok()?, push));
    let mut ring: VecDeque<Delivery> = seen.map(past).collect::<Option<_>>()?;
    if ring.back()?.seq != head {
        return None;
    }
    ring.drain(..ring.len().saturating_sub(RING_MAX));
    Some(ring)
}
