//! Who follows a room: coming, catching up with the past, and going.

use hubbub_protocol::{
    ids::{Seq, UserId},
    limits::REPLAY_EVENTS_MAX,
    op::Mode,
};
use hubbub_storage::{ErrorChain, StoreError, StoredEvent};
use ractor::ActorRef;
use tokio::sync::oneshot;

use super::{
    Delivery, EMPTY_FOR, Follower, Joining, RING_MAX, RelayMessage, RelayState, Subscription, Unread, wants,
};

impl RelayState {
    pub(super) fn follow(&mut self, joining: Joining) {
        self.forget(joining.follower.session);
        // Asked here, not before: a right that is taken away from now on is followed by a `Revoke`.
        if self.context.directory.still(&joining.follower.access, joining.follower.user).is_none() {
            self.rest();
            return;
        }
        let Some(head) = self.head else {
            self.waiting.push(joining);
            return;
        };
        let (Some(after), Mode::Live) = (joining.after, joining.follower.mode) else {
            self.admit(joining, head, None);
            return;
        };
        if after > head {
            self.read_head(joining);
        } else if head.0 - after.0 > REPLAY_EVENTS_MAX {
            self.admit(joining, head, None);
        } else if after == head || self.ring.front().is_some_and(|oldest| oldest.seq <= after.next()) {
            self.admit(joining, head, Some(Vec::new()));
        } else {
            self.read_past(joining, after);
        }
    }

    /// Asks the store for the newest seq, for a follower who knows of more than has been heard here: another node may
    /// have told it, or the log went back with its database.
    fn read_head(&mut self, joining: Joining) {
        let (context, room, me) = (self.context.clone(), self.room, self.me.clone());
        let session = joining.follower.session;
        self.early.insert(session, joining);
        tokio::spawn(async move {
            let read = context.store.heads(&[room]).await.map(|heads| heads.first().copied().unwrap_or_default());
            let _ = me.cast(RelayMessage::HeadRead { session, read });
        });
    }

    pub(super) async fn head_read(&mut self, session: u64, read: Result<Seq, StoreError>) {
        let after = self.early.get(&session).and_then(|joining| joining.after);
        let (Some(after), Some(head)) = (after, self.head) else { return };
        match read {
            // It is let in once the relay has got so far.
            Ok(stored) if stored >= after => self.watched(stored).await,
            Ok(_) => {
                if let Some(joining) = self.early.remove(&session) {
                    self.admit(joining, head, None);
                }
            }
            Err(error) => {
                tracing::warn!(room.id = %self.room, error = %ErrorChain(&error), "could not read how far a room has got");
                // Unanswered, its client asks again.
                self.early.remove(&session);
                self.rest();
            }
        }
        self.admit_early();
    }

    /// Lets those in who waited for the relay to get as far as they know of.
    pub(super) fn admit_early(&mut self) {
        let Some(head) = self.head else { return };
        let reached = |joining: &Joining| joining.after.is_none_or(|after| after <= head);
        let sessions: Vec<u64> =
            self.early.iter().filter(|(_, joining)| reached(joining)).map(|(session, _)| *session).collect();
        for session in sessions {
            if let Some(joining) = self.early.remove(&session) {
                self.follow(joining);
            }
        }
    }

    /// Reads what a follower missed; live events meanwhile wait in the ring. One read serves all who missed no more.
    pub(super) fn read_past(&mut self, joining: Joining, after: Seq) {
        self.replaying.insert(joining.follower.session, joining);
        if self.reading.range(..=after).next().is_some() {
            return;
        }
        self.reading.insert(after);
        let (context, room, me) = (self.context.clone(), self.room, self.me.clone());
        tokio::spawn(async move {
            let limit = usize::try_from(REPLAY_EVENTS_MAX).unwrap_or(usize::MAX);
            let read = context.store.events(room, after, limit).await;
            let _ = me.cast(RelayMessage::Replayed { after, read });
        });
    }

    pub(super) fn replayed(&mut self, after: Seq, read: Result<Vec<StoredEvent>, StoreError>) {
        self.reading.remove(&after);
        let Some(head) = self.head else { return };
        let past = match read {
            Ok(events) => {
                let seen = events.iter().filter(|event| event.seq <= head);
                Some(seen.map(Delivery::stored).collect::<Vec<_>>())
            }
            Err(error) => {
                tracing::warn!(room.id = %self.room, error = %ErrorChain(&error), "could not read what a follower missed");
                None
            }
        };
        let served = |joining: &Joining| joining.after.is_some_and(|own| own >= after);
        let sessions: Vec<u64> =
            self.replaying.iter().filter(|(_, joining)| served(joining)).map(|(session, _)| *session).collect();
        for session in sessions {
            let Some(joining) = self.replaying.remove(&session) else { continue };
            let own = joining.after.unwrap_or(after);
            let missed = past.as_ref().map(|past| past.iter().filter(|event| event.seq > own).cloned().collect());
            self.admit(joining, head, missed);
        }
        self.keep_past(head, past.unwrap_or_default());
    }

    /// Puts what was read before what the ring holds, for those who come next, if the two join up.
    fn keep_past(&mut self, head: Seq, mut past: Vec<Delivery>) {
        let begin = self.ring.front().map_or(head.next(), |oldest| oldest.seq);
        past.retain(|event| event.seq < begin);
        let room = RING_MAX.saturating_sub(self.ring.len());
        past.drain(..past.len().saturating_sub(room));
        if past.last().is_some_and(|newest| newest.seq.next() == begin) {
            past.into_iter().rev().for_each(|event| self.ring.push_front(event));
        }
    }

    /// Answers, sends the past and lets the follower in. `past` holds the events after `after` that
    /// are older than the ring; `None` means that what was missed is left out.
    pub(super) fn admit(&mut self, joining: Joining, head: Seq, past: Option<Vec<Delivery>>) {
        let Joining { follower, after, reply, .. } = joining;
        let replay = match (after, past) {
            (Some(after), Some(past)) if follower.mode == Mode::Live => self.stretch(after, head, past),
            (Some(after), _) if follower.mode == Mode::Live && after != head => None,
            _ => Some(Vec::new()),
        };
        let online = self.online() + u64::from(!self.people.contains_key(&follower.user));
        let events = replay.as_ref().map_or(0, |events| events.len() as u64);
        reply(Subscription { head, online, replay: events, gap: replay.is_none() });
        for delivery in replay.into_iter().flatten() {
            if wants(&follower, &delivery) {
                follower.connection.replay(self.room, delivery.seq, &delivery.frame);
            }
        }
        match follower.mode {
            Mode::Live => {
                *self.people.entry(follower.user).or_default() += 1;
                self.live.push(*follower);
            }
            Mode::Unread => drop(self.unread.insert(follower.session, Unread { follower, told: head })),
        }
    }

    /// The events after `after` up to `head`, from what was read and the ring; `None` when they do
    /// not join up.
    pub(super) fn stretch(&self, after: Seq, head: Seq, mut past: Vec<Delivery>) -> Option<Vec<Delivery>> {
        let mut next = past.last().map_or(after, |last| last.seq).next();
        for delivery in &self.ring {
            if delivery.seq == next {
                past.push(delivery.clone());
                next = next.next();
            }
        }
        (next == head.next()).then_some(past)
    }

    pub(super) fn unfollow(&mut self, session: u64) {
        self.forget(session);
        self.rest();
    }

    pub(super) fn forget(&mut self, session: u64) {
        if let Some(at) = self.live.iter().position(|follower| follower.session == session) {
            let gone = self.live.swap_remove(at);
            if let Some(sessions) = self.people.get_mut(&gone.user) {
                *sessions -= 1;
                if *sessions == 0 {
                    self.people.remove(&gone.user);
                }
            }
        }
        self.unread.remove(&session);
        self.waiting.retain(|joining| joining.follower.session != session);
        self.replaying.remove(&session);
        self.early.remove(&session);
    }

    pub(super) fn rest(&mut self) {
        if self.is_empty() && !self.empty_timer {
            self.empty_timer = true;
            self.me.send_after(EMPTY_FOR, || RelayMessage::EmptyCheck);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.live.is_empty()
            && self.unread.is_empty()
            && self.waiting.is_empty()
            && self.replaying.is_empty()
            && self.early.is_empty()
    }

    pub(super) fn empty_check(&mut self, me: &ActorRef<RelayMessage>) {
        self.empty_timer = false;
        if self.is_empty() && self.context.slots.retire_relay(self.room) {
            crate::peers::following::end(&self.context, self.room);
            me.stop(Some("nobody follows".into()));
        }
    }

    pub(super) async fn watched(&mut self, head: Seq) {
        match self.head {
            None => {
                if !self.warms(head) {
                    self.begin_at(head).await;
                }
            }
            // The owner was started anew: what it stored before it died may not have reached us.
            Some(known) if head > known => self.heal(),
            Some(_) => {}
        }
    }

    /// Begins to hand on after `head`.
    pub(super) async fn begin_at(&mut self, head: Seq) {
        self.head = Some(head);
        for joining in std::mem::take(&mut self.waiting) {
            self.follow(joining);
        }
        // What an owner on another node sent may have come before its answer.
        self.hand_on().await;
        if !self.ahead.is_empty() {
            self.heal();
        }
    }

    pub(super) fn judge(&self, then: Option<Seq>) {
        let followers = self.live.iter().chain(self.unread.values().map(|unread| &*unread.follower));
        let users: std::collections::BTreeSet<UserId> = followers.map(|follower| follower.user).collect();
        let users = users.into_iter().collect();
        tokio::spawn(crate::peers::facts::judge(self.context.clone(), self.room, users, self.me.clone(), then));
    }

    pub(super) fn revoke(&mut self, user: UserId, done: oneshot::Sender<()>) {
        self.let_go(user);
        let _: Result<(), ()> = done.send(());
    }

    /// Forgets every follower of a user.
    pub(super) fn let_go(&mut self, user: UserId) {
        let gone = |follower: &Follower| follower.user == user;
        self.live.retain(|follower| !gone(follower));
        self.people.remove(&user);
        self.unread.retain(|_, unread| !gone(&unread.follower));
        self.waiting.retain(|joining| !gone(&joining.follower));
        self.replaying.retain(|_, joining| !gone(&joining.follower));
        self.early.retain(|_, joining| !gone(&joining.follower));
        self.typing.remove(&user);
        self.rest();
    }
}
