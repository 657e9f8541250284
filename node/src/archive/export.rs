//! Writes a community as an archive: every message of its rooms and threads, by time and id; before them
//! the titles with which threads began, after them the titles that threads were given later.
//!
//! Logs are read room by room and sorted on the way out ([`super::sort`]), so memory stays the same
//! however large the community is, and however its rooms were imported.
//!
//! # Invariants
//!
//! * A message that was imported and left alone is written as the line it came from, to the byte.
//! * A message changed here since is written as it stands: its text now, `edited`, `deleted`.
//! * Private rooms and conversations are left out unless asked for: an archive has no place for who
//!   may read it.

use std::{
    collections::{HashMap, HashSet},
    path::PathBuf,
    sync::Arc,
};

use bytes::Bytes;
use hubbub_protocol::{
    emoji::Emoji,
    error::{ErrorCode, Refusal},
    event::{Event, EventBody},
    ids::{CommunityId, RoomId, Seq, UserId},
    message::MessageState,
    room::RoomKind,
};
use hubbub_storage::{Store, effect::ImportKind, facts::Room, log::Window};
use tokio::sync::mpsc;

use super::{
    line::{Entry, Line, REACTIONS_MAX, Reaction, Title},
    names,
    reactions::{self, Of},
    sort::{RUN_BYTES_MAX, Sorter},
    written,
};
use crate::http::error::store_refusal;

/// Messages read at once.
const PAGE: usize = 500;
/// Names of users remembered, some 100 bytes each; beyond, all are asked for anew.
const REMEMBERED_MAX: usize = 100_000;
/// Bytes handed on at once.
const CHUNK_BYTES: usize = 64 * 1024;
/// Chunks that may wait for a slow reader.
pub const CHUNKS_AHEAD: usize = 16;

/// An export of one community.
#[derive(Debug)]
pub struct Exporter {
    store: Arc<dyn Store>,
    community: CommunityId,
    rooms: HashMap<RoomId, Room>,
    threads: HashMap<RoomId, String>,
    users: HashMap<UserId, String>,
}

fn read<T>(result: Result<T, hubbub_storage::StoreError>) -> Result<T, Refusal> {
    result.map_err(|error| store_refusal(&error))
}

fn disk(error: &std::io::Error) -> Refusal {
    Refusal::new(ErrorCode::Unavailable, format!("cannot sort the archive: {error}: make room on the disk"))
}

impl Exporter {
    /// Begins the export of a community; with `private`, of its private rooms too.
    ///
    /// # Errors
    /// `unavailable`.
    pub async fn begin(store: Arc<dyn Store>, community: CommunityId, private: bool) -> Result<Self, Refusal> {
        let listed = read(store.rooms_of(community, true).await)?;
        let hidden: HashSet<RoomId> =
            listed.iter().filter(|room| room.private && !private).map(|room| room.id).collect();
        let shown = |room: &Room| {
            let above = room.parent.map_or(room.id, |parent| parent.room);
            room.kind != RoomKind::Community && !hidden.contains(&above)
        };
        let rooms: HashMap<RoomId, Room> = listed.into_iter().filter(shown).map(|room| (room.id, room)).collect();
        let raw: Vec<u64> = rooms.values().filter(|room| room.parent.is_some()).map(|room| room.id.raw()).collect();
        let mut threads = HashMap::new();
        for kind in [ImportKind::Title, ImportKind::Thread] {
            for (id, ext) in read(store.imported_names(community, kind, &raw).await)? {
                let thread = ext.split_once('\n').map_or("", |(_, thread)| thread);
                threads.insert(RoomId::from_raw(id), thread.to_owned());
            }
        }
        Ok(Self { store, community, rooms, threads, users: HashMap::new() })
    }

    /// Writes the archive to `out`, ending early when nobody reads it.
    ///
    /// # Errors
    /// `unavailable`: the store cannot be read, or `folder` not be written.
    pub async fn run(mut self, folder: PathBuf, out: mpsc::Sender<Bytes>) -> Result<(), Refusal> {
        let mut sorter = Sorter::new(folder, RUN_BYTES_MAX);
        let mut ids: Vec<RoomId> = self.rooms.keys().copied().collect();
        ids.sort_unstable();
        for room in ids {
            self.read_room(room, &mut sorter).await?;
            if out.is_closed() {
                return Ok(());
            }
        }
        let titles = self.titles().await?;
        tokio::task::spawn_blocking(move || write(sorter, &titles, &out))
            .await
            .map_err(|_| Refusal::new(ErrorCode::Internal, "something broke here"))?
            .map_err(|error| disk(&error))
    }

    async fn read_room(&mut self, room: RoomId, sorter: &mut Sorter) -> Result<(), Refusal> {
        let mut after = Seq(0);
        loop {
            let page = read(self.store.messages(room, Window::After(after), PAGE).await)?;
            self.meet(&page.messages).await?;
            for message in &page.messages {
                let line = self.line(message).await?;
                let key = [line.ts.as_bytes(), b"\0", line.id.as_bytes()].concat();
                let mut text = Vec::with_capacity(line.text.len() + 128);
                Entry::Message(Box::new(line)).write(&mut text);
                // Short of a full run this only keeps the line; a full one is written in a tenth of a
                // second, now and then.
                sorter.put(key, text).map_err(|error| disk(&error))?;
            }
            match page.messages.last() {
                Some(last) if page.more_after => after = last.seq,
                _ => return Ok(()),
            }
        }
    }

    /// Learns the names of all who have to do with these messages.
    async fn meet(&mut self, messages: &[MessageState]) -> Result<(), Refusal> {
        if self.users.len() > REMEMBERED_MAX {
            self.users.clear();
        }
        let reacted = messages.iter().flat_map(|message| &message.reactions).flat_map(|reacted| &reacted.users);
        let all = messages.iter().map(|message| &message.by).chain(reacted);
        let unmet: HashSet<UserId> = all.filter(|user| !self.users.contains_key(user)).copied().collect();
        if unmet.is_empty() {
            return Ok(());
        }
        let raw: Vec<u64> = unmet.iter().map(|user| user.raw()).collect();
        let imported = read(self.store.imported_names(self.community, ImportKind::User, &raw).await)?;
        let of_here: Vec<UserId> =
            unmet.iter().filter(|user| !imported.contains_key(&user.raw())).copied().collect();
        self.users.extend(imported.into_iter().map(|(id, name)| (UserId::from_raw(id), name)));
        let users = read(self.store.users(&of_here).await)?;
        self.users.extend(users.into_iter().map(|user| (user.id, user.name)));
        Ok(())
    }

    fn user(&self, id: UserId) -> String {
        // An account that is gone keeps its id as a name, so that its messages stay together.
        self.users.get(&id).cloned().unwrap_or_else(|| id.to_string())
    }

    fn thread(&self, room: RoomId) -> String {
        self.threads.get(&room).cloned().unwrap_or_else(|| written::thread(room))
    }

    async fn line(&self, message: &MessageState) -> Result<Line, Refusal> {
        let imported = message.imported.clone().unwrap_or_default();
        let facts = self.rooms.get(&message.room);
        let home = facts.and_then(|room| room.parent).map(|parent| parent.room);
        let room = home.and_then(|home| self.rooms.get(&home)).or(facts);
        let here = message.imported.is_none();
        let thread = imported.thread.or_else(|| match (home, &message.thread) {
            (Some(_), _) => Some(self.thread(message.room)),
            (None, Some((thread, _))) => Some(self.thread(*thread)),
            (None, None) => None,
        });
        let reply_to = match (imported.reply_to, message.reply_to) {
            (None, Some(target)) => Some(self.id_of(message.room, target).await?),
            (known, _) => known,
        };
        Ok(Line {
            id: if here { written::message(message.room, message.seq) } else { imported.id },
            room: room.map(|room| room.name.clone()).unwrap_or_default(),
            user: imported.user.unwrap_or_else(|| self.user(message.by)),
            ts: if here { message.ts.to_string() } else { imported.ts },
            text: message.text.clone(),
            reply_to,
            thread,
            reactions: self.reactions(message).await?,
            kind: if message.deleted { Some("deleted".to_owned()) } else { imported.kind },
            bot: imported.bot,
            edited: imported.edited || message.edited_at.is_some(),
        })
    }

    async fn id_of(&self, room: RoomId, seq: Seq) -> Result<String, Refusal> {
        let target = read(self.store.message(room, seq).await)?;
        let imported = target.and_then(|target| target.imported);
        Ok(imported.map_or_else(|| written::message(room, seq), |imported| imported.id))
    }

    /// Reactions as they stand.
    async fn reactions(&self, message: &MessageState) -> Result<Vec<Reaction>, Refusal> {
        if message.reactions.is_empty() {
            return Ok(Vec::new());
        }
        let first = if message.imported.is_some() { self.first_reactions(message).await? } else { Vec::new() };
        let reaction = |(emoji, of): (Emoji, Of)| {
            let (user, count) = match of {
                Of::User(user) => (Some(self.user(user)), None),
                Of::Unnamed(count) => (None, Some(count)),
            };
            Reaction { emoji: emoji.to_archive().to_owned(), user, count }
        };
        Ok(reactions::in_order(first, &message.reactions).into_iter().map(reaction).collect())
    }

    /// The reactions that came with an imported message: the events right after it.
    async fn first_reactions(&self, message: &MessageState) -> Result<Vec<(Emoji, Of)>, Refusal> {
        let known: usize = message.reactions.iter().map(|reacted| reacted.users.len() + 1).sum();
        // Twice what stands leaves room for what was taken back since; what lies beyond is written
        // with the later ones.
        let limit = (2 * known).min(REACTIONS_MAX);
        let events = read(self.store.events(message.room, message.seq, limit).await)?;
        let mut first = Vec::new();
        for stored in events {
            let event = Event::decode(&stored.push)
                .map_err(|_| Refusal::new(ErrorCode::Internal, "stored data cannot be read"))?;
            match event.body {
                EventBody::ReactionAdded { target, emoji, count } if target == message.seq => {
                    first.push((emoji, count.map_or(Of::User(event.by), Of::Unnamed)));
                }
                _ => break,
            }
        }
        Ok(first)
    }

    /// The titles that were given, by thread: those an archive gave, and those chosen here.
    async fn titles(&self) -> Result<Titles, Refusal> {
        let threads = self.rooms.values().filter(|room| room.parent.is_some());
        let raw: Vec<u64> = threads.clone().map(|room| room.id.raw()).collect();
        let given = read(self.store.imported_names(self.community, ImportKind::Title, &raw).await)?;
        let mut titles = Titles::default();
        for room in threads {
            let Some(parent) = room.parent else { continue };
            let first = read(self.store.message(parent.room, parent.seq).await)?;
            let chosen = given.contains_key(&room.id.raw())
                || first.as_ref().is_none_or(|first| !first.deleted && names::title_of(&first.text) != room.name);
            let Some(home) = self.rooms.get(&parent.room).filter(|_| chosen) else { continue };
            let begun_as = first.and_then(|first| first.thread).map(|(_, title)| title);
            let place = match begun_as {
                Some(begun_as) if begun_as != room.name => &mut titles.after,
                _ => &mut titles.before,
            };
            place.push(Title { thread: self.thread(room.id), room: home.name.clone(), title: room.name.clone() });
        }
        for place in [&mut titles.before, &mut titles.after] {
            place.sort_by(|one, other| (&one.thread, &one.room).cmp(&(&other.thread, &other.room)));
        }
        Ok(titles)
    }
}

/// Titles, by whether their threads began with them or were renamed to them: so an import makes the same
/// logs again.
#[derive(Debug, Default)]
struct Titles {
    before: Vec<Title>,
    after: Vec<Title>,
}

/// Writes all lines in order between the titles; ends early when nobody reads them.
fn write(sorter: Sorter, titles: &Titles, out: &mpsc::Sender<Bytes>) -> std::io::Result<()> {
    let mut chunk = Vec::with_capacity(CHUNK_BYTES);
    for title in &titles.before {
        Entry::Title(title.clone()).write(&mut chunk);
    }
    for line in sorter.sorted()? {
        chunk.extend_from_slice(&line?);
        if chunk.len() >= CHUNK_BYTES && out.blocking_send(std::mem::take(&mut chunk).into()).is_err() {
            return Ok(());
        }
    }
    for title in &titles.after {
        Entry::Title(title.clone()).write(&mut chunk);
    }
    if !chunk.is_empty() {
        // Nobody reads it any more; there is nobody to tell.
        let _ = out.blocking_send(chunk.into());
    }
    Ok(())
}
