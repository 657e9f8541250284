//! What a member may do, from facts alone.

use hubbub_protocol::{ids::UserId, permissions::Permissions, room::RoomKind};
use hubbub_storage::facts::{Community, Member, Room};

/// The rights of a member in a community as a whole.
#[must_use]
pub fn community_rights(community: &Community, user: UserId, member: Option<&Member>) -> Permissions {
    match member {
        _ if community.owner == user => Permissions::ALL,
        Some(member) => community.member_permissions | member.extra_permissions,
        None => Permissions::NONE,
    }
}

/// The rights in one room of someone who has `rights` in its community; `in_room` says whether the
/// user is one of the members of a room, or its thread's room, that has its own.
#[must_use]
pub fn room_rights(room: &Room, rights: Permissions, in_room: bool) -> Permissions {
    if !in_room && !rights.has(Permissions::ADMINISTRATOR) {
        return Permissions::NONE;
    }
    match room.kind {
        RoomKind::Community if rights.has(Permissions::VIEW_AUDIT) => Permissions::VIEW | Permissions::HISTORY,
        RoomKind::Community => Permissions::NONE,
        RoomKind::Announcement if !rights.has(Permissions::PUBLISH) => rights.without(Permissions::SEND),
        RoomKind::Thread if rights.has(Permissions::SEND_IN_THREADS) => rights | Permissions::SEND,
        RoomKind::Thread => rights.without(Permissions::SEND),
        RoomKind::Announcement | RoomKind::Text | RoomKind::Forum | RoomKind::Dm | RoomKind::Group => rights,
    }
}

#[cfg(test)]
mod tests {
    use hubbub_protocol::{
        ids::{CommunityId, RoomId},
        time::Timestamp,
    };

    use super::*;

    fn room(kind: RoomKind, private: bool) -> Room {
        Room {
            id: RoomId::from_raw(1),
            community: Some(CommunityId::from_raw(2)),
            kind,
            name: "n".into(),
            topic: String::new(),
            private,
            parent: None,
            category: None,
            position: 0,
            slow_mode_s: 0,
            archived: false,
            created_at: Timestamp(0),
        }
    }

    #[test]
    fn announcements_are_sent_by_publishers_only() {
        let rights = Permissions::MEMBER;
        assert!(!room_rights(&room(RoomKind::Announcement, false), rights, true).has(Permissions::SEND));
        let publisher = rights | Permissions::PUBLISH;
        assert!(room_rights(&room(RoomKind::Announcement, false), publisher, true).has(Permissions::SEND));
    }

    #[test]
    fn a_private_room_is_nothing_to_those_outside_but_administrators() {
        let private = room(RoomKind::Text, true);
        assert_eq!(room_rights(&private, Permissions::MEMBER, false), Permissions::NONE);
        assert!(room_rights(&private, Permissions::ALL, false).has(Permissions::VIEW));
    }
}
