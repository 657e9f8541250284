//! Keeps the actors in memory within a budget: from 80 % of it on, those nobody needs leave, the least
//! recently used first.
//!
//! Sessions whose client is away go first, since their state is saved and a resume brings them back;
//! then rooms that nobody here follows, which are loaded again by the next request. Users live only as
//! long as a device or a watcher needs them, and relays as long as somebody follows: what is needed
//! stays, whatever the budget says. The number of connections is bounded by the edge.
//!
//! # Invariants
//!
//! * A room leaves the slots only while nothing is queued for it and nobody follows it; what it has
//!   handed to its lane is still answered.
//! * Nothing is lost by leaving: a successor starts from the log once its lane is settled.

use std::{sync::Arc, time::Duration};

use hubbub_protocol::ids::RoomId;
use ractor::ActorRef;

use crate::{
    context::{Context, Counters},
    observe::{Observed, ask},
    room::RoomMessage,
    session::SessionMessage,
};

/// Rounds, one a second, without a message before a session or a user rests. Waking costs some 30 µs, so somebody who
/// writes now and then had better not be woken for each message.
pub(crate) const QUIET_ROUNDS: u32 = 5;
/// How often the budget is looked at.
pub const SWEEP_EVERY: Duration = Duration::from_secs(1);
/// How long after a sweep that found nothing to let go the next one comes: each looks at every actor,
/// about 10 ms for 100,000.
pub const PAUSE_AFTER_NOTHING: Duration = Duration::from_secs(10);
/// Most actors one sweep lets go: a burst of sign-offs is spread over seconds, and none of them waits
/// for more than so many.
const LET_GO_MAX: usize = 1_000;
/// How often a room that has left the slots is asked whether all of it is on disk.
const SETTLED_CHECK: Duration = Duration::from_millis(50);
/// Checks after which it ends all the same: 10 s, twice as long as a lane tries to settle a batch.
const SETTLED_CHECKS_MAX: u32 = 200;

/// How many of `active` actors should leave, under a budget of `actors_max`.
const fn surplus(active: usize, actors_max: usize) -> usize {
    let surplus = active.saturating_sub(actors_max - actors_max / 5);
    if surplus < LET_GO_MAX { surplus } else { LET_GO_MAX }
}

/// Lets go of what the budget has no place for; gives how many actors were needless, `None` when there
/// was place for all.
pub fn sweep(context: &Arc<Context>) -> Option<usize> {
    let active = context.sessions.count() + context.users.count() + context.slots.actors();
    let surplus = surplus(active, context.config.actors_max);
    if surplus == 0 {
        return None;
    }
    let away = context.sessions.longest_away(surplus);
    for session in &away {
        // Its actor judges: the client may just have come back.
        let _ = context.sessions.send(context, *session, SessionMessage::LeaveIfAway);
    }
    let mut rooms = 0;
    for room in context.slots.least_used(surplus - away.len()) {
        if let Some(actor) = context.slots.take_idle(room) {
            rooms += 1;
            tokio::spawn(end_settled(room, actor));
        }
    }
    let gone = away.len() + rooms;
    Counters::add(&context.counters.passivated, gone as u64);
    if gone == 0 {
        let budget = context.config.actors_max;
        tracing::warn!(actors = active, "{active} actors of {budget} are in memory, and all are needed");
    }
    Some(gone)
}

/// Ends a room that is out of the slots, once what it handed to its lane is settled and answered.
async fn end_settled(room: RoomId, actor: ActorRef<RoomMessage>) {
    for _ in 0..SETTLED_CHECKS_MAX {
        match ask(Some(actor.clone()), RoomMessage::Observe).await {
            Observed::NotHere => return,
            Observed::Here(status) if status.in_flight == 0 => break,
            Observed::Here(_) => tokio::time::sleep(SETTLED_CHECK).await,
            // What is queued for it is handled before it ends, whenever that is.
            Observed::Silent => break,
        }
    }
    tracing::debug!(room.id = %room, "room {room} leaves memory to make place");
    // It fails only when the actor is ending already.
    let _ = actor.drain();
}

/// Sweeps for ever, and has quiet sessions and users rest.
pub(crate) async fn keep(context: Arc<Context>) {
    let mut pause = Duration::ZERO;
    loop {
        if pause.is_zero() && sweep(&context) == Some(0) {
            pause = PAUSE_AFTER_NOTHING;
        }
        context.sessions.rest_quiet(&context);
        context.users.rest_quiet();
        tokio::time::sleep(SWEEP_EVERY).await;
        pause = pause.saturating_sub(SWEEP_EVERY);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_fifths_of_the_budget_stay_and_no_sweep_takes_too_many() {
        assert_eq!([surplus(0, 10), surplus(8, 10), surplus(9, 10), surplus(15, 10)], [0, 0, 1, 7]);
        assert_eq!([surplus(1, 0), surplus(0, 0)], [1, 0]);
        assert_eq!(surplus(1_000_000, 10), LET_GO_MAX);
    }
}
