//! Members of rooms that have their own, and what anyone may do in a room.
//!
//! Rooms of a community that are not private have the members of the community; nobody is added to
//! or removed from those.

use hubbub_protocol::{
    error::{ErrorCode, Refusal},
    event::EventBody,
    ids::{RoomId, UserId},
    limits::GROUP_MEMBERS_MAX,
    permissions::Permissions,
    push::Push,
    rest::{self, Explained},
    room::RoomKind,
};
use hubbub_storage::{Effect, facts};
use serde_json::Map;

use super::Communities;
use crate::{caller::Caller, peers::Fact, people};

impl Communities {
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

    pub(super) async fn put_room_member(
        &self,
        by: UserId,
        room: &facts::Room,
        user: UserId,
    ) -> Result<(), Refusal> {
        let effects = vec![Effect::PutRoomMember { room: room.id, user }];
        self.rooms.record(room.id, by, EventBody::MemberJoined { user }, effects).await?;
        self.context.changed(vec![Fact::RoomMember { room: room.id, user }]).await;
        if let Some(community) = room.community {
            let changed = Map::from_iter([("room".to_owned(), room.id.to_string().into())]);
            self.context.push_to(&[user], &Push::Community { community, removed: false, changed }, None);
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
        if facts.kind == RoomKind::Group {
            let count = self.context.directory.read(self.context.store.room_member_count(room).await)?;
            if count >= GROUP_MEMBERS_MAX as u64 {
                let message = format!("a group has at most {GROUP_MEMBERS_MAX} members");
                return Err(Refusal::new(ErrorCode::Conflict, message));
            }
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
        let known = self.with_threads(room).await?;
        if let Some(community) = facts.community {
            // Brought to memory for the relay, which lets go of all but administrators at the event.
            self.context.directory.rights(user, community).await?;
        }
        let effects = vec![Effect::RemoveRoomMember { room, user }];
        self.rooms.record(room, caller.user, body, effects).await?;
        self.context.changed(vec![Fact::RoomMember { room, user }]).await;
        if self.context.directory.access(user, room).await.is_err() {
            let rooms = self.with_threads(room).await.unwrap_or(known);
            self.context.let_go(vec![user], rooms, None).await;
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
