//! Takes an archive in: look names up, make what is missing, plan, commit, report; a batch at a time.
//!
//! # Order of effects
//!
//! Of a batch: accounts and rooms → messages in rooms, each with its note, and the threads they begin →
//! messages in threads → titles. Each arrow is a commit that was waited for, so whatever is noted as
//! stored has all that it needs; and an import that is begun anew finds what was noted.
//!
//! # Failure
//!
//! A refusal ends the import; what was committed stays. Importing the same archive again goes on where
//! it ended, and leaves the same logs as an import that never failed.

use std::{collections::HashMap, sync::Arc, time::Duration};

use futures_util::{StreamExt, TryStreamExt, stream};
use hubbub_actors::{Hub, peers::Fact, room::Archived};
use hubbub_protocol::{
    error::{ErrorCode, Refusal},
    event::EventBody,
    ids::{CommunityId, RoomId, Seq, UserId},
    permissions::Permissions,
    room::{Parent, RoomKind},
    time::Timestamp,
};
use hubbub_storage::{
    Effect,
    effect::ImportKind,
    facts::{self, Community},
};
use tokio::sync::mpsc;

use super::{
    community, group,
    known::{self, Known, Unknown},
    line::{Entry, Line, Title},
    names,
    plan::{self, Group},
    progress::Progress,
    source::{Batch, SourceError},
    thread_name,
};
use crate::http::error::store_refusal;

/// Rooms whose parts of a batch are on their way at once; the appender takes 2,048.
const ROOMS_AT_ONCE: usize = 256;
/// Pause before a room that was busy is asked again.
const BUSY_PAUSE: Duration = Duration::from_millis(20);
/// How often a busy room is asked: a minute of a node at its limits.
const BUSY_TRIES_MAX: u32 = 3_000;

/// An import into one community.
#[derive(Debug)]
pub struct Importer {
    hub: Hub,
    community: Community,
    known: Known,
    progress: Progress,
}

impl Importer {
    /// Begins an import into the community of that name, which is made when there is none.
    ///
    /// # Errors
    /// `bad_request` for a name no community may have, `unavailable`.
    pub async fn begin(hub: Hub, community: &str) -> Result<Self, Refusal> {
        let community = community::find_or_make(&hub, community).await?;
        let known = Known::of(&**hub.store(), community.id).await?;
        Ok(Self { hub, community, known, progress: Progress::default() })
    }

    /// The community.
    #[must_use]
    pub const fn community(&self) -> CommunityId {
        self.community.id
    }

    /// The rooms and accounts that go by these names, in their order; made where there are none.
    ///
    /// # Errors
    /// `unavailable`.
    pub async fn names(
        &mut self,
        rooms: &[String],
        users: &[String],
    ) -> Result<(Vec<RoomId>, Vec<UserId>), Refusal> {
        let store = self.hub.store().clone();
        let once = |names: &[String]| known::distinct(names.iter().map(String::as_str));
        let unknown = self.known.look_up_names(&*store, once(rooms), once(users)).await?;
        if unknown != Unknown::default() {
            self.make(unknown).await?;
        }
        let room = |name: &String| self.known.room(name).ok_or_else(|| Refusal::not_found("room"));
        let user = |name: &String| self.known.user(name).ok_or_else(|| Refusal::not_found("user"));
        Ok((rooms.iter().map(room).collect::<Result<_, _>>()?, users.iter().map(user).collect::<Result<_, _>>()?))
    }

    /// Takes all batches in; `report` is called after each.
    ///
    /// # Errors
    /// `bad_request` with the line for one that cannot be read, `busy`, `unavailable`.
    pub async fn run(
        mut self,
        mut batches: mpsc::Receiver<Result<Batch, SourceError>>,
        mut report: impl FnMut(Progress),
    ) -> Result<Progress, Refusal> {
        while let Some(batch) = batches.recv().await {
            let batch = batch.map_err(|error| Refusal::new(ErrorCode::BadRequest, error.to_string()))?;
            self.take_in(batch).await?;
            report(self.progress);
        }
        Ok(self.progress)
    }

    async fn take_in(&mut self, batch: Batch) -> Result<(), Refusal> {
        self.progress.bytes = batch.bytes;
        self.progress.lines += batch.entries.len() as u64;
        let (mut lines, mut titles) = (Vec::new(), Vec::new());
        for (_, entry) in batch.entries {
            match entry {
                Entry::Message(line) => {
                    // A title before a message is one its thread may begin with; one after it is not.
                    if !titles.is_empty() {
                        self.take_in_run(std::mem::take(&mut lines), std::mem::take(&mut titles)).await?;
                    }
                    lines.push(*line);
                }
                Entry::Title(title) => titles.push(title),
            }
        }
        self.take_in_run(lines, titles).await
    }

    /// Takes in messages and the titles that come after them.
    async fn take_in_run(&mut self, lines: Vec<Line>, titles: Vec<Title>) -> Result<(), Refusal> {
        let store = self.hub.store().clone();
        let messages = self.known.messages(&*store, &lines).await?;
        let (lines, skipped) = plan::fresh(lines, &messages);
        self.progress.skipped += skipped;
        self.make_names(&lines, &titles).await?;
        if !lines.is_empty() {
            self.store_messages(lines, messages).await?;
        }
        if !titles.is_empty() {
            self.set_titles(titles).await?;
        }
        Ok(())
    }

    async fn make_names(&mut self, lines: &[Line], titles: &[Title]) -> Result<(), Refusal> {
        let store = self.hub.store().clone();
        let unknown = self.known.look_up(&*store, lines, titles).await?;
        if unknown != Unknown::default() {
            self.make(unknown).await?;
        }
        Ok(())
    }

    /// Makes rooms and accounts: in the community's log and as facts, in one commit.
    async fn make(&mut self, unknown: Unknown) -> Result<(), Refusal> {
        let (hub, community, now) = (self.hub.clone(), self.community.clone(), self.hub.now());
        let (mut made, mut effects) = (Vec::new(), Vec::new());
        let (mut rooms, mut users) = (Vec::new(), Vec::new());
        for name in unknown.rooms {
            let room = fresh_room(&hub, &community, RoomKind::Text, name.clone(), None);
            made.push((
                community.owner,
                EventBody::RoomCreated { room: room.id, name: name.clone(), kind: room.kind },
            ));
            rooms.push((name, room.id));
            effects.push(Effect::PutRoom(Box::new(room)));
        }
        for name in unknown.users {
            let user = UserId::from_raw(hub.next_id());
            made.push((user, EventBody::MemberJoined { user }));
            effects.extend(account(&community, user, &name, now));
            users.push((name, user));
        }
        let all = Arc::new((made, effects));
        let build = move |_: Seq| {
            let event =
                |(by, body): &(UserId, EventBody)| Archived { by: *by, ts: now, key: None, body: body.clone() };
            (all.0.iter().map(event).collect(), all.1.clone())
        };
        archive(&hub, community.id.log(), build).await?;
        let made = rooms.iter().map(|(_, room)| *room).chain([community.id.log()]);
        hub.changed(made.map(|room| Fact::Room { room, community: Some(community.id) }).collect()).await;
        self.progress.rooms += rooms.len() as u64;
        self.progress.users += users.len() as u64;
        self.known.learn(rooms, users);
        Ok(())
    }

    async fn store_messages(
        &mut self,
        lines: Vec<Line>,
        messages: HashMap<String, (RoomId, Seq)>,
    ) -> Result<(), Refusal> {
        let (hub, community) = (self.hub.clone(), self.community.clone());
        let count = lines.len() as u64;
        let mut names = self.known.names(&**hub.store(), &lines, messages).await?;
        let new_thread =
            |room, title| fresh_room(&hub, &community, RoomKind::Thread, title, Some(Parent { room, seq: Seq(0) }));
        let plan = plan::plan(community.id, lines, &mut names, community.owner, new_thread);
        self.known.keep(names);
        self.progress.threads += store_groups(&hub, plan.rooms).await?;
        store_groups(&hub, plan.threads).await?;
        self.progress.messages += count;
        Ok(())
    }

    /// Sets titles: of threads that are there, and of threads that are yet to come.
    async fn set_titles(&mut self, titles: Vec<Title>) -> Result<(), Refusal> {
        let (hub, community) = (self.hub.clone(), self.community.clone());
        // Of two titles for one thread in a batch the later one stands.
        let titles: HashMap<String, Title> =
            titles.into_iter().map(|title| (thread_name(&title.room, &title.thread), title)).collect();
        let exts: Vec<String> = titles.keys().cloned().collect();
        let (threads, titled) = self.known.threads(&**hub.store(), &exts).await?;
        let known = &self.known;
        let set = titles.into_iter().map(|(ext, title)| {
            let there = threads.get(&ext).or_else(|| titled.get(&ext)).copied();
            let noted = titled.contains_key(&ext);
            let begun = threads.contains_key(&ext);
            let home = known.room(&title.room);
            let (hub, community) = (hub.clone(), community.clone());
            async move {
                let (mut room, fresh) = match (there, home) {
                    (Some(there), _) => (known::room(&**hub.store(), there).await?, false),
                    (None, Some(room)) => {
                        let parent = Some(Parent { room, seq: Seq(0) });
                        (fresh_room(&hub, &community, RoomKind::Thread, title.title.clone(), parent), true)
                    }
                    (None, None) => return Err(Refusal::not_found("room")),
                };
                if room.name == title.title && noted && !fresh {
                    return Ok(0);
                }
                let renamed = room.name != title.title;
                room.name.clone_from(&title.title);
                let note = Effect::PutImported {
                    community: community.id,
                    kind: ImportKind::Title,
                    ext,
                    id: room.id.raw(),
                    seq: Seq(0),
                };
                let effects = vec![Effect::PutRoom(Box::new(room.clone())), note];
                if begun && renamed {
                    rename(&hub, &community, &room, effects).await?;
                } else {
                    hub.store().apply(&effects).await.map_err(|error| store_refusal(&error))?;
                }
                hub.rooms().settings_changed(&room).await;
                Ok(1)
            }
        });
        let counts: Vec<u64> = stream::iter(set).buffer_unordered(ROOMS_AT_ONCE).try_collect().await?;
        self.progress.titles += counts.iter().sum::<u64>();
        Ok(())
    }
}

/// Tells a thread that it has another title, and notes that it was given one.
async fn rename(hub: &Hub, community: &Community, room: &facts::Room, effects: Vec<Effect>) -> Result<(), Refusal> {
    let changed = serde_json::Map::from_iter([("name".to_owned(), room.name.clone().into())]);
    // The time of the newest message stands: one of now would be in the way of older ones to come.
    let event = Archived {
        by: community.owner,
        ts: Timestamp::default(),
        key: None,
        body: EventBody::RoomUpdated { changed },
    };
    let all = Arc::new((event, effects));
    archive(hub, room.id, move |_| (vec![all.0.clone()], all.1.clone())).await.map(drop)
}

/// Stores groups side by side; returns how many threads they began.
async fn store_groups(hub: &Hub, groups: Vec<Group>) -> Result<u64, Refusal> {
    let stored = groups.into_iter().map(|group| async move {
        let threads = group.items.iter().filter(|item| item.thread.is_some()).count() as u64;
        let group = Arc::new(group);
        let room = group.room;
        archive(hub, room, move |first| group::build(&group, first)).await?;
        Ok::<_, Refusal>(threads)
    });
    let counts: Vec<u64> = stream::iter(stored).buffer_unordered(ROOMS_AT_ONCE).try_collect().await?;
    Ok(counts.iter().sum())
}

/// Stores events of a room, waiting when it is busy.
async fn archive<B>(hub: &Hub, room: RoomId, build: B) -> Result<Seq, Refusal>
where
    B: Fn(Seq) -> (Vec<Archived>, Vec<Effect>) + Clone + Send + 'static,
{
    let mut tries = 0;
    loop {
        let stored = hub.rooms().archive(room, build.clone()).await;
        match stored {
            Err(refusal) if refusal.code == ErrorCode::Busy && tries < BUSY_TRIES_MAX => {
                tries += 1;
                tokio::time::sleep(BUSY_PAUSE).await;
            }
            done => return done,
        }
    }
}

fn fresh_room(
    hub: &Hub,
    community: &Community,
    kind: RoomKind,
    name: String,
    parent: Option<Parent>,
) -> facts::Room {
    facts::Room {
        id: RoomId::from_raw(hub.next_id()),
        community: Some(community.id),
        kind,
        name,
        topic: String::new(),
        private: false,
        parent,
        category: None,
        position: 0,
        slow_mode_s: 0,
        archived: false,
        created_at: hub.now(),
    }
}

/// The account of an archive's author: nobody can sign in to it.
fn account(community: &Community, id: UserId, name: &str, now: Timestamp) -> [Effect; 3] {
    let user = facts::User {
        id,
        name: names::account_name(name, id),
        display: name.to_owned(),
        email: None,
        avatar: None,
        owner: false,
        disabled: false,
        imported: true,
        created_at: now,
    };
    let member =
        facts::Member { community: community.id, user: id, extra_permissions: Permissions::NONE, joined_at: now };
    let note = Effect::PutImported {
        community: community.id,
        kind: ImportKind::User,
        ext: name.to_owned(),
        id: id.raw(),
        seq: Seq(0),
    };
    [Effect::PutUser(Box::new(user)), Effect::PutMember(member), note]
}
