//! What a user belongs to, so that a client that signs in costs no query.

use std::sync::{Arc, atomic::Ordering};

use hubbub_protocol::{
    error::Refusal,
    ids::{CommunityId, RoomId, UserId},
};
use hubbub_storage::{
    TogetherError,
    facts::{Community, Member, Room},
};

use super::Directory;

/// What a user belongs to.
#[derive(Debug, Clone, Default)]
pub(super) struct Memberships {
    /// By community.
    pub(super) communities: Vec<Arc<Member>>,
    /// Rooms of own membership, by id.
    pub(super) rooms: Vec<RoomId>,
}

impl Memberships {
    /// The membership of one community.
    pub(super) fn of(&self, community: CommunityId) -> Option<Arc<Member>> {
        let at = self.communities.binary_search_by_key(&community, |member| member.community).ok()?;
        self.communities.get(at).cloned()
    }

    /// Whether the user is a member of a room of own membership.
    pub(super) fn has(&self, room: RoomId) -> bool {
        self.rooms.binary_search(&room).is_ok()
    }
}

impl Directory {
    pub(super) async fn memberships(&self, user: UserId) -> Result<Arc<Memberships>, Refusal> {
        let read =
            || async move { Ok::<_, TogetherError>(self.many.memberships.get(user).await?.unwrap_or_default()) };
        self.cached(&self.memberships, user, read).await
    }

    /// Reads what many users belong to, so that asking for each of them costs no query. What cannot be read now is read,
    /// or told of, when it is asked for.
    pub async fn read_ahead(&self, users: &[UserId]) {
        let unknown: Vec<UserId> =
            users.iter().copied().filter(|user| !self.memberships.contains_key(user)).collect();
        let version = self.version.load(Ordering::Acquire);
        let Ok(read) = self.many.memberships.get_all(unknown.iter().copied()).await else { return };
        for (user, read) in unknown.iter().zip(read) {
            self.memberships.insert(*user, read.unwrap_or_default());
        }
        if self.version.load(Ordering::Acquire) != version {
            unknown.iter().for_each(|user| self.memberships.invalidate(user));
        }
    }

    /// The communities that a user is a member of, by age.
    ///
    /// # Errors
    /// `unavailable`.
    pub async fn communities_of(&self, user: UserId) -> Result<Vec<Arc<Community>>, Refusal> {
        let mut communities = Vec::new();
        for member in &self.memberships(user).await?.communities {
            communities.extend(self.community(member.community).await?);
        }
        Ok(communities)
    }

    /// The rooms of own membership that a user is a member of, by age.
    ///
    /// # Errors
    /// `unavailable`.
    pub async fn own_rooms(&self, user: UserId) -> Result<Vec<Arc<Room>>, Refusal> {
        let mut rooms = Vec::new();
        for id in &self.memberships(user).await?.rooms {
            rooms.extend(self.room(*id).await?);
        }
        Ok(rooms)
    }
}
