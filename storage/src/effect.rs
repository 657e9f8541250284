//! Changes of facts, as values: applied alone by [`crate::MetaStore::apply`], or in the same
//! transaction as the events that tell of them.
//!
//! Every effect is idempotent: applying it twice leaves what applying it once leaves. Nodes send effects
//! to a room's owner as JSON, so a field is only ever added with a default.

use hubbub_protocol::ids::{CommunityId, RoomId, Seq, UserId};

use serde::{Deserialize, Serialize};

use crate::facts::{Community, Invite, Member, Room, User};

/// One change of facts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Effect {
    /// Makes or replaces an account's public part (see [`User`]); a new name must be free.
    PutUser(Box<User>),
    /// Makes or replaces a community.
    PutCommunity(Box<Community>),
    /// Forgets a community, its rooms, members and invites. Logs stay.
    DeleteCommunity(CommunityId),
    /// Makes or replaces a room.
    PutRoom(Box<Room>),
    /// Forgets a room and its members. Its log stays.
    DeleteRoom(RoomId),
    /// Makes a user a member of a community, or replaces the membership.
    PutMember(Member),
    /// Ends a membership, and those in the community's rooms of own membership.
    RemoveMember {
        /// The community.
        community: CommunityId,
        /// The user.
        user: UserId,
    },
    /// Makes a user a member of a room of own membership.
    PutRoomMember {
        /// The room.
        room: RoomId,
        /// The user.
        user: UserId,
    },
    /// Ends it.
    RemoveRoomMember {
        /// The room.
        room: RoomId,
        /// The user.
        user: UserId,
    },
    /// Makes or replaces an invite.
    PutInvite(Box<Invite>),
    /// Revokes an invite.
    DeleteInvite(String),
    /// Notes that a message mentions `user`; `None` stands for everyone.
    AddMention {
        /// Who is mentioned.
        user: Option<UserId>,
        /// The room.
        room: RoomId,
        /// The message.
        seq: Seq,
    },
    /// Moves a read marker forward; an older seq changes nothing.
    PutMarker {
        /// Whose.
        user: UserId,
        /// The room.
        room: RoomId,
        /// The newest seq read.
        seq: Seq,
    },
    /// Notes what a name of an archive became here.
    PutImported {
        /// The community it was imported into.
        community: CommunityId,
        /// What kind of name.
        kind: ImportKind,
        /// The archive's name.
        ext: String,
        /// The raw id it became: of the room of a message or thread, or of a user.
        id: u64,
        /// The seq, for a message; else 0.
        seq: Seq,
    },
}

/// What kind of thing an archive's name names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[repr(u8)]
pub enum ImportKind {
    /// A message id → room and seq.
    Message = 1,
    /// A user's name → user.
    User = 2,
    /// A thread (`room` LF `thread`) → the thread's room.
    Thread = 3,
    /// A title for a thread that has not been met yet.
    Title = 4,
}
