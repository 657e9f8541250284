//! Rooms of a community, and the members of rooms that have their own.

use std::sync::Arc;

use hubbub_protocol::{
    error::{ErrorCode, Refusal},
    event::EventBody,
    ids::{CommunityId, RoomId, UserId},
    limits::{NAME_CHARS_MAX, TOPIC_CHARS_MAX},
    permissions::Permissions,
    rest::{self, Explained},
    room::{Room, RoomKind},
    text::{line, optional_line},
};
use hubbub_storage::{Effect, facts};
use serde_json::Map;

use super::Communities;
use crate::{caller::Caller, context::Context, people};

/// Longest pause of slow mode: six hours.
const SLOW_MODE_S_MAX: u32 = 21_600;

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
        self.context.directory.forget_room(room.id, Some(id));
        if room.private {
            self.put_room_member(caller.user, &room, caller.user).await?;
        } else {
            self.tell_members(id, Map::from_iter([("room".to_owned(), room.id.to_string().into())])).await?;
        }
        self.shown_room(&room).await
    }

    async fn room_facts(&self, caller: Caller, room: RoomId) -> Result<(Arc<facts::Room>, Permissions), Refusal> {
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
        if turns_private {
            effects.push(Effect::PutRoomMember { room, user: caller.user });
        }
        self.rooms.record(room, caller.user, EventBody::RoomUpdated { changed: changed.clone() }, effects).await?;
        self.rooms.settings_changed(&after);
        self.context.directory.forget_room_member(room, caller.user);
        if turns_private {
            self.let_outsiders_go(room).await?;
        }
        if let Some(community) = after.community.filter(|_| after.parent.is_none()) {
            changed.insert("room".into(), room.to_string().into());
            self.tell_members(community, changed).await?;
        }
        self.shown_room(&after).await
    }

    /// Lets go of everyone here who may no longer see a room, and its threads.
    async fn let_outsiders_go(&self, room: RoomId) -> Result<(), Refusal> {
        for user in self.users_here() {
            if self.context.directory.access(user, room).await.is_err() {
                let rooms = self.with_threads(room).await?;
                people::revoke(&self.context, user, &rooms, None).await;
            }
        }
        Ok(())
    }

    async fn with_threads(&self, room: RoomId) -> Result<Vec<RoomId>, Refusal> {
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
        let body = EventBody::RoomDeleted { room, name: facts.name.clone() };
        let effects = rooms.iter().map(|room| Effect::DeleteRoom(*room)).collect();
        self.rooms.record(community.log(), caller.user, body, effects).await?;
        rooms.iter().for_each(|room| self.context.directory.forget_room(*room, Some(community)));
        for user in self.users_here() {
            people::revoke(&self.context, user, &rooms, None).await;
        }
        let told =
            Map::from_iter([("room".to_owned(), room.to_string().into()), ("deleted".to_owned(), true.into())]);
        self.tell_members(community, told).await
    }

    /// Members of a room by user id after `after`, at most `limit`, whose names begin with `prefix`:
    /// its own, or those of its community.
    ///
    /// # Errors
    /// `not_found`, `not_member`, `unavailable`.
    pub async fn room_members(
        &self,
        caller: Caller,
        room: RoomId,
        after: Option<UserId>,
        limit: usize,
        prefix: Option<&str>,
    ) -> Result<Vec<rest::Member>, Refusal> {
        let (facts, _) = self.room_facts(caller, room).await?;
        let facts = match facts.parent {
            Some(parent) => {
                self.context.directory.room(parent.room).await?.ok_or_else(|| Refusal::not_found("room"))?
            }
            None => facts,
        };
        match facts.community {
            Some(community) if !facts.own_membership() => {
                self.members(caller, community, after, limit, prefix).await
            }
            _ => {
                let read = self.context.store.room_members(facts.id, after, limit, prefix).await;
                let users = self.context.directory.read(read)?;
                let of = |user: &facts::User| rest::Member {
                    user: people::user_brief(user),
                    joined_at: None,
                    roles: Vec::new(),
                };
                Ok(users.iter().map(of).collect())
            }
        }
    }

    async fn put_room_member(&self, by: UserId, room: &facts::Room, user: UserId) -> Result<(), Refusal> {
        let effects = vec![Effect::PutRoomMember { room: room.id, user }];
        self.rooms.record(room.id, by, EventBody::MemberJoined { user }, effects).await?;
        self.context.directory.forget_room_member(room.id, user);
        if let Some(community) = room.community {
            let changed = Map::from_iter([("room".to_owned(), room.id.to_string().into())]);
            let told = hubbub_protocol::push::Push::Community { community, removed: false, changed };
            crate::user::push(&self.context, user, &told);
        }
        Ok(())
    }

    /// Adds a member to a room that has its own.
    ///
    /// # Errors
    /// `bad_request` for a room without members of its own, `forbidden`, `not_found`, `unavailable`.
    pub async fn add_room_member(&self, caller: Caller, room: RoomId, user: UserId) -> Result<(), Refusal> {
        let (facts, rights) = self.room_facts(caller, room).await?;
        if !facts.own_membership() || facts.kind == RoomKind::Dm {
            return Err(Refusal::field("room", "this room has no members of its own to add to"));
        }
        if facts.community.is_some() && !rights.has(Permissions::MANAGE_ROOM) {
            return Err(Refusal::forbidden("add members to this room"));
        }
        let may_be_added = match facts.community {
            Some(community) => self.context.directory.member(community, user).await?.is_some(),
            None => self.context.directory.read(self.context.store.acquainted(caller.user, user).await)?,
        };
        if !may_be_added {
            return Err(Refusal::not_found("member"));
        }
        if self.context.directory.room_member(room, user).await? {
            return Ok(());
        }
        self.put_room_member(caller.user, &facts, user).await
    }

    /// Removes a member from a room that has its own; oneself always. The event that tells of it is
    /// the last of the room that reaches the member.
    ///
    /// # Errors
    /// `forbidden`, `not_found`, `unavailable`.
    pub async fn remove_room_member(&self, caller: Caller, room: RoomId, user: UserId) -> Result<(), Refusal> {
        let (facts, rights) = self.room_facts(caller, room).await?;
        if !facts.own_membership() || facts.kind == RoomKind::Dm {
            return Err(Refusal::field("room", "this room has no members of its own to remove"));
        }
        if !self.context.directory.room_member(room, user).await? {
            return Err(Refusal::not_found("member"));
        }
        let own = user == caller.user;
        let may = own || facts.community.is_some() && rights.has(Permissions::MANAGE_ROOM);
        if !may {
            return Err(Refusal::forbidden("remove members of this room"));
        }
        let body = if own {
            EventBody::MemberLeft { user }
        } else {
            EventBody::MemberRemoved { user, reason: None, by: caller.user }
        };
        let effects = vec![Effect::RemoveRoomMember { room, user }];
        self.rooms.record(room, caller.user, body, effects).await?;
        self.context.directory.forget_room_member(room, user);
        if self.context.directory.access(user, room).await.is_err() {
            let rooms = self.with_threads(room).await?;
            people::revoke(&self.context, user, &rooms, None).await;
        }
        Ok(())
    }

    /// What a user may do in a room, and why.
    ///
    /// # Errors
    /// `not_found`, `forbidden`, `unavailable`.
    pub async fn explain(&self, caller: Caller, room: RoomId, user: UserId) -> Result<Explained, Refusal> {
        let (facts, rights) = self.room_facts(caller, room).await?;
        if user != caller.user && !rights.has(Permissions::MANAGE_ROLES) {
            return Err(Refusal::forbidden("see the rights of others"));
        }
        let permissions = match self.context.directory.access(user, room).await {
            Ok(access) => access.permissions,
            Err(refusal) if refusal.code == ErrorCode::Unavailable => return Err(refusal),
            Err(_) => Permissions::NONE,
        };
        let mut because = vec![format!("the room is of kind {}", facts.kind.as_str())];
        match facts.community {
            None => because.push("people of a conversation may do all of this in it".to_owned()),
            Some(community) => {
                let owner = self.facts(community).await?.owner == user;
                let member = self.context.directory.member(community, user).await?.is_some();
                because.push(match (owner, member) {
                    (true, _) => "the user owns the community".to_owned(),
                    (_, true) => "the user is a member of the community".to_owned(),
                    _ => "the user is no member of the community".to_owned(),
                });
            }
        }
        if facts.own_membership() {
            let member = self.context.directory.room_member(room, user).await?;
            because.push(format!(
                "the room has members of its own, and the user is {}one",
                if member { "" } else { "not " }
            ));
        }
        let names = Permissions::NAMES.iter().filter(|(right, _)| permissions.has(*right));
        Ok(Explained { permissions, names: names.map(|(_, name)| (*name).to_owned()).collect(), because })
    }
}
