//! Conversations outside communities: of two people, or of a few.

use hubbub_protocol::{
    error::Refusal,
    event::EventBody,
    ids::{RoomId, UserId},
    limits::GROUP_MEMBERS_MAX,
    room::{Room, RoomKind},
};
use hubbub_storage::{Effect, facts};

use super::Communities;
use crate::{caller::Caller, peers::Fact};

impl Communities {
    /// Begins a conversation, or finds the one of these two people.
    ///
    /// # Errors
    /// `bad_request` for nobody or too many, `not_found` for people one shares nothing with,
    /// `unavailable`.
    pub async fn create_dm(&self, caller: Caller, users: Vec<UserId>) -> Result<Room, Refusal> {
        let mut others: Vec<UserId> = users.into_iter().filter(|user| *user != caller.user).collect();
        others.sort_unstable();
        others.dedup();
        if others.is_empty() || others.len() >= GROUP_MEMBERS_MAX {
            let message = format!("`users` names from 1 to {} other people", GROUP_MEMBERS_MAX - 1);
            return Err(Refusal::field("users", message));
        }
        for user in &others {
            if !self.context.directory.read(self.context.store.acquainted(caller.user, *user).await)? {
                return Err(Refusal::not_found("user"));
            }
        }
        // The same gate for both of a pair, so that two who begin at once find one conversation.
        let gate = others.iter().copied().chain([caller.user]).min().unwrap_or(caller.user);
        let _alone = self.context.gates.of(gate).await;
        if let [other] = others[..]
            && let Some(room) = self.context.directory.read(self.context.store.dm_of(caller.user, other).await)?
        {
            return self.room(caller, room.id).await;
        }
        let room = facts::Room {
            id: RoomId::from_raw(self.context.next_id()),
            community: None,
            kind: if others.len() == 1 { RoomKind::Dm } else { RoomKind::Group },
            name: String::new(),
            topic: String::new(),
            private: true,
            parent: None,
            category: None,
            position: 0,
            slow_mode_s: 0,
            archived: false,
            created_at: self.context.now(),
        };
        let mut effects = vec![Effect::PutRoom(Box::new(room.clone()))];
        let people = others.iter().copied().chain([caller.user]);
        effects.extend(people.map(|user| Effect::PutRoomMember { room: room.id, user }));
        let joined = EventBody::MemberJoined { user: caller.user };
        self.rooms.record(room.id, caller.user, joined, effects).await?;
        let people = others.iter().copied().chain([caller.user]);
        let mut facts: Vec<Fact> = people.map(|user| Fact::RoomMember { room: room.id, user }).collect();
        facts.push(Fact::Room { room: room.id, community: None });
        self.context.changed(facts).await;
        for user in others {
            self.rooms.record(room.id, caller.user, EventBody::MemberJoined { user }, Vec::new()).await?;
        }
        self.room(caller, room.id).await
    }

    /// The caller's conversations.
    ///
    /// # Errors
    /// `unavailable`.
    pub async fn dms(&self, caller: Caller) -> Result<Vec<Room>, Refusal> {
        let read = self.context.store.own_rooms(caller.user).await;
        let mut shown = Vec::new();
        for room in self.context.directory.read(read)? {
            if matches!(room.kind, RoomKind::Dm | RoomKind::Group) {
                shown.push(self.room(caller, room.id).await?);
            }
        }
        Ok(shown)
    }
}
