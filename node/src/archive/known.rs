//! What an import knows of names: asked of the store a batch at a time, and remembered within bounds.

use std::collections::{HashMap, HashSet};

use hubbub_protocol::{
    error::{ErrorCode, Refusal},
    ids::{CommunityId, RoomId, Seq, UserId},
    room::RoomKind,
};
use hubbub_storage::{Store, effect::ImportKind, facts::Room};

use super::{
    line::{Line, Title},
    plan::Names,
    thread_name, written,
};
use crate::http::error::store_refusal;

/// Names of one kind remembered between batches, some 100 bytes each; beyond, all are asked for anew.
const REMEMBERED_MAX: usize = 100_000;

/// What is remembered between batches.
#[derive(Debug)]
pub struct Known {
    /// The community.
    pub community: CommunityId,
    rooms: HashMap<String, RoomId>,
    users: HashMap<String, UserId>,
    threads: HashMap<String, RoomId>,
}

/// The names of a batch that nobody knows yet.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Unknown {
    /// Rooms, in order of appearance.
    pub rooms: Vec<String>,
    /// Users, in order of appearance.
    pub users: Vec<String>,
}

fn ids<T>(found: HashMap<String, (u64, Seq)>, of: impl Fn(u64) -> T) -> HashMap<String, T> {
    found.into_iter().map(|(name, (id, _))| (name, of(id))).collect()
}

/// Names in order of their first appearance.
pub fn distinct<'a>(names: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut seen = HashSet::new();
    names.filter(|name| seen.insert(*name)).map(str::to_owned).collect()
}

impl Known {
    /// Begins with the rooms of `community`; names that two rooms bear mean the first. Private rooms
    /// are left alone: what is imported is for every member.
    ///
    /// # Errors
    /// `unavailable`.
    pub async fn of(store: &dyn Store, community: CommunityId) -> Result<Self, Refusal> {
        let listed = store.rooms_of(community, false).await.map_err(|error| store_refusal(&error))?;
        let mut rooms = HashMap::new();
        for room in listed {
            if !room.private && room.kind != RoomKind::Community {
                rooms.entry(room.name).or_insert(room.id);
            }
        }
        Ok(Self { community, rooms, users: HashMap::new(), threads: HashMap::new() })
    }

    /// Where those of `ids` are that are stored in the community, imported or written here.
    ///
    /// # Errors
    /// `unavailable`.
    pub async fn messages(
        &self,
        store: &dyn Store,
        lines: &[Line],
    ) -> Result<HashMap<String, (RoomId, Seq)>, Refusal> {
        let answered = lines.iter().filter_map(|line| line.reply_to.as_deref());
        let ids = distinct(lines.iter().map(|line| line.id.as_str()).chain(answered));
        let (here, elsewhere): (Vec<String>, Vec<String>) =
            ids.into_iter().partition(|id| written::place(id).is_some());
        let found = self.ask(store, ImportKind::Message, &elsewhere).await?;
        let mut places: HashMap<_, _> =
            found.into_iter().map(|(ext, (room, seq))| (ext, (RoomId::from_raw(room), seq))).collect();
        for id in here {
            if let Some(place) = written::find(store, self.community, &id).await? {
                places.insert(id, place);
            } else if let Some((room, seq)) =
                self.ask(store, ImportKind::Message, std::slice::from_ref(&id)).await?.remove(&id)
            {
                places.insert(id, (RoomId::from_raw(room), seq));
            }
        }
        Ok(places)
    }

    async fn ask(
        &self,
        store: &dyn Store,
        kind: ImportKind,
        names: &[String],
    ) -> Result<HashMap<String, (u64, Seq)>, Refusal> {
        if names.is_empty() {
            return Ok(HashMap::new());
        }
        store.imported(self.community, kind, names).await.map_err(|error| store_refusal(&error))
    }

    /// Looks the users and rooms of a batch up; gives back those that are to be made.
    ///
    /// # Errors
    /// `unavailable`.
    pub async fn look_up(
        &mut self,
        store: &dyn Store,
        lines: &[Line],
        titles: &[Title],
    ) -> Result<Unknown, Refusal> {
        let of_titles = titles.iter().map(|title| title.room.as_str());
        let rooms = distinct(lines.iter().map(|line| line.room.as_str()).chain(of_titles));
        let users = distinct(lines.iter().flat_map(Line::people));
        self.look_up_names(store, rooms, users).await
    }

    /// The same for names alone, each given once.
    ///
    /// # Errors
    /// `unavailable`.
    pub async fn look_up_names(
        &mut self,
        store: &dyn Store,
        rooms: Vec<String>,
        users: Vec<String>,
    ) -> Result<Unknown, Refusal> {
        if self.users.len() > REMEMBERED_MAX {
            self.users.clear();
        }
        let unmet: Vec<String> = users.iter().filter(|user| !self.users.contains_key(*user)).cloned().collect();
        let found = self.ask(store, ImportKind::User, &unmet).await?;
        self.users.extend(ids(found, UserId::from_raw));
        Ok(Unknown {
            rooms: rooms.into_iter().filter(|room| !self.rooms.contains_key(room)).collect(),
            users: unmet.into_iter().filter(|user| !self.users.contains_key(user)).collect(),
        })
    }

    /// Learns what was made.
    pub fn learn(&mut self, rooms: Vec<(String, RoomId)>, users: Vec<(String, UserId)>) {
        self.rooms.extend(rooms);
        self.users.extend(users);
    }

    /// The room of that name.
    #[must_use]
    pub fn room(&self, name: &str) -> Option<RoomId> {
        self.rooms.get(name).copied()
    }

    /// The user of that name, among those looked up last.
    #[must_use]
    pub fn user(&self, name: &str) -> Option<UserId> {
        self.users.get(name).copied()
    }

    /// All that a plan for `lines` needs to know; to be given back by [`Known::keep`].
    ///
    /// # Errors
    /// `unavailable`.
    pub async fn names(
        &mut self,
        store: &dyn Store,
        lines: &[Line],
        messages: HashMap<String, (RoomId, Seq)>,
    ) -> Result<Names, Refusal> {
        if self.threads.len() > REMEMBERED_MAX {
            self.threads.clear();
        }
        let exts: Vec<String> = lines
            .iter()
            .filter_map(|line| line.thread.as_deref().map(|thread| thread_name(&line.room, thread)))
            .collect();
        let unmet = distinct(exts.iter().map(String::as_str).filter(|ext| !self.threads.contains_key(*ext)));
        self.threads.extend(ids(self.ask(store, ImportKind::Thread, &unmet).await?, RoomId::from_raw));
        let unmet: Vec<String> = unmet.into_iter().filter(|ext| !self.threads.contains_key(ext)).collect();
        let mut titled = HashMap::new();
        for (ext, (id, _)) in self.ask(store, ImportKind::Title, &unmet).await? {
            titled.insert(ext, room(store, RoomId::from_raw(id)).await?);
        }
        Ok(Names {
            rooms: std::mem::take(&mut self.rooms),
            users: std::mem::take(&mut self.users),
            threads: std::mem::take(&mut self.threads),
            titled,
            messages,
        })
    }

    /// Takes names back, with the threads that a plan begins.
    pub fn keep(&mut self, names: Names) {
        (self.rooms, self.users, self.threads) = (names.rooms, names.users, names.threads);
    }

    /// The threads and the titled rooms that go by these names.
    ///
    /// # Errors
    /// `unavailable`.
    pub async fn threads(
        &self,
        store: &dyn Store,
        exts: &[String],
    ) -> Result<(HashMap<String, RoomId>, HashMap<String, RoomId>), Refusal> {
        let threads = ids(self.ask(store, ImportKind::Thread, exts).await?, RoomId::from_raw);
        let titled = ids(self.ask(store, ImportKind::Title, exts).await?, RoomId::from_raw);
        Ok((threads, titled))
    }
}

/// The facts of a room that is noted, and so must be there.
///
/// # Errors
/// `unavailable`; `conflict` when somebody has deleted it meanwhile.
pub async fn room(store: &dyn Store, id: RoomId) -> Result<Room, Refusal> {
    let found = store.room(id).await.map_err(|error| store_refusal(&error))?;
    let gone = || {
        let message = "a thread of this archive was deleted here: import into another community";
        Refusal::new(ErrorCode::Conflict, message)
    };
    found.ok_or_else(gone)
}
