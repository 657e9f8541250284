//! What a member may do, from facts in memory.

use std::hint::black_box;

use criterion::Criterion;
use hubbub_actors::directory::{community_rights, room_rights};
use hubbub_protocol::{ids::CommunityId, permissions::Permissions, room::RoomKind, time::Timestamp};
use hubbub_storage::facts::{Community, Member, Room};

use super::samples;

pub(crate) fn all(c: &mut Criterion) {
    let id = CommunityId::from_raw(9);
    let community = Community {
        id,
        name: "lab".to_owned(),
        description: String::new(),
        owner: samples::ADA,
        public: true,
        member_permissions: Permissions::MEMBER,
        created_at: samples::NOW,
    };
    let user = hubbub_protocol::ids::UserId::from_raw(11);
    let member = Member { community: id, user, extra_permissions: Permissions::NONE, joined_at: samples::NOW };
    let room = Room {
        id: samples::ROOM,
        community: Some(id),
        kind: RoomKind::Text,
        name: "general".to_owned(),
        topic: String::new(),
        private: false,
        parent: None,
        category: None,
        position: 0,
        slow_mode_s: 0,
        archived: false,
        created_at: Timestamp(0),
    };
    c.bench_function("rights/may a member send here", |b| {
        b.iter(|| {
            let rights = community_rights(black_box(&community), user, Some(black_box(&member)));
            room_rights(black_box(&room), rights, true).has(Permissions::SEND)
        });
    });
}
