//! The facts in memory, as callers ask for them.

use std::{
    cmp::Reverse,
    collections::{BTreeSet, HashMap},
    ops::Bound::{Excluded, Included, Unbounded},
};

use async_trait::async_trait;
use hubbub_protocol::{
    ids::{CommunityId, RoomId, Seq, SessionId, UserId},
    room::RoomKind,
    time::Timestamp,
};

use super::{
    MemStore,
    facts::{USER_MAX, USER_MIN},
};
use crate::{
    effect::{Effect, ImportKind},
    error::StoreError,
    facts::{Community, Invite, Member, ResumeState, Room, Session, User},
    meta::MetaStore,
};

/// Longest list of sessions of a user, and of invites of a community.
const LIST_MAX: usize = 1_000;

fn distinct<T: Ord>(of: &[T]) -> impl Iterator<Item = &T> {
    of.iter().collect::<BTreeSet<_>>().into_iter()
}

fn begins_with(text: &str, prefix: &str) -> bool {
    let head = text.as_bytes().get(..prefix.len());
    head.is_some_and(|head| head.eq_ignore_ascii_case(prefix.as_bytes()))
}

fn matches(user: &User, prefix: Option<&str>) -> bool {
    prefix.is_none_or(|prefix| begins_with(&user.name, prefix) || begins_with(&user.display, prefix))
}

#[async_trait]
impl MetaStore for MemStore {
    async fn apply(&self, effects: &[Effect]) -> Result<(), StoreError> {
        self.write("facts")?.facts.apply_all(effects)
    }

    async fn create_user(&self, user: &User, password_hash: Option<&str>) -> Result<(), StoreError> {
        let facts = &mut self.write("an account")?.facts;
        if facts.names.contains_key(&user.name) {
            return Err(StoreError::Taken { what: "the name" });
        }
        if facts.users.contains_key(&user.id) {
            return Err(StoreError::Taken { what: "the id" });
        }
        facts.put_user(user);
        if let Some(hash) = password_hash {
            facts.password_hashes.insert(user.id, hash.to_owned());
        }
        Ok(())
    }

    async fn password_hash(&self, user: UserId) -> Result<Option<String>, StoreError> {
        let state = self.read("a password hash")?;
        Ok(state.facts.password_hashes.get(&user).cloned())
    }

    async fn set_password_hash(&self, user: UserId, hash: &str) -> Result<(), StoreError> {
        let facts = &mut self.write("a password hash")?.facts;
        facts.password_hashes.insert(user, hash.to_owned());
        Ok(())
    }

    async fn users(&self, ids: &[UserId]) -> Result<Vec<User>, StoreError> {
        let facts = &self.read("accounts")?.facts;
        Ok(distinct(ids).filter_map(|id| facts.users.get(id)).cloned().collect())
    }

    async fn user_by_name(&self, name: &str) -> Result<Option<User>, StoreError> {
        let facts = &self.read("an account")?.facts;
        let id = facts.names.get(name);
        Ok(id.and_then(|id| facts.users.get(id)).cloned())
    }

    async fn list_users(&self, after: Option<UserId>, limit: usize) -> Result<Vec<User>, StoreError> {
        let facts = &self.read("accounts")?.facts;
        let users = facts.users.range((after.map_or(Unbounded, Excluded), Unbounded));
        Ok(users.take(limit).map(|(_, user)| user.clone()).collect())
    }

    async fn count_users(&self) -> Result<u64, StoreError> {
        let facts = &self.read("accounts")?.facts;
        Ok(facts.users.values().filter(|user| !user.imported).count() as u64)
    }

    async fn create_session(&self, session: &Session) -> Result<(), StoreError> {
        let facts = &mut self.write("a session")?.facts;
        if facts.sessions.contains_key(&session.id) {
            return Err(StoreError::Taken { what: "the id" });
        }
        facts.sessions.insert(session.id, session.clone());
        Ok(())
    }

    async fn sessions(&self, ids: &[SessionId]) -> Result<Vec<Session>, StoreError> {
        let facts = &self.read("sessions")?.facts;
        Ok(distinct(ids).filter_map(|id| facts.sessions.get(id)).cloned().collect())
    }

    async fn sessions_of(&self, user: UserId) -> Result<Vec<Session>, StoreError> {
        let facts = &self.read("sessions")?.facts;
        let sessions = facts.sessions.values();
        let live = sessions.filter(|session| session.user == user && session.ended_at.is_none());
        let mut live: Vec<Session> = live.cloned().collect();
        live.sort_by_key(|session| Reverse((session.created_at, session.id)));
        live.truncate(LIST_MAX);
        Ok(live)
    }

    async fn rotate_session(
        &self,
        id: SessionId,
        old_hash: &[u8; 32],
        new_hash: &[u8; 32],
        now: Timestamp,
        expires_at: Timestamp,
    ) -> Result<bool, StoreError> {
        let facts = &mut self.write("a session")?.facts;
        let Some(session) = facts.sessions.get_mut(&id) else {
            return Ok(false);
        };
        if session.ended_at.is_some() || session.refresh_hash != *old_hash {
            return Ok(false);
        }
        session.previous = Some((*old_hash, now));
        session.refresh_hash = *new_hash;
        session.used_at = now;
        session.expires_at = expires_at;
        Ok(true)
    }

    async fn end_session(&self, id: SessionId, now: Timestamp) -> Result<(), StoreError> {
        let facts = &mut self.write("a session")?.facts;
        if let Some(session) = facts.sessions.get_mut(&id) {
            session.ended_at.get_or_insert(now);
        }
        Ok(())
    }

    async fn secret_or(&self, name: &str, fresh: &[u8]) -> Result<Vec<u8>, StoreError> {
        let secrets = &mut self.write("a secret")?.facts.secrets;
        let kept = secrets.entry(name.to_owned()).or_insert_with(|| fresh.to_vec());
        Ok(kept.clone())
    }

    async fn secret(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.read("a secret")?.facts.secrets.get(name).cloned())
    }

    async fn forget_secret(&self, name: &str) -> Result<bool, StoreError> {
        let secrets = &mut self.write("a secret")?.facts.secrets;
        Ok(secrets.remove(name).is_some())
    }

    async fn communities(&self, ids: &[CommunityId]) -> Result<Vec<Community>, StoreError> {
        let facts = &self.read("communities")?.facts;
        Ok(distinct(ids).filter_map(|id| facts.communities.get(id)).cloned().collect())
    }

    async fn community_by_name(&self, name: &str) -> Result<Option<Community>, StoreError> {
        let facts = &self.read("a community")?.facts;
        let named = facts.communities.values().filter(|known| known.name == name);
        Ok(named.min_by_key(|known| (known.created_at, known.id)).cloned())
    }

    async fn communities_of(&self, user: UserId) -> Result<Vec<Community>, StoreError> {
        let facts = &self.read("communities")?.facts;
        let all = facts.communities.values();
        let own = all.filter(|known| facts.is_member(known.id, user));
        Ok(own.cloned().collect())
    }

    async fn memberships(&self, users: &[UserId]) -> Result<Vec<Member>, StoreError> {
        let facts = &self.read("memberships")?.facts;
        let users: BTreeSet<&UserId> = users.iter().collect();
        let theirs = facts.members.values().filter(|member| users.contains(&member.user));
        Ok(theirs.cloned().collect())
    }

    async fn member(&self, community: CommunityId, user: UserId) -> Result<Option<Member>, StoreError> {
        let facts = &self.read("a membership")?.facts;
        Ok(facts.members.get(&(community, user)).cloned())
    }

    async fn members(
        &self,
        community: CommunityId,
        after: Option<UserId>,
        limit: usize,
        prefix: Option<&str>,
    ) -> Result<Vec<(Member, User)>, StoreError> {
        let facts = &self.read("members")?.facts;
        let first = Included((community, USER_MIN));
        let from = after.map_or(first, |user| Excluded((community, user)));
        let rows = facts.members.range((from, Included((community, USER_MAX))));
        let named = rows.filter_map(|((_, user), member)| Some((member, facts.users.get(user)?)));
        let wanted = named.filter(|(_, user)| matches(user, prefix)).take(limit);
        Ok(wanted.map(|(member, user)| (member.clone(), user.clone())).collect())
    }

    async fn member_count(&self, community: CommunityId) -> Result<u64, StoreError> {
        let facts = &self.read("members")?.facts;
        let range = (community, USER_MIN)..=(community, USER_MAX);
        Ok(facts.members.range(range).count() as u64)
    }

    async fn acquainted(&self, one: UserId, other: UserId) -> Result<bool, StoreError> {
        let facts = &self.read("members")?.facts;
        let share = |&id: &CommunityId| facts.is_member(id, one) && facts.is_member(id, other);
        let talk = |room: &Room| {
            matches!(room.kind, RoomKind::Dm | RoomKind::Group)
                && facts.is_room_member(room.id, one)
                && facts.is_room_member(room.id, other)
        };
        Ok(facts.communities.keys().any(share) || facts.rooms.values().any(talk))
    }

    async fn rooms(&self, ids: &[RoomId]) -> Result<Vec<Room>, StoreError> {
        let facts = &self.read("rooms")?.facts;
        Ok(distinct(ids).filter_map(|id| facts.rooms.get(id)).cloned().collect())
    }

    async fn rooms_of(&self, community: CommunityId, threads: bool) -> Result<Vec<Room>, StoreError> {
        let facts = &self.read("rooms")?.facts;
        let rooms = facts.rooms.values();
        let here =
            rooms.filter(|room| room.community == Some(community) && (threads || room.kind != RoomKind::Thread));
        let mut here: Vec<Room> = here.cloned().collect();
        here.sort_by_key(|room| (room.position, room.id));
        Ok(here)
    }

    async fn own_rooms(&self, user: UserId) -> Result<Vec<Room>, StoreError> {
        let facts = &self.read("rooms")?.facts;
        let rooms = facts.rooms.values();
        let own = rooms.filter(|room| facts.is_room_member(room.id, user));
        Ok(own.cloned().collect())
    }

    async fn own_rooms_of(&self, users: &[UserId]) -> Result<Vec<(UserId, RoomId)>, StoreError> {
        let facts = &self.read("rooms")?.facts;
        let users: BTreeSet<&UserId> = users.iter().collect();
        let theirs = facts.room_members.iter().filter(|(_, user)| users.contains(user));
        Ok(theirs.map(|&(room, user)| (user, room)).collect())
    }

    async fn is_room_member(&self, room: RoomId, user: UserId) -> Result<bool, StoreError> {
        Ok(self.read("members")?.facts.is_room_member(room, user))
    }

    async fn room_members(
        &self,
        room: RoomId,
        after: Option<UserId>,
        limit: usize,
        prefix: Option<&str>,
    ) -> Result<Vec<User>, StoreError> {
        let facts = &self.read("members")?.facts;
        let users = facts.room_users(room, after);
        let wanted = users.filter(|user| matches(user, prefix)).take(limit);
        Ok(wanted.cloned().collect())
    }

    async fn room_member_count(&self, room: RoomId) -> Result<u64, StoreError> {
        let facts = &self.read("members")?.facts;
        let range = (room, USER_MIN)..=(room, USER_MAX);
        Ok(facts.room_members.range(range).count() as u64)
    }

    async fn dm_of(&self, one: UserId, other: UserId) -> Result<Option<Room>, StoreError> {
        let facts = &self.read("a conversation")?.facts;
        let wanted = BTreeSet::from([one, other]);
        let between = |room: &&Room| {
            let members = (room.id, USER_MIN)..=(room.id, USER_MAX);
            let members = facts.room_members.range(members).map(|(_, user)| user);
            room.kind == RoomKind::Dm && members.eq(&wanted)
        };
        Ok(facts.rooms.values().find(between).cloned())
    }

    async fn invite(&self, code: &str) -> Result<Option<Invite>, StoreError> {
        Ok(self.read("an invite")?.facts.invites.get(code).cloned())
    }

    async fn invites_of(&self, community: CommunityId) -> Result<Vec<Invite>, StoreError> {
        let facts = &self.read("invites")?.facts;
        let invites = facts.invites.values();
        let here = invites.filter(|invite| invite.community == community);
        let mut here: Vec<Invite> = here.cloned().collect();
        here.sort_by(|a, b| (b.created_at, &b.code).cmp(&(a.created_at, &a.code)));
        here.truncate(LIST_MAX);
        Ok(here)
    }

    async fn use_invite(&self, code: &str, now: Timestamp) -> Result<Option<Invite>, StoreError> {
        let invites = &mut self.write("an invite")?.facts.invites;
        let Some(invite) = invites.get_mut(code) else {
            return Ok(None);
        };
        let expired = invite.expires_at.is_some_and(|end| end <= now);
        let used_up = invite.max_uses.is_some_and(|max| invite.uses >= max);
        if expired || used_up {
            return Ok(None);
        }
        invite.uses = invite.uses.saturating_add(1);
        Ok(Some(invite.clone()))
    }

    async fn give_back_invite(&self, code: &str) -> Result<(), StoreError> {
        if let Some(invite) = self.write("an invite")?.facts.invites.get_mut(code) {
            invite.uses = invite.uses.saturating_sub(1);
        }
        Ok(())
    }

    async fn markers_of(&self, users: &[UserId]) -> Result<HashMap<(UserId, RoomId), Seq>, StoreError> {
        let facts = &self.read("read markers")?.facts;
        let of = |user: &UserId| (*user, RoomId::from_raw(0))..=(*user, RoomId::from_raw(u64::MAX));
        let theirs = users.iter().flat_map(|user| facts.markers.range(of(user)));
        Ok(theirs.map(|(&whose, &seq)| (whose, seq)).collect())
    }

    async fn mentions_of(&self, asked: &[(UserId, RoomId)]) -> Result<HashMap<(UserId, RoomId), u64>, StoreError> {
        let facts = &self.read("mentions")?.facts;
        let counts = asked.iter().map(|&(user, room)| ((user, room), facts.unread_mentions(user, room)));
        Ok(counts.filter(|&(_, unread)| unread > 0).collect())
    }

    async fn put_resume_states(&self, states: &[ResumeState]) -> Result<(), StoreError> {
        let kept = &mut self.write("resume states")?.facts.resume_states;
        kept.extend(states.iter().map(|state| (state.session, state.clone())));
        Ok(())
    }

    async fn resume_states(&self, sessions: &[u64]) -> Result<Vec<ResumeState>, StoreError> {
        let facts = &self.read("resume states")?.facts;
        Ok(distinct(sessions).filter_map(|session| facts.resume_states.get(session)).cloned().collect())
    }

    async fn forget_resume_states(&self, before: Timestamp) -> Result<u64, StoreError> {
        let kept = &mut self.write("resume states")?.facts.resume_states;
        let known = kept.len();
        kept.retain(|_, state| state.saved_at >= before);
        Ok((known - kept.len()) as u64)
    }

    async fn imported(
        &self,
        community: CommunityId,
        kind: ImportKind,
        exts: &[String],
    ) -> Result<HashMap<String, (u64, Seq)>, StoreError> {
        let facts = &self.read("imported names")?.facts;
        let known = exts.iter().filter_map(|ext| {
            let became = facts.imported.get(&(community, kind as u8, ext.clone()))?;
            Some((ext.clone(), *became))
        });
        Ok(known.collect())
    }

    async fn imported_names(
        &self,
        community: CommunityId,
        kind: ImportKind,
        ids: &[u64],
    ) -> Result<HashMap<u64, String>, StoreError> {
        let facts = &self.read("imported names")?.facts;
        let from = (community, kind as u8, String::new());
        let rows = facts.imported.range(from..);
        let here = rows.take_while(|((of, is, _), _)| *of == community && *is == kind as u8);
        let wanted = here.filter(|(_, (id, _))| ids.contains(id));
        Ok(wanted.map(|((_, _, ext), &(id, _))| (id, ext.clone())).collect())
    }
}
