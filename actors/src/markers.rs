//! How far people have read, and how often they were mentioned since: kept in memory for those who
//! are here, and written behind.
//!
//! A marker is answered at once and on disk within [`HubConfig::write_behind_every`]; a crash in
//! between makes a room look unread again, and loses nothing. A person's own send moves the marker
//! only when it stood at the event before, so that reading is never assumed.
//!
//! [`HubConfig::write_behind_every`]: crate::context::HubConfig::write_behind_every

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use futures_util::FutureExt as _;

use hubbub_protocol::{
    event::{Event, EventBody},
    ids::{RoomId, Seq, UserId},
    limits::GROUP_MEMBERS_MAX,
    push::{NotifyReason, Push},
    room::RoomKind,
};
use hubbub_storage::{Effect, ErrorChain, Store, StoreError, Together, TogetherError};
use parking_lot::Mutex;

use crate::context::Context;

/// Most markers written in one transaction.
const FLUSH_MAX: usize = 2_000;

#[derive(Debug, Default, Clone, Copy)]
struct Marker {
    read: Seq,
    mentions: u64,
    /// The newest mention counted.
    mentioned_at: Seq,
}

#[derive(Debug, Default)]
struct Reader {
    sessions: usize,
    rooms: HashMap<RoomId, Marker>,
}

/// A user whose markers are to be read, and the rooms whose mentions are to be counted.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Entering {
    user: UserId,
    rooms: Arc<[RoomId]>,
}

/// What the store keeps of a user.
#[derive(Debug, Default)]
struct Stored {
    read: Vec<(RoomId, Seq)>,
    mentions: HashMap<RoomId, u64>,
}

/// Read markers of the users who are here.
#[derive(Debug)]
pub struct Markers {
    stored: Together<Entering, Arc<Stored>>,
    readers: Mutex<HashMap<UserId, Reader>>,
    dirty: Mutex<BTreeMap<(UserId, RoomId), Seq>>,
}

impl Markers {
    /// Nobody is here yet.
    #[must_use]
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self {
            stored: Together::new(move |entering| read(store.clone(), entering).boxed()),
            readers: Mutex::default(),
            dirty: Mutex::default(),
        }
    }

    /// Holds a user's markers in memory for one more session, if they are there already.
    pub fn enter_again(&self, user: UserId) -> bool {
        let mut readers = self.readers.lock();
        let Some(reader) = readers.get_mut(&user) else { return false };
        reader.sessions += 1;
        true
    }

    /// Holds a user's markers in memory until [`Markers::leave`]; reads them when nobody holds them
    /// yet. `heads` are the rooms the user may see, with their newest seqs.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn enter(&self, user: UserId, heads: &[(RoomId, Seq)]) -> Result<(), TogetherError> {
        if self.enter_again(user) {
            return Ok(());
        }
        let entering = Entering { user, rooms: heads.iter().map(|(room, _)| *room).collect() };
        let stored = self.stored.get(entering).await?.unwrap_or_default();
        let mut readers = self.readers.lock();
        let reader = readers.entry(user).or_default();
        reader.sessions += 1;
        for (room, seq) in &stored.read {
            let marker = reader.rooms.entry(*room).or_default();
            marker.read = marker.read.max(*seq);
        }
        for (room, head) in heads {
            if let Some(count) = stored.mentions.get(room) {
                let marker = reader.rooms.entry(*room).or_default();
                (marker.mentions, marker.mentioned_at) = (marker.mentions.max(*count), *head);
            }
        }
        let dirty = self.dirty.lock();
        for ((_, room), seq) in dirty.range((user, RoomId::from_raw(0))..=(user, RoomId::from_raw(u64::MAX))) {
            let marker = reader.rooms.entry(*room).or_default();
            marker.read = marker.read.max(*seq);
        }
        drop(dirty);
        Ok(())
    }

    /// Lets go of a user's markers; what is not written yet stays until it is.
    pub fn leave(&self, user: UserId) {
        let mut readers = self.readers.lock();
        if let Some(reader) = readers.get_mut(&user) {
            reader.sessions = reader.sessions.saturating_sub(1);
            if reader.sessions == 0 {
                readers.remove(&user);
            }
        }
    }

    /// Whether a user has a session here, connected or not.
    pub(crate) fn has(&self, user: UserId) -> bool {
        self.readers.lock().contains_key(&user)
    }

    /// The read marker and unread mentions of a user who is here.
    #[must_use]
    pub fn of(&self, user: UserId, room: RoomId) -> (Seq, u64) {
        let readers = self.readers.lock();
        readers.get(&user).and_then(|reader| reader.rooms.get(&room)).map_or((Seq(0), 0), |m| (m.read, m.mentions))
    }

    /// The same of many rooms, in the order asked.
    #[must_use]
    pub fn of_all(&self, user: UserId, rooms: impl Iterator<Item = RoomId>) -> Vec<(Seq, u64)> {
        let readers = self.readers.lock();
        let marked = readers.get(&user).map(|reader| &reader.rooms);
        let of = |room| marked.and_then(|marked| marked.get(&room)).map_or((Seq(0), 0), |m| (m.read, m.mentions));
        rooms.map(of).collect()
    }

    /// Moves a marker forward; says whether it moved.
    pub fn read(&self, user: UserId, room: RoomId, seq: Seq) -> bool {
        let mut readers = self.readers.lock();
        if let Some(reader) = readers.get_mut(&user) {
            let marker = reader.rooms.entry(room).or_default();
            if seq <= marker.read {
                return false;
            }
            marker.read = seq;
            if seq >= marker.mentioned_at {
                marker.mentions = 0;
            }
        }
        drop(readers);
        let mut dirty = self.dirty.lock();
        let newest = dirty.entry((user, room)).or_default();
        *newest = (*newest).max(seq);
        true
    }

    /// Takes note of an event that is on disk: the author has read it, the mentioned have not.
    pub fn committed(&self, context: &std::sync::Arc<Context>, event: &Event) {
        let EventBody::MessageCreated(created) = &event.body else {
            return;
        };
        if created.imported.is_some() {
            return;
        }
        self.sent(event.by, event.room, event.seq);
        let mentioned: Vec<UserId> =
            created.mentions.users.iter().copied().filter(|user| *user != event.by).collect();
        context.mentioned(&mentioned, event.room, event.seq);
        let kind = context.directory.known_room(event.room).map(|room| room.kind);
        let talk = matches!(kind, Some(RoomKind::Dm | RoomKind::Group));
        if talk || created.reply_to.is_some() || !created.mentions.users.is_empty() {
            tokio::spawn(notify_all(context.clone(), event.clone(), talk));
        }
    }

    /// Takes note of a user's own message: it is read if all before it is.
    pub(crate) fn sent(&self, user: UserId, room: RoomId, seq: Seq) {
        if self.of(user, room).0 == Seq(seq.0 - 1) {
            self.read(user, room, seq);
        }
    }

    /// Counts a mention for a user who is here.
    pub fn mentioned(&self, user: UserId, room: RoomId, seq: Seq) {
        if let Some(reader) = self.readers.lock().get_mut(&user) {
            let marker = reader.rooms.entry(room).or_default();
            if seq > marker.mentioned_at {
                marker.mentioned_at = seq;
                marker.mentions += 1;
            }
        }
    }

    /// Writes what has moved since the last time.
    ///
    /// # Errors
    /// [`StoreError::Write`]: what was not written is kept for the next time.
    pub async fn flush(&self, context: &Context) -> Result<(), StoreError> {
        loop {
            let moved: Vec<_> = {
                let mut dirty = self.dirty.lock();
                let keys: Vec<_> = dirty.keys().take(FLUSH_MAX).copied().collect();
                keys.into_iter().filter_map(|key| dirty.remove(&key).map(|seq| (key, seq))).collect()
            };
            if moved.is_empty() {
                return Ok(());
            }
            let effect = |((user, room), seq): &((UserId, RoomId), Seq)| Effect::PutMarker {
                user: *user,
                room: *room,
                seq: *seq,
            };
            if let Err(error) = context.store.apply(&moved.iter().map(effect).collect::<Vec<_>>()).await {
                let mut dirty = self.dirty.lock();
                for (key, seq) in moved {
                    let newest = dirty.entry(key).or_default();
                    *newest = (*newest).max(seq);
                }
                return Err(error);
            }
        }
    }
}

/// What the store keeps of users who come.
async fn read(store: Arc<dyn Store>, entering: Vec<Entering>) -> Result<Vec<(Entering, Arc<Stored>)>, StoreError> {
    let users: Vec<UserId> = entering.iter().map(|entering| entering.user).collect();
    let pairs = entering.iter().flat_map(|entering| entering.rooms.iter().map(|room| (entering.user, *room)));
    let pairs: Vec<(UserId, RoomId)> = pairs.collect();
    let mut stored: HashMap<UserId, Stored> = HashMap::new();
    for ((user, room), seq) in store.markers_of(&users).await? {
        stored.entry(user).or_default().read.push((room, seq));
    }
    for ((user, room), count) in store.mentions_of(&pairs).await? {
        stored.entry(user).or_default().mentions.insert(room, count);
    }
    let stored: HashMap<UserId, Arc<Stored>> =
        stored.into_iter().map(|(user, stored)| (user, Arc::new(stored))).collect();
    let of = |entering: Entering| stored.get(&entering.user).map(|stored| (entering, stored.clone()));
    Ok(entering.into_iter().filter_map(of).collect())
}

/// Tells the mentioned, the other people of a conversation, and the author of an answered message,
/// each once and only if the room is theirs to see.
async fn notify_all(context: std::sync::Arc<Context>, event: Event, talk: bool) {
    let EventBody::MessageCreated(created) = &event.body else {
        return;
    };
    let mut reasons: BTreeMap<UserId, NotifyReason> = BTreeMap::new();
    if let Some(seq) = created.reply_to {
        match context.store.message(event.room, seq).await {
            Ok(Some(answered)) => {
                reasons.insert(answered.by, NotifyReason::Reply);
            }
            Ok(None) => {}
            Err(error) => tracing::warn!(error = %ErrorChain(&error), "could not notify an answered author"),
        }
    }
    if talk {
        match context.store.room_members(event.room, None, GROUP_MEMBERS_MAX, None).await {
            Ok(members) => reasons.extend(members.iter().map(|member| (member.id, NotifyReason::Dm))),
            Err(error) => {
                tracing::warn!(error = %ErrorChain(&error), "could not notify a conversation")
            }
        }
    }
    reasons.extend(created.mentions.users.iter().map(|user| (*user, NotifyReason::Mention)));
    reasons.remove(&event.by);
    for (user, reason) in reasons {
        if context.directory.access(user, event.room).await.is_ok() {
            context.push_to(&[user], &Push::Notify { room: event.room, seq: event.seq, reason }, None);
        }
    }
}
