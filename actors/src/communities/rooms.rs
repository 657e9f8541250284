//! Rooms of a community.
//!
//! # Invariants
//!
//! * Nobody is told anything of a private room but those who may see it; who loses sight of one by its
//!   turning private is told so, and no more.
//! * A room that turns private has one member of its own, who turned it; members it had when it was
//!   private before are none any more.

use std::sync::Arc;

use hubbub_protocol::{
    error::{ErrorCode, Refusal},
    event::EventBody,
    ids::{CommunityId, RoomId, UserId},
    limits::{NAME_CHARS_MAX, TOPIC_CHARS_MAX},
    permissions::Permissions,
    push::Push,
    rest,
    room::{Room, RoomKind},
    text::{line, optional_line},
};
use hubbub_storage::{Effect, facts};
use serde_json::{Map, Value};

use super::Communities;
use crate::{caller::Caller, context::Context, peers::Fact};

/// Longest pause of slow mode: six hours.
const SLOW_MODE_S_MAX: u32 = 21_600;
/// Members read at once when a room turns private.
const OWN_MEMBERS_PAGE: usize = 1_000;

/// The facts of a new room.
pub(super) fn fresh(context: &Context, community: CommunityId, name: String, kind: RoomKind) -> facts::Room {
    facts::Room {
        id: RoomId::from_raw(context.next_id()),
        community: Some(community),
        kind,
        name,
        topic: String::new(),
        private: false,
        parent: None,
        category: None,
        position: 0,
        slow_mode_s: 0,
        archived: false,
        created_at: context.now(),
    }
}

impl Communities {
    /// A room as REST answers it.
    async fn shown_room(&self, room: &facts::Room) -> Result<Room, Refusal> {
        let head = self.rooms.head(room.id).await?;
        Ok(Room {
            id: room.id,
            community: room.community,
            kind: room.kind,
            name: room.name.clone(),
            topic: room.topic.clone(),
            private: room.private,
            parent: room.parent,
            category: room.category.clone(),
            position: room.position,
            slow_mode_s: room.slow_mode_s,
            archived: room.archived,
            head,
            created_at: room.created_at,
        })
    }

    /// The rooms of a community that the caller may see, threads aside.
    ///
    /// # Errors
    /// `not_found`, `unavailable`.
    pub async fn rooms(&self, caller: Caller, id: CommunityId) -> Result<Vec<Room>, Refusal> {
        self.rights(caller, id).await?;
        let mut shown = Vec::new();
        for room in
            self.context.directory.rooms_of(id).await?.iter().filter(|room| room.kind != RoomKind::Community)
        {
            if self.context.directory.access(caller.user, room.id).await.is_ok() {
                shown.push(self.shown_room(room).await?);
            }
        }
        Ok(shown)
    }

    /// Makes a room.
    ///
    /// # Errors
    /// `bad_request`, `forbidden`, `not_found`, `unavailable`.
    pub async fn create_room(
        &self,
        caller: Caller,
        id: CommunityId,
        wanted: rest::CreateRoom,
    ) -> Result<Room, Refusal> {
        self.need(caller, id, Permissions::MANAGE_ROOM, "make rooms").await?;
        let kind = wanted.kind.unwrap_or(RoomKind::Text);
        if !matches!(kind, RoomKind::Text | RoomKind::Announcement | RoomKind::Forum) {
            return Err(Refusal::field("kind", "`kind` is `text`, `announcement` or `forum`"));
        }
        let mut room = fresh(&self.context, id, line("name", wanted.name, NAME_CHARS_MAX)?, kind);
        room.topic = optional_line("topic", wanted.topic, TOPIC_CHARS_MAX)?;
        room.private = wanted.private;
        room.category = wanted.category.map(|text| line("category", text, NAME_CHARS_MAX)).transpose()?;
        room.position =
            self.context.directory.rooms_of(id).await?.iter().map(|room| room.position + 1).max().unwrap_or(0);
        let made = EventBody::RoomCreated { room: room.id, name: room.name.clone(), kind };
        self.rooms.record(id.log(), caller.user, made, vec![Effect::PutRoom(Box::new(room.clone()))]).await?;
        self.context.changed(vec![Fact::Room { room: room.id, community: Some(id) }]).await;
        if room.private {
            self.put_room_member(caller.user, &room, caller.user).await?;
        } else {
            self.tell_members(id, Map::from_iter([("room".to_owned(), room.id.to_string().into())])).await;
        }
        self.shown_room(&room).await
    }

    pub(super) async fn room_facts(
        &self,
        caller: Caller,
        room: RoomId,
    ) -> Result<(Arc<facts::Room>, Permissions), Refusal> {
        let access = self.context.directory.access(caller.user, room).await?;
        if access.room.kind == RoomKind::Community {
            return Err(Refusal::not_found("room"));
        }
        Ok((access.room, access.permissions))
    }

    /// A room.
    ///
    /// # Errors
    /// `not_found`, `not_member`, `unavailable`.
    pub async fn room(&self, caller: Caller, room: RoomId) -> Result<Room, Refusal> {
        let (facts, _) = self.room_facts(caller, room).await?;
        self.shown_room(&facts).await
    }

    /// Changes a room's settings.
    ///
    /// # Errors
    /// `bad_request`, `forbidden`, `not_found`, `unavailable`.
    pub async fn update_room(
        &self,
        caller: Caller,
        room: RoomId,
        change: rest::UpdateRoom,
    ) -> Result<Room, Refusal> {
        let (before, rights) = self.room_facts(caller, room).await?;
        let right =
            if before.kind == RoomKind::Thread { Permissions::MANAGE_THREADS } else { Permissions::MANAGE_ROOM };
        if !rights.has(right) {
            return Err(Refusal::forbidden("change this room"));
        }
        let mut after = (*before).clone();
        let mut changed = Map::new();
        if let Some(name) = change.name {
            after.name = line("name", name, NAME_CHARS_MAX)?;
            changed.insert("name".into(), after.name.clone().into());
        }
        if let Some(topic) = change.topic {
            after.topic = optional_line("topic", topic, TOPIC_CHARS_MAX)?;
            changed.insert("topic".into(), after.topic.clone().into());
        }
        if let Some(category) = change.category {
            let category = optional_line("category", category, NAME_CHARS_MAX)?;
            after.category = (!category.is_empty()).then_some(category);
            changed.insert("category".into(), after.category.clone().into());
        }
        if let Some(position) = change.position {
            if !(0..=100_000).contains(&position) {
                return Err(Refusal::field("position", "`position` must be from 0 to 100000"));
            }
            after.position = position;
            changed.insert("position".into(), position.into());
        }
        if let Some(slow_mode_s) = change.slow_mode_s {
            if slow_mode_s > SLOW_MODE_S_MAX {
                let message = format!("`slow_mode_s` must be from 0 to {SLOW_MODE_S_MAX}");
                return Err(Refusal::field("slow_mode_s", message));
            }
            after.slow_mode_s = slow_mode_s;
            changed.insert("slow_mode_s".into(), slow_mode_s.into());
        }
        if let Some(archived) = change.archived {
            after.archived = archived;
            changed.insert("archived".into(), archived.into());
        }
        if let Some(private) = change.private {
            if after.community.is_none() || after.parent.is_some() {
                return Err(Refusal::field("private", "only rooms of a community can be made private"));
            }
            after.private = private;
            changed.insert("private".into(), private.into());
        }
        if changed.is_empty() {
            return self.shown_room(&before).await;
        }
        let turns_private = after.private && !before.private;
        let mut effects = vec![Effect::PutRoom(Box::new(after.clone()))];
        let (mut old_members, mut known) = (Vec::new(), Vec::new());
        if turns_private {
            known = self.with_threads(room).await?;
            old_members = self.own_members(room).await?;
            effects.extend(old_members.iter().map(|user| Effect::RemoveRoomMember { room, user: *user }));
            effects.push(Effect::PutRoomMember { room, user: caller.user });
        }
        self.rooms.record(room, caller.user, EventBody::RoomUpdated { changed: changed.clone() }, effects).await?;
        self.rooms.settings_changed(&after).await;
        let members = old_members.into_iter().chain([caller.user]);
        self.context.changed(members.map(|user| Fact::RoomMember { room, user }).collect()).await;
        if turns_private {
            self.let_outsiders_go(room, known).await;
        }
        if let Some(community) = after.community.filter(|_| after.parent.is_none()) {
            self.tell_of_room(community, room, changed, !before.private).await;
        }
        self.shown_room(&after).await
    }

    /// Tells the devices of those who may see a room what changed of it. If it was not private before,
    /// other members are told when it is now, as they knew of it.
    async fn tell_of_room(
        &self,
        community: CommunityId,
        room: RoomId,
        mut changed: Map<String, Value>,
        was_known: bool,
    ) {
        changed.insert("room".into(), room.to_string().into());
        let gone = [("room", room.to_string().into()), ("private", true.into())];
        let gone = gone.map(|(name, value): (&str, Value)| (name.to_owned(), value));
        let gone = Push::Community { community, removed: false, changed: Map::from_iter(gone) };
        let told = Push::Community { community, removed: false, changed };
        let (mut see_it, mut lost_it) = (Vec::new(), Vec::new());
        for user in self.context.users_everywhere(Some(community)).await {
            match self.context.directory.access(user, room).await {
                Ok(_) => see_it.push(user),
                Err(_) if was_known => lost_it.push(user),
                Err(_) => {}
            }
        }
        self.context.push_to(&see_it, &told, None);
        self.context.push_to(&lost_it, &gone, None);
    }

    /// Every member that a room has of its own.
    async fn own_members(&self, room: RoomId) -> Result<Vec<UserId>, Refusal> {
        let mut members: Vec<UserId> = Vec::new();
        loop {
            let after = members.last().copied();
            let page = self.context.store.room_members(room, after, OWN_MEMBERS_PAGE, None).await;
            let page = self.context.directory.read(page)?;
            members.extend(page.iter().map(|user| user.id));
            if page.len() < OWN_MEMBERS_PAGE {
                return Ok(members);
            }
        }
    }

    /// Lets go of everyone who is connected and may no longer see a room, and its threads.
    /// `known` is what is let go of if the store does not tell of threads begun meanwhile.
    async fn let_outsiders_go(&self, room: RoomId, known: Vec<RoomId>) {
        let mut outsiders = Vec::new();
        for user in self.context.users_everywhere(None).await {
            if self.context.directory.access(user, room).await.is_err() {
                outsiders.push(user);
            }
        }
        let rooms = self.with_threads(room).await.unwrap_or(known);
        self.context.let_go(outsiders, rooms, None).await;
    }

    /// A room and the threads that grew out of it.
    pub(super) async fn with_threads(&self, room: RoomId) -> Result<Vec<RoomId>, Refusal> {
        let Some(facts) = self.context.directory.room(room).await? else { return Ok(vec![room]) };
        let Some(community) = facts.community else { return Ok(vec![room]) };
        let all = self.context.directory.read(self.context.store.rooms_of(community, true).await)?;
        let threads = all.iter().filter(|thread| thread.parent.is_some_and(|parent| parent.room == room));
        Ok(threads.map(|thread| thread.id).chain([room]).collect())
    }

    /// Deletes a room. Its log stays in the store, out of reach.
    ///
    /// # Errors
    /// `forbidden`, `not_found`, `unavailable`.
    pub async fn delete_room(&self, caller: Caller, room: RoomId) -> Result<(), Refusal> {
        let (facts, rights) = self.room_facts(caller, room).await?;
        let Some(community) = facts.community else {
            return Err(Refusal::new(ErrorCode::Forbidden, "conversations are left, not deleted"));
        };
        if !rights.has(Permissions::MANAGE_ROOM) {
            return Err(Refusal::forbidden("delete rooms"));
        }
        let rooms = self.with_threads(room).await?;
        let mut saw_it = Vec::new();
        for user in self.context.users_everywhere(Some(community)).await {
            if self.context.directory.access(user, room).await.is_ok() {
                saw_it.push(user);
            }
        }
        let body = EventBody::RoomDeleted { room, name: facts.name.clone() };
        let effects = rooms.iter().map(|room| Effect::DeleteRoom(*room)).collect();
        self.rooms.record(community.log(), caller.user, body, effects).await?;
        let gone = rooms.iter().map(|room| Fact::Room { room: *room, community: Some(community) });
        self.context.changed(gone.collect()).await;
        self.context.let_go(self.context.users_everywhere(None).await, rooms, None).await;
        let told = [("room", room.to_string().into()), ("deleted", true.into())];
        let told = told.map(|(name, value): (&str, Value)| (name.to_owned(), value));
        let told = Push::Community { community, removed: false, changed: Map::from_iter(told) };
        self.context.push_to(&saw_it, &told, None);
        Ok(())
    }
}
