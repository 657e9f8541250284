//! What a batch of lines comes to, given what is known of the names in it. Pure.
//!
//! The first message of a thread stays in its room and grows the thread; the others go to the thread's
//! own room. So a batch falls into groups, one a room, and those of threads come after those of rooms:
//! a thread must be there before its messages are.

use std::collections::{HashMap, HashSet};

use hubbub_protocol::ids::{CommunityId, RoomId, Seq, UserId};
use hubbub_storage::facts::Room;

use super::{line::Line, names, thread_name};

/// What a message answers, as far as it is a message before it in the same room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answers {
    /// One that is stored.
    Stored(Seq),
    /// The item of this place in the same group.
    Within(usize),
}

/// A thread that grows out of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewThread {
    /// Its name in the archive, as it is noted.
    pub ext: String,
    /// Its room; the parent's seq is not known yet.
    pub room: Room,
}

/// A message on its way into a group's room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// The line.
    pub line: Line,
    /// Its author.
    pub by: UserId,
    /// What it answers.
    pub answers: Option<Answers>,
    /// Who reacted, one for each of the line's reactions.
    pub reacted: Vec<UserId>,
    /// The thread that begins with it.
    pub thread: Option<Box<NewThread>>,
}

/// What goes into one room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// The community.
    pub community: CommunityId,
    /// The room.
    pub room: RoomId,
    /// The messages, in order.
    pub items: Vec<Item>,
}

/// What is known of the names in a batch. Every room and user of the batch is in it.
#[derive(Debug, Clone, Default)]
pub struct Names {
    /// Rooms by name.
    pub rooms: HashMap<String, RoomId>,
    /// Users by name.
    pub users: HashMap<String, UserId>,
    /// Rooms of threads by their noted name.
    pub threads: HashMap<String, RoomId>,
    /// Rooms made for titles of threads that had no message yet, by their noted name.
    pub titled: HashMap<String, Room>,
    /// Where messages are, by id.
    pub messages: HashMap<String, (RoomId, Seq)>,
}

/// A batch, by room.
#[derive(Debug, Default)]
pub struct Plan {
    /// For rooms.
    pub rooms: Vec<Group>,
    /// For threads' rooms; to be stored after those.
    pub threads: Vec<Group>,
}

/// The messages of `lines` that are neither known nor repeated.
#[must_use]
pub fn fresh(lines: Vec<Line>, known: &HashMap<String, (RoomId, Seq)>) -> (Vec<Line>, u64) {
    let all = lines.len() as u64;
    let mut seen = HashSet::new();
    let new = |line: &Line| !known.contains_key(&line.id) && seen.insert(line.id.clone());
    let fresh: Vec<Line> = lines.into_iter().filter(new).collect();
    let skipped = all - fresh.len() as u64;
    (fresh, skipped)
}

/// Sorts fresh lines into groups. `new_room` makes the facts of a thread's room, given its parent's
/// room and its title.
#[must_use]
pub fn plan(
    community: CommunityId,
    lines: Vec<Line>,
    names: &mut Names,
    nobody: UserId,
    mut new_room: impl FnMut(RoomId, String) -> Room,
) -> Plan {
    let mut groups = Groups { community, groups: Vec::new(), places: HashMap::new() };
    let mut placed: HashMap<String, (RoomId, usize)> = HashMap::new();
    for line in lines {
        let (Some(&home), Some(&by)) = (names.rooms.get(&line.room), names.users.get(&line.user)) else {
            unreachable!("the names of a batch are looked up or made before it is planned");
        };
        let ext = line.thread.as_deref().map(|thread| thread_name(&line.room, thread));
        let met = ext.as_ref().and_then(|ext| names.threads.get(ext).copied());
        let thread = match ext {
            Some(ext) if met.is_none() => {
                let titled = names.titled.remove(&ext);
                let room = titled.unwrap_or_else(|| new_room(home, names::title_of(&line.text)));
                names.threads.insert(ext.clone(), room.id);
                Some(Box::new(NewThread { ext, room }))
            }
            _ => None,
        };
        let room = met.unwrap_or(home);
        let answers = line.reply_to.as_ref().and_then(|target| {
            let stored = names.messages.get(target).filter(|(at, _)| *at == room);
            let within = || placed.get(target).filter(|(at, _)| *at == room);
            stored
                .map(|(_, seq)| Answers::Stored(*seq))
                .or_else(|| within().map(|(_, place)| Answers::Within(*place)))
        });
        let who = |reaction: &super::line::Reaction| {
            reaction.user.as_ref().and_then(|user| names.users.get(user)).copied().unwrap_or(nobody)
        };
        let reacted = line.reactions.iter().map(who).collect();
        let id = line.id.clone();
        let place = groups.put(room, met.is_some(), Item { line, by, answers, reacted, thread });
        placed.insert(id, (room, place));
    }
    groups.done()
}

#[derive(Debug)]
struct Groups {
    community: CommunityId,
    groups: Vec<(bool, Group)>,
    places: HashMap<RoomId, usize>,
}

impl Groups {
    fn put(&mut self, room: RoomId, thread: bool, item: Item) -> usize {
        let at = *self.places.entry(room).or_insert_with(|| {
            self.groups.push((thread, Group { community: self.community, room, items: Vec::new() }));
            self.groups.len() - 1
        });
        let items = &mut self.groups[at].1.items;
        items.push(item);
        items.len() - 1
    }

    fn done(self) -> Plan {
        let (threads, rooms): (Vec<_>, Vec<_>) = self.groups.into_iter().partition(|(thread, _)| *thread);
        let only = |groups: Vec<(bool, Group)>| groups.into_iter().map(|(_, group)| group).collect();
        Plan { rooms: only(rooms), threads: only(threads) }
    }
}
