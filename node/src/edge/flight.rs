//! The requests of one connection that wait for their answer: how many there may be, and how long each takes.
//!
//! # Invariants
//!
//! * At most [`IN_FLIGHT_MAX`] are in flight.
//! * A connection without a request in flight owns no memory for them.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use hubbub_actors::meter::Stamp;
use hubbub_protocol::{frame::Frame, limits::IN_FLIGHT_MAX};
use parking_lot::Mutex;

use crate::metrics::{EdgeMeters, OpRow};

#[derive(Debug, Clone, Copy)]
struct Asked {
    id: u32,
    row: OpRow,
    since: Stamp,
}

/// See the module.
#[derive(Debug)]
pub struct Flight {
    taken: AtomicUsize,
    /// In the order in which they came. A client that gives two the same number may have their times mixed up.
    asked: Mutex<Vec<Asked>>,
    meters: Arc<EdgeMeters>,
}

impl Flight {
    /// Nothing in flight.
    #[must_use]
    pub const fn new(meters: Arc<EdgeMeters>) -> Self {
        Self { taken: AtomicUsize::new(0), asked: Mutex::new(Vec::new()), meters }
    }

    /// What is measured.
    #[must_use]
    pub fn meters(&self) -> &EdgeMeters {
        &self.meters
    }

    /// Takes a place for a request; `false` when all are taken.
    pub fn begin(&self, id: u32, row: OpRow) -> bool {
        if self.taken.fetch_add(1, Ordering::AcqRel) >= IN_FLIGHT_MAX {
            self.taken.fetch_sub(1, Ordering::AcqRel);
            return false;
        }
        let since = self.meters.times.stamp();
        if !since.is_none() {
            self.asked.lock().push(Asked { id, row, since });
        }
        true
    }

    /// Gives the place of a request back that `answer` answers.
    pub fn end(&self, answer: &Frame) {
        self.taken.fetch_sub(1, Ordering::AcqRel);
        let Some(answers) = answer.answers().filter(|_| self.meters.times.is_on()) else { return };
        let begun = {
            let mut asked = self.asked.lock();
            let begun = asked.iter().position(|asked| asked.id == answers.re).map(|at| asked.remove(at));
            if asked.is_empty() {
                *asked = Vec::new();
            }
            begun
        };
        if let Some(Asked { row, since, .. }) = begun {
            self.meters.answered(row, since, answers.refused);
            tracing::trace!(op = row.name(), refused = ?answers.refused, "a request was answered");
        }
    }
}

#[cfg(test)]
mod tests {
    use hubbub_actors::meter::Meters;
    use hubbub_protocol::{
        error::{ErrorCode, Refusal},
        op::Op,
    };

    use super::*;

    fn flight(on: bool) -> Flight {
        Flight::new(EdgeMeters::new(Arc::new(Meters::new(on))))
    }

    #[test]
    fn there_are_so_many_places_and_an_answer_gives_one_back() {
        for on in [true, false] {
            let (flight, row) = (flight(on), OpRow::of::<()>(&Ok(Op::Heartbeat)));
            let begin = |id: usize| flight.begin(u32::try_from(id).expect("few"), row);
            assert!((0..IN_FLIGHT_MAX).all(begin));
            assert!(!begin(IN_FLIGHT_MAX));
            flight.end(&Frame::ok(3, &()));
            assert!(begin(IN_FLIGHT_MAX) && !begin(IN_FLIGHT_MAX));
        }
    }

    #[test]
    fn each_answer_is_counted_for_its_own_request() {
        let flight = flight(true);
        flight.begin(1, OpRow::of::<()>(&Ok(Op::Heartbeat)));
        flight.begin(2, OpRow::of(&Err(())));
        flight.end(&Frame::refused(2, &Refusal::new(ErrorCode::BadRequest, "no")));
        flight.end(&Frame::ok(1, &()));
        let answered = |name: &str| {
            let row = crate::metrics::op_names().position(|known| known == name).expect("a row");
            let meter = &flight.meters.ops[row];
            let refused = meter.refused.iter().map(|count| count.load(Ordering::Relaxed)).sum::<u64>();
            (meter.took.counts().iter().sum::<u64>(), refused)
        };
        assert_eq!((answered("heartbeat"), answered("invalid")), ((1, 0), (1, 1)));
        assert_eq!(flight.asked.lock().capacity(), 0, "nothing in flight, nothing held");
    }
}
