//! The facts in memory, and how effects change them.
//!
//! Effects are checked before the first is applied, and applying cannot fail: so all or none.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Bound::{Excluded, Included},
};

use hubbub_protocol::ids::{CommunityId, RoomId, Seq, SessionId, UserId};

use crate::{
    effect::Effect,
    error::StoreError,
    facts::{Community, Invite, Member, ResumeState, Room, Session, User},
};

pub(super) const USER_MIN: UserId = UserId::from_raw(0);
pub(super) const USER_MAX: UserId = UserId::from_raw(u64::MAX);

/// An archive's name: its community, the number of its kind, the name.
pub(super) type ImportedName = (CommunityId, u8, String);

/// All facts.
#[derive(Debug, Default)]
pub(super) struct Facts {
    pub(super) users: BTreeMap<UserId, User>,
    pub(super) names: BTreeMap<String, UserId>,
    pub(super) password_hashes: BTreeMap<UserId, String>,
    pub(super) sessions: BTreeMap<SessionId, Session>,
    pub(super) secrets: BTreeMap<String, Vec<u8>>,
    pub(super) communities: BTreeMap<CommunityId, Community>,
    pub(super) members: BTreeMap<(CommunityId, UserId), Member>,
    pub(super) rooms: BTreeMap<RoomId, Room>,
    pub(super) room_members: BTreeSet<(RoomId, UserId)>,
    pub(super) invites: BTreeMap<String, Invite>,
    pub(super) mentions: BTreeSet<(RoomId, Seq, Option<UserId>)>,
    pub(super) markers: BTreeMap<(UserId, RoomId), Seq>,
    pub(super) resume_states: BTreeMap<u64, ResumeState>,
    pub(super) imported: BTreeMap<ImportedName, (u64, Seq)>,
}

impl Facts {
    /// Applies `effects` in order, or none of them.
    pub(super) fn apply_all(&mut self, effects: &[Effect]) -> Result<(), StoreError> {
        self.check_names(effects)?;
        for effect in effects {
            self.apply(effect);
        }
        Ok(())
    }

    /// Plays the names of accounts through, as `effects` would leave them one after another.
    fn check_names(&self, effects: &[Effect]) -> Result<(), StoreError> {
        let mut holders: BTreeMap<&str, Option<UserId>> = BTreeMap::new();
        let mut names: BTreeMap<UserId, &str> = BTreeMap::new();
        for effect in effects {
            let Effect::PutUser(user) = effect else {
                continue;
            };
            let stored = self.names.get(&user.name).copied();
            let holder = holders.get(user.name.as_str()).copied().unwrap_or(stored);
            if holder.is_some_and(|holder| holder != user.id) {
                return Err(StoreError::Taken { what: "the name" });
            }
            let known = self.users.get(&user.id).map(|known| known.name.as_str());
            if let Some(old) = names.get(&user.id).copied().or(known) {
                holders.insert(old, None);
            }
            holders.insert(&user.name, Some(user.id));
            names.insert(user.id, &user.name);
        }
        Ok(())
    }

    fn apply(&mut self, effect: &Effect) {
        match effect {
            Effect::PutUser(user) => self.put_user(user),
            Effect::PutCommunity(community) => {
                self.communities.insert(community.id, (**community).clone());
            }
            Effect::DeleteCommunity(id) => self.delete_community(*id),
            Effect::PutRoom(room) => {
                self.rooms.insert(room.id, (**room).clone());
            }
            Effect::DeleteRoom(room) => self.delete_room(*room),
            Effect::PutMember(member) => {
                let place = (member.community, member.user);
                self.members.insert(place, member.clone());
            }
            Effect::RemoveMember { community, user } => self.remove_member(*community, *user),
            Effect::PutRoomMember { room, user } => {
                self.room_members.insert((*room, *user));
            }
            Effect::RemoveRoomMember { room, user } => {
                self.room_members.remove(&(*room, *user));
            }
            Effect::PutInvite(invite) => {
                self.invites.insert(invite.code.clone(), (**invite).clone());
            }
            Effect::DeleteInvite(code) => {
                self.invites.remove(code);
            }
            Effect::AddMention { user, room, seq } => {
                self.mentions.insert((*room, *seq, *user));
            }
            Effect::PutMarker { user, room, seq } => {
                let marker = self.markers.entry((*user, *room)).or_default();
                *marker = (*marker).max(*seq);
            }
            Effect::PutImported { community, kind, ext, id, seq } => {
                let name = (*community, *kind as u8, ext.clone());
                self.imported.insert(name, (*id, *seq));
            }
        }
    }

    pub(super) fn put_user(&mut self, user: &User) {
        if let Some(old) = self.users.insert(user.id, user.clone()) {
            self.names.remove(&old.name);
        }
        self.names.insert(user.name.clone(), user.id);
    }

    fn delete_community(&mut self, id: CommunityId) {
        self.communities.remove(&id);
        self.members.retain(|&(community, _), _| community != id);
        self.invites.retain(|_, invite| invite.community != id);
        for room in self.rooms_in(id) {
            self.delete_room(room);
        }
    }

    fn delete_room(&mut self, room: RoomId) {
        self.rooms.remove(&room);
        self.room_members.retain(|&(of, _)| of != room);
    }

    fn remove_member(&mut self, community: CommunityId, user: UserId) {
        self.members.remove(&(community, user));
        for room in self.rooms_in(community) {
            self.room_members.remove(&(room, user));
        }
    }

    fn rooms_in(&self, community: CommunityId) -> Vec<RoomId> {
        let rooms = self.rooms.values();
        let here = rooms.filter(|room| room.community == Some(community));
        here.map(|room| room.id).collect()
    }
}

impl Facts {
    /// Members of `room` with an account, after `after`.
    pub(super) fn room_users(&self, room: RoomId, after: Option<UserId>) -> impl Iterator<Item = &User> {
        let from = after.map_or(Included((room, USER_MIN)), |user| Excluded((room, user)));
        let rows = self.room_members.range((from, Included((room, USER_MAX))));
        rows.filter_map(|(_, user)| self.users.get(user))
    }

    pub(super) fn is_member(&self, community: CommunityId, user: UserId) -> bool {
        self.members.contains_key(&(community, user))
    }

    pub(super) fn is_room_member(&self, room: RoomId, user: UserId) -> bool {
        self.room_members.contains(&(room, user))
    }

    pub(super) fn unread_mentions(&self, user: UserId, room: RoomId) -> u64 {
        let read = self.markers.get(&(user, room)).copied().unwrap_or_default();
        let from = (room, Seq(read.0.saturating_add(1)), None);
        let until = (room, Seq(u64::MAX), Some(USER_MAX));
        let rows = self.mentions.range((Included(from), Included(until)));
        let mine = rows.filter(|(_, _, whom)| whom.is_none_or(|whom| whom == user));
        let seqs: BTreeSet<Seq> = mine.map(|&(_, seq, _)| seq).collect();
        seqs.len() as u64
    }
}
