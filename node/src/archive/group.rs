//! The events of one room's part of a batch, once the seq of the first is known. Pure.
//!
//! # Invariants
//!
//! * A message is followed by its reactions in the archive's order, then by the thread that grows out
//!   of it, and nothing else comes between: so an export can tell them from later ones.
//! * With each message goes the note that it is stored, and with each thread its room.

use hubbub_actors::room::Archived;
use hubbub_protocol::{
    emoji::Emoji,
    event::{Created, EventBody, Imported},
    ids::Seq,
    room::Parent,
    time::Timestamp,
};
use hubbub_storage::{Effect, effect::ImportKind};

use super::{
    names,
    plan::{Answers, Group, Item},
};

/// Makes the events of a group, and the facts that go with them.
#[must_use]
pub fn build(group: &Group, first: Seq) -> (Vec<Archived>, Vec<Effect>) {
    let mut events: Vec<Archived> = Vec::with_capacity(group.items.len());
    let mut effects = Vec::with_capacity(group.items.len());
    let mut seqs: Vec<Seq> = Vec::with_capacity(group.items.len());
    for item in &group.items {
        let seq = Seq(first.0 + events.len() as u64);
        let reply_to = item.answers.map(|answers| match answers {
            Answers::Stored(seq) => seq,
            Answers::Within(place) => seqs[place],
        });
        seqs.push(seq);
        let ts = Timestamp::parse(&item.line.ts).unwrap_or_default();
        events.push(Archived {
            by: item.by,
            ts,
            key: Some(names::key(group.community, &item.line.id)),
            body: EventBody::MessageCreated(Box::new(created(item, reply_to))),
        });
        effects.push(Effect::PutImported {
            community: group.community,
            kind: ImportKind::Message,
            ext: item.line.id.clone(),
            id: group.room.raw(),
            seq,
        });
        for (reaction, by) in item.line.reactions.iter().zip(&item.reacted) {
            let emoji = Emoji::from_archive(&reaction.emoji);
            let body = EventBody::ReactionAdded { target: seq, emoji, count: reaction.count };
            events.push(Archived { by: *by, ts, key: None, body });
        }
        if let Some(thread) = &item.thread {
            let mut room = thread.room.clone();
            room.parent = Some(Parent { room: group.room, seq });
            let body = EventBody::ThreadCreated { target: seq, room: room.id, title: room.name.clone() };
            events.push(Archived { by: item.by, ts, key: None, body });
            effects.push(Effect::PutImported {
                community: group.community,
                kind: ImportKind::Thread,
                ext: thread.ext.clone(),
                id: room.id.raw(),
                seq: Seq(0),
            });
            effects.push(Effect::PutRoom(Box::new(room)));
        }
    }
    (events, effects)
}

fn created(item: &Item, reply_to: Option<Seq>) -> Created {
    let line = &item.line;
    let imported = Imported {
        id: line.id.clone(),
        ts: line.ts.clone(),
        user: None,
        reply_to: line.reply_to.clone(),
        thread: line.thread.clone(),
        kind: line.kind.clone(),
        bot: line.bot,
        edited: line.edited,
    };
    Created { text: line.text.clone(), reply_to, imported: Some(imported), ..Created::default() }
}
