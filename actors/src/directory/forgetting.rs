//! What is to be read anew, since it has changed.

use hubbub_protocol::ids::{CommunityId, RoomId, UserId};

use super::Directory;

impl Directory {
    /// Forgets every fact: some may have changed without this node being told.
    pub fn forget_everything(&self) {
        self.changed(|| {
            self.rooms.invalidate_all();
            self.communities.invalidate_all();
            self.users.invalidate_all();
            self.lists.invalidate_all();
            self.memberships.invalidate_all();
            self.counts.invalidate_all();
        });
    }

    /// To be called after a room's facts changed.
    pub fn forget_room(&self, room: RoomId, community: Option<CommunityId>) {
        self.changed(|| {
            self.rooms.invalidate(&room);
            self.counts.invalidate(&room);
            community.iter().for_each(|community| self.lists.invalidate(community));
        });
    }

    /// To be called after a community's facts changed.
    pub fn forget_community(&self, community: CommunityId) {
        self.changed(|| {
            self.communities.invalidate(&community);
            self.lists.invalidate(&community);
        });
    }

    /// To be called after an account changed.
    pub fn forget_user(&self, user: UserId) {
        self.changed(|| self.users.invalidate(&user));
    }

    /// To be called after a membership of a community changed.
    pub fn forget_member(&self, community: CommunityId, user: UserId) {
        self.changed(|| {
            self.memberships.invalidate(&user);
            self.counts.invalidate(&community.log());
        });
    }

    /// To be called after a membership of a room changed.
    pub fn forget_room_member(&self, room: RoomId, user: UserId) {
        self.changed(|| {
            self.memberships.invalidate(&user);
            self.counts.invalidate(&room);
        });
    }

    /// To be called after a membership of a community ended: forgets the user's memberships in its
    /// private rooms too.
    pub fn forget_rooms_of_member(&self, rooms: &[RoomId], user: UserId) {
        self.changed(|| {
            rooms.iter().for_each(|room| self.counts.invalidate(room));
            self.memberships.invalidate(&user);
        });
    }
}
