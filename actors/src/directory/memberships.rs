//! What a user belongs to, so that a client that signs in costs no query.

use std::sync::Arc;

use hubbub_protocol::{
    error::Refusal,
    ids::{CommunityId, RoomId, UserId},
};
use hubbub_storage::facts::{Community, Room};

use super::Directory;

/// What a user belongs to.
#[derive(Debug)]
pub(super) struct Memberships {
    communities: Vec<CommunityId>,
    /// Rooms of own membership.
    rooms: Vec<RoomId>,
}

impl Directory {
    async fn memberships(&self, user: UserId) -> Result<Arc<Memberships>, Refusal> {
        let read = || async move {
            let communities = self.store.communities_of(user).await?.into_iter().map(|community| community.id);
            let rooms = self.store.own_rooms(user).await?.into_iter().map(|room| room.id);
            Ok(Arc::new(Memberships { communities: communities.collect(), rooms: rooms.collect() }))
        };
        self.cached(&self.memberships, user, read).await
    }

    /// The communities that a user is a member of, by age.
    ///
    /// # Errors
    /// `unavailable`.
    pub async fn communities_of(&self, user: UserId) -> Result<Vec<Arc<Community>>, Refusal> {
        let mut communities = Vec::new();
        for id in &self.memberships(user).await?.communities {
            communities.extend(self.community(*id).await?);
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
