//! The facts: accounts, sessions, communities, memberships, rooms, invites, markers.
//!
//! Reads are plain, and what many need at the same time is read for all of them at once; unconditional writes are
//! [`Effect`]s; the few conditional writes are methods.

use std::{collections::HashMap, fmt::Debug};

use async_trait::async_trait;
use hubbub_protocol::{
    ids::{CommunityId, RoomId, Seq, SessionId, UserId},
    time::Timestamp,
};

use crate::{
    effect::{Effect, ImportKind},
    error::StoreError,
    facts::{Community, Invite, Member, ResumeState, Room, Session, User},
};

/// Accounts, communities and all that is not in a log. Reads fail with [`StoreError::Read`], writes
/// with [`StoreError::Write`]; what else a method may answer it says itself.
#[async_trait]
pub trait MetaStore: Send + Sync + Debug {
    /// Applies effects in order, all or none.
    ///
    /// # Errors
    /// [`StoreError::Taken`] when a user's name is.
    async fn apply(&self, effects: &[Effect]) -> Result<(), StoreError>;

    /// Makes an account, with a password hash unless it signs in elsewhere.
    ///
    /// # Errors
    /// [`StoreError::Taken`] when the name is.
    async fn create_user(&self, user: &User, password_hash: Option<&str>) -> Result<(), StoreError>;
    /// The password hash of an account, if it has one.
    async fn password_hash(&self, user: UserId) -> Result<Option<String>, StoreError>;
    /// Replaces the password hash.
    async fn set_password_hash(&self, user: UserId, hash: &str) -> Result<(), StoreError>;
    /// An account.
    async fn user(&self, id: UserId) -> Result<Option<User>, StoreError> {
        Ok(self.users(&[id]).await?.pop())
    }
    /// Those of `ids` that exist, in any order.
    async fn users(&self, ids: &[UserId]) -> Result<Vec<User>, StoreError>;
    /// The account of that name.
    async fn user_by_name(&self, name: &str) -> Result<Option<User>, StoreError>;
    /// Accounts by id after `after`, at most `limit`.
    async fn list_users(&self, after: Option<UserId>, limit: usize) -> Result<Vec<User>, StoreError>;
    /// How many accounts people can sign in to (not those of archives).
    async fn count_users(&self) -> Result<u64, StoreError>;

    /// Keeps a new session.
    async fn create_session(&self, session: &Session) -> Result<(), StoreError>;
    /// A session, ended or not.
    async fn session(&self, id: SessionId) -> Result<Option<Session>, StoreError> {
        Ok(self.sessions(&[id]).await?.pop())
    }
    /// Those of `ids` that were begun, ended or not, in any order.
    async fn sessions(&self, ids: &[SessionId]) -> Result<Vec<Session>, StoreError>;
    /// Sessions of a user that have not ended, newest first, at most 1,000.
    async fn sessions_of(&self, user: UserId) -> Result<Vec<Session>, StoreError>;
    /// Replaces the refresh token if `old_hash` is still the one in force and the session has not
    /// ended; returns whether it did. The old one becomes `previous`.
    async fn rotate_session(
        &self,
        id: SessionId,
        old_hash: &[u8; 32],
        new_hash: &[u8; 32],
        now: Timestamp,
        expires_at: Timestamp,
    ) -> Result<bool, StoreError>;
    /// Ends a session; ending it again changes nothing.
    async fn end_session(&self, id: SessionId, now: Timestamp) -> Result<(), StoreError>;

    /// Returns the bytes kept under `name`, keeping `fresh` first when there are none. Atomic, so
    /// two nodes that start together end with the same secret.
    async fn secret_or(&self, name: &str, fresh: &[u8]) -> Result<Vec<u8>, StoreError>;
    /// The bytes kept under `name`, if there are any.
    async fn secret(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError>;
    /// Forgets the bytes kept under `name`; returns whether there were any.
    async fn forget_secret(&self, name: &str) -> Result<bool, StoreError>;

    /// A community.
    async fn community(&self, id: CommunityId) -> Result<Option<Community>, StoreError> {
        Ok(self.communities(&[id]).await?.pop())
    }
    /// Those of `ids` that exist, in any order.
    async fn communities(&self, ids: &[CommunityId]) -> Result<Vec<Community>, StoreError>;
    /// The oldest community of that name.
    async fn community_by_name(&self, name: &str) -> Result<Option<Community>, StoreError>;
    /// Communities a user is a member of, by id.
    async fn communities_of(&self, user: UserId) -> Result<Vec<Community>, StoreError>;
    /// All memberships of users, by community.
    async fn memberships(&self, users: &[UserId]) -> Result<Vec<Member>, StoreError>;
    /// A membership.
    async fn member(&self, community: CommunityId, user: UserId) -> Result<Option<Member>, StoreError>;
    /// Members by user id after `after`, at most `limit`; with `prefix`, those whose name or display
    /// begins with it (ASCII case aside).
    async fn members(
        &self,
        community: CommunityId,
        after: Option<UserId>,
        limit: usize,
        prefix: Option<&str>,
    ) -> Result<Vec<(Member, User)>, StoreError>;
    /// How many members.
    async fn member_count(&self, community: CommunityId) -> Result<u64, StoreError>;
    /// Whether two users are members of one community, or talk in one conversation.
    async fn acquainted(&self, one: UserId, other: UserId) -> Result<bool, StoreError>;

    /// A room.
    async fn room(&self, id: RoomId) -> Result<Option<Room>, StoreError> {
        Ok(self.rooms(&[id]).await?.pop())
    }
    /// Those of `ids` that exist, in any order.
    async fn rooms(&self, ids: &[RoomId]) -> Result<Vec<Room>, StoreError>;
    /// Rooms of a community, by position and id; threads only when asked for.
    async fn rooms_of(&self, community: CommunityId, threads: bool) -> Result<Vec<Room>, StoreError>;
    /// Every room a user is a member of in its own right: private rooms, conversations; by id.
    async fn own_rooms(&self, user: UserId) -> Result<Vec<Room>, StoreError>;
    /// The same of several users, as ids, by room.
    async fn own_rooms_of(&self, users: &[UserId]) -> Result<Vec<(UserId, RoomId)>, StoreError>;
    /// Whether a user is a member of a room of own membership.
    async fn is_room_member(&self, room: RoomId, user: UserId) -> Result<bool, StoreError>;
    /// Members of a room of own membership, by user id after `after`, at most `limit`, with `prefix`
    /// as in [`MetaStore::members`].
    async fn room_members(
        &self,
        room: RoomId,
        after: Option<UserId>,
        limit: usize,
        prefix: Option<&str>,
    ) -> Result<Vec<User>, StoreError>;
    /// How many members a room of own membership has.
    async fn room_member_count(&self, room: RoomId) -> Result<u64, StoreError>;
    /// The conversation of exactly these two, if there is one.
    async fn dm_of(&self, one: UserId, other: UserId) -> Result<Option<Room>, StoreError>;

    /// An invite, used up or not.
    async fn invite(&self, code: &str) -> Result<Option<Invite>, StoreError>;
    /// Invites of a community, newest first, at most 1,000.
    async fn invites_of(&self, community: CommunityId) -> Result<Vec<Invite>, StoreError>;
    /// Uses an invite once: counts the use and returns it, or `None` when it is unknown, expired or
    /// used up. Atomic.
    async fn use_invite(&self, code: &str, now: Timestamp) -> Result<Option<Invite>, StoreError>;
    /// Takes one use of an invite back, for who used it and did not get in; an invite that is unknown
    /// or unused stays as it is. Atomic.
    async fn give_back_invite(&self, code: &str) -> Result<(), StoreError>;

    /// Read markers of a user, by room.
    async fn markers(&self, user: UserId) -> Result<HashMap<RoomId, Seq>, StoreError> {
        Ok(self.markers_of(&[user]).await?.into_iter().map(|((_, room), seq)| (room, seq)).collect())
    }
    /// Read markers of several users.
    async fn markers_of(&self, users: &[UserId]) -> Result<HashMap<(UserId, RoomId), Seq>, StoreError>;
    /// For each of `rooms` in which the user has unread mentions (of the user, or of everyone, after
    /// the stored read marker), how many.
    async fn mention_counts(&self, user: UserId, rooms: &[RoomId]) -> Result<HashMap<RoomId, u64>, StoreError> {
        let asked: Vec<_> = rooms.iter().map(|room| (user, *room)).collect();
        Ok(self.mentions_of(&asked).await?.into_iter().map(|((_, room), count)| (room, count)).collect())
    }
    /// The same of several users, each in rooms of their own.
    async fn mentions_of(&self, asked: &[(UserId, RoomId)]) -> Result<HashMap<(UserId, RoomId), u64>, StoreError>;

    /// Keeps what sessions need to resume, each in place of what was kept for it before.
    async fn put_resume_states(&self, states: &[ResumeState]) -> Result<(), StoreError>;
    /// What was kept for a session.
    async fn resume_state(&self, session: u64) -> Result<Option<ResumeState>, StoreError> {
        Ok(self.resume_states(&[session]).await?.pop())
    }
    /// What was kept for those of `sessions` for which anything was, in any order.
    async fn resume_states(&self, sessions: &[u64]) -> Result<Vec<ResumeState>, StoreError>;
    /// Forgets what was written before `before`; returns how many.
    async fn forget_resume_states(&self, before: Timestamp) -> Result<u64, StoreError>;

    /// What names of an archive became: those of `exts` that are known.
    async fn imported(
        &self,
        community: CommunityId,
        kind: ImportKind,
        exts: &[String],
    ) -> Result<HashMap<String, (u64, Seq)>, StoreError>;
    /// The archive's names for raw ids, of users and threads.
    async fn imported_names(
        &self,
        community: CommunityId,
        kind: ImportKind,
        ids: &[u64],
    ) -> Result<HashMap<u64, String>, StoreError>;
}
