//! Communities: the verbs around them, judged by rights, stored as an event of the community's log
//! together with the facts it changes.
//!
//! * here: communities and who is a member; [`rooms`]; [`room_members`]; [`invites`]; [`conversations`].
//!
//! # Order of effects
//!
//! judge → event and facts in one commit → forget what was cached → let go of who has lost a right →
//! tell the people concerned → answer. So what is committed after the answer is judged by, and sent
//! to, the new members only.
//!
//! # Failure
//!
//! What must be read to let somebody go is read before the commit: once the facts are changed, no
//! failure keeps the rest from happening.

pub mod conversations;
pub mod invites;
pub mod room_members;
pub mod rooms;

use std::sync::Arc;

use hubbub_protocol::{
    error::Refusal,
    event::EventBody,
    ids::{CommunityId, RoomId, UserId},
    limits::{NAME_CHARS_MAX, TOPIC_CHARS_MAX},
    permissions::Permissions,
    push::Push,
    rest,
    room::RoomKind,
    text::{line, optional_line},
};
use hubbub_storage::{Effect, facts};
use serde_json::{Map, Value};

use crate::{
    caller::Caller,
    context::Context,
    peers::Fact,
    people::{self, user_brief},
    room::Rooms,
};

/// The communities of this installation.
#[derive(Debug, Clone)]
pub struct Communities {
    context: Arc<Context>,
    rooms: Rooms,
}

impl Communities {
    pub(crate) fn new(context: Arc<Context>) -> Self {
        Self { rooms: Rooms::new(context.clone()), context }
    }

    async fn facts(&self, id: CommunityId) -> Result<Arc<facts::Community>, Refusal> {
        self.context.directory.community(id).await?.ok_or_else(|| Refusal::not_found("community"))
    }

    /// The rights of a member; who is none is told that there is nothing, unless it is public.
    async fn rights(&self, caller: Caller, id: CommunityId) -> Result<Permissions, Refusal> {
        let community = self.facts(id).await?;
        let rights = self.context.directory.rights(caller.user, id).await?;
        if rights.has(Permissions::VIEW) || community.public {
            return Ok(rights);
        }
        Err(Refusal::not_found("community"))
    }

    async fn need(&self, caller: Caller, id: CommunityId, right: Permissions, what: &str) -> Result<(), Refusal> {
        if self.rights(caller, id).await?.has(right) { Ok(()) } else { Err(Refusal::forbidden(what)) }
    }

    async fn shown(&self, community: &facts::Community) -> Result<rest::Community, Refusal> {
        let count = self.context.store.member_count(community.id).await;
        Ok(rest::Community {
            id: community.id,
            name: community.name.clone(),
            description: community.description.clone(),
            owner: community.owner,
            public: community.public,
            created_at: community.created_at,
            member_count: self.context.directory.read(count)?,
        })
    }

    /// Makes a community, with a text room `general`; the caller owns it.
    ///
    /// # Errors
    /// `bad_request`, `unavailable`.
    pub async fn create(&self, caller: Caller, wanted: rest::CreateCommunity) -> Result<rest::Community, Refusal> {
        let name = line("name", wanted.name, NAME_CHARS_MAX)?;
        let description = optional_line("description", wanted.description, TOPIC_CHARS_MAX)?;
        let now = self.context.now();
        let community = facts::Community {
            id: CommunityId::from_raw(self.context.next_id()),
            name,
            description,
            owner: caller.user,
            public: wanted.public,
            member_permissions: Permissions::MEMBER,
            created_at: now,
        };
        let general = rooms::fresh(&self.context, community.id, "general".to_owned(), RoomKind::Text);
        let log = facts::Room {
            id: community.id.log(),
            kind: RoomKind::Community,
            name: String::new(),
            ..general.clone()
        };
        let member = facts::Member {
            community: community.id,
            user: caller.user,
            extra_permissions: Permissions::NONE,
            joined_at: now,
        };
        let effects = vec![
            Effect::PutCommunity(Box::new(community.clone())),
            Effect::PutRoom(Box::new(log)),
            Effect::PutRoom(Box::new(general.clone())),
            Effect::PutMember(member),
        ];
        let joined = EventBody::MemberJoined { user: caller.user };
        self.rooms.record(community.id.log(), caller.user, joined, effects).await?;
        let made = EventBody::RoomCreated { room: general.id, name: general.name.clone(), kind: general.kind };
        let facts = vec![
            Fact::Room { room: community.id.log(), community: Some(community.id) },
            Fact::Community(community.id),
            Fact::Member { community: community.id, user: caller.user },
        ];
        self.context.changed(facts).await;
        self.rooms.record(community.id.log(), caller.user, made, Vec::new()).await?;
        self.tell(caller.user, &community);
        self.shown(&community).await
    }

    /// A community the caller is a member of, or a public one.
    ///
    /// # Errors
    /// `not_found`, `unavailable`.
    pub async fn get(&self, caller: Caller, id: CommunityId) -> Result<rest::Community, Refusal> {
        self.rights(caller, id).await?;
        self.shown(&*self.facts(id).await?).await
    }

    /// The caller's communities.
    ///
    /// # Errors
    /// `unavailable`.
    pub async fn mine(&self, caller: Caller) -> Result<Vec<rest::Community>, Refusal> {
        let read = self.context.store.communities_of(caller.user).await;
        let mut shown = Vec::new();
        for community in self.context.directory.read(read)? {
            shown.push(self.shown(&community).await?);
        }
        Ok(shown)
    }

    /// Changes a community.
    ///
    /// # Errors
    /// `bad_request`, `forbidden`, `not_found`, `unavailable`.
    pub async fn update(
        &self,
        caller: Caller,
        id: CommunityId,
        change: rest::UpdateCommunity,
    ) -> Result<rest::Community, Refusal> {
        self.need(caller, id, Permissions::MANAGE_COMMUNITY, "change the community").await?;
        let mut community = (*self.facts(id).await?).clone();
        let mut changed = Map::new();
        if let Some(name) = change.name {
            community.name = line("name", name, NAME_CHARS_MAX)?;
            changed.insert("name".into(), community.name.clone().into());
        }
        if let Some(description) = change.description {
            community.description = optional_line("description", description, TOPIC_CHARS_MAX)?;
            changed.insert("description".into(), community.description.clone().into());
        }
        if let Some(public) = change.public {
            community.public = public;
            changed.insert("public".into(), public.into());
        }
        if !changed.is_empty() {
            let body = EventBody::CommunityUpdated { changed: changed.clone() };
            let effects = vec![Effect::PutCommunity(Box::new(community.clone()))];
            self.rooms.record(id.log(), caller.user, body, effects).await?;
            self.context.changed(vec![Fact::Community(id)]).await;
            self.tell_members(id, changed).await;
        }
        self.shown(&community).await
    }

    /// Deletes a community; only its owner may. Its logs stay in the store, out of reach.
    ///
    /// # Errors
    /// `forbidden`, `not_found`, `unavailable`.
    pub async fn delete(&self, caller: Caller, id: CommunityId) -> Result<(), Refusal> {
        self.rights(caller, id).await?;
        let community = self.facts(id).await?;
        if community.owner != caller.user {
            return Err(Refusal::new(hubbub_protocol::error::ErrorCode::Forbidden, "only its owner may delete it"));
        }
        let rooms = self.every_room(id).await?;
        let mut changed = Map::new();
        changed.insert("deleted".into(), true.into());
        let members = self.context.users_everywhere(Some(id)).await;
        let effects = vec![Effect::DeleteCommunity(id)];
        self.rooms.record(id.log(), caller.user, EventBody::CommunityUpdated { changed }, effects).await?;
        let mut facts = vec![Fact::Community(id)];
        facts.extend(rooms.iter().map(|room| Fact::Room { room: *room, community: Some(id) }));
        facts.extend(members.iter().map(|user| Fact::Member { community: id, user: *user }));
        self.context.changed(facts).await;
        self.context.let_go(members, rooms, Some(id)).await;
        Ok(())
    }

    /// Members by user id after `after`, at most `limit`, whose names begin with `prefix`.
    ///
    /// # Errors
    /// `not_found`, `forbidden`, `unavailable`.
    pub async fn members(
        &self,
        caller: Caller,
        id: CommunityId,
        after: Option<UserId>,
        limit: usize,
        prefix: Option<&str>,
    ) -> Result<Vec<rest::Member>, Refusal> {
        self.need(caller, id, Permissions::VIEW, "see the members").await?;
        let read = self.context.store.members(id, after, limit, prefix).await;
        let members = self.context.directory.read(read)?;
        Ok(members.iter().map(|(member, user)| shown_member(member, user)).collect())
    }

    /// One member.
    ///
    /// # Errors
    /// `not_found`, `forbidden`, `unavailable`.
    pub async fn member(&self, caller: Caller, id: CommunityId, user: UserId) -> Result<rest::Member, Refusal> {
        self.need(caller, id, Permissions::VIEW, "see the members").await?;
        let member = self.context.directory.member(id, user).await?.ok_or_else(|| Refusal::not_found("member"))?;
        let user = self.context.directory.user(user).await?.ok_or_else(|| Refusal::not_found("member"))?;
        Ok(shown_member(&member, &user))
    }

    /// Joins a public community.
    ///
    /// # Errors
    /// `not_found` for one that is not public, `unavailable`.
    pub async fn join(&self, caller: Caller, id: CommunityId) -> Result<rest::Joined, Refusal> {
        self.rights(caller, id).await?;
        self.admit(caller, id).await
    }

    /// Makes the caller a member, if it is none, and tells what it has joined.
    async fn admit(&self, caller: Caller, id: CommunityId) -> Result<rest::Joined, Refusal> {
        let _alone = self.context.gates.of(caller.user).await;
        self.let_in(caller, id).await
    }

    /// [`Communities::admit`], for who holds the caller's gate.
    async fn let_in(&self, caller: Caller, id: CommunityId) -> Result<rest::Joined, Refusal> {
        let community = self.facts(id).await?;
        if self.context.directory.member(id, caller.user).await?.is_none() {
            let member = facts::Member {
                community: id,
                user: caller.user,
                extra_permissions: Permissions::NONE,
                joined_at: self.context.now(),
            };
            let body = EventBody::MemberJoined { user: caller.user };
            self.rooms.record(id.log(), caller.user, body, vec![Effect::PutMember(member)]).await?;
            self.context.changed(vec![Fact::Member { community: id, user: caller.user }]).await;
            self.tell(caller.user, &community);
        }
        Ok(rest::Joined { community: self.shown(&community).await?, rooms: self.rooms(caller, id).await? })
    }

    /// Ends a membership: one's own, or that of somebody with fewer rights.
    ///
    /// # Errors
    /// `forbidden`, `not_found`, `unavailable`.
    pub async fn remove_member(
        &self,
        caller: Caller,
        id: CommunityId,
        user: UserId,
        reason: Option<String>,
    ) -> Result<(), Refusal> {
        let rights = self.rights(caller, id).await?;
        let community = self.facts(id).await?;
        if self.context.directory.member(id, user).await?.is_none() {
            return Err(Refusal::not_found("member"));
        }
        if user == community.owner {
            let message = "the owner cannot leave: delete the community instead";
            return Err(Refusal::new(hubbub_protocol::error::ErrorCode::Forbidden, message));
        }
        let body = if user == caller.user {
            EventBody::MemberLeft { user }
        } else {
            let theirs = self.context.directory.rights(user, id).await?;
            if !rights.has(Permissions::KICK) || theirs.has(Permissions::KICK) && caller.user != community.owner {
                return Err(Refusal::forbidden("remove this member"));
            }
            EventBody::MemberRemoved { user, reason, by: caller.user }
        };
        let known = self.every_room(id).await?;
        let effects = vec![Effect::RemoveMember { community: id, user }];
        self.rooms.record(id.log(), caller.user, body, effects).await?;
        self.context.changed(vec![Fact::Member { community: id, user }]).await;
        let rooms = self.every_room(id).await.unwrap_or(known);
        self.context.changed(vec![Fact::RoomsOfMember { rooms: rooms.clone(), user }]).await;
        self.context.let_go(vec![user], rooms, Some(id)).await;
        Ok(())
    }

    /// Every room of a community, threads and its log included.
    async fn every_room(&self, id: CommunityId) -> Result<Vec<RoomId>, Refusal> {
        let rooms = self.context.directory.read(self.context.store.rooms_of(id, true).await)?;
        Ok(rooms.iter().map(|room| room.id).chain([id.log()]).collect())
    }

    /// Tells a user's devices of a community of theirs.
    fn tell(&self, user: UserId, community: &facts::Community) {
        let Value::Object(mut changed) = people::community_brief(community) else { return };
        changed.remove("id");
        let told = Push::Community { community: community.id, removed: false, changed };
        self.context.push_to(&[user], &told, None);
    }

    /// Tells the devices of members who are connected.
    async fn tell_members(&self, id: CommunityId, changed: Map<String, Value>) {
        let told = Push::Community { community: id, removed: false, changed };
        let members = self.context.users_everywhere(Some(id)).await;
        self.context.push_to(&members, &told, None);
    }
}

fn shown_member(member: &facts::Member, user: &facts::User) -> rest::Member {
    rest::Member { user: user_brief(user), joined_at: Some(member.joined_at), roles: Vec::new() }
}
