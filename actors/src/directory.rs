//! Facts and rights, cached, so that a message costs no query.
//!
//! # Invariants
//!
//! * After `forget_…` has returned, no call that begins later sees the fact as it was before: what
//!   was read from the store before the change is not put into the cache after it.
//! * [`Directory::still`] gives the rights as of now, never those of a membership that was ended
//!   before: whoever removes a right raises the version first.

mod forgetting;
mod heads;
mod kept;
mod many;
mod memberships;
mod rights;

use std::{
    hash::Hash,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use hubbub_protocol::{
    error::{ErrorCode, Refusal},
    ids::{CommunityId, RoomId, Seq, UserId},
    permissions::Permissions,
    ports::Placement,
    room::RoomKind,
};
use hubbub_storage::{
    ErrorChain, Store, TogetherError,
    facts::{Community, Member, Room, User},
};
use moka::sync::Cache;

use self::{heads::Heads, kept::Kept, many::Many, memberships::Memberships};
pub use self::{
    kept::{CACHES, CacheStatus},
    rights::{community_rights, room_rights},
};
use crate::answer::unavailable;

/// Rooms, communities and users kept: about 500 bytes each, 50 MB in all.
const FACTS_MAX: u64 = 100_000;
/// How old a member count may be.
const COUNT_AGE_MAX: Duration = Duration::from_secs(2);

/// What a user may do in a room.
#[derive(Debug, Clone)]
pub struct Access {
    /// The room.
    pub room: Arc<Room>,
    /// The rights.
    pub permissions: Permissions,
    version: u64,
}

/// See the module.
pub struct Directory {
    store: Arc<dyn Store>,
    many: Many,
    placement: Arc<dyn Placement>,
    /// Raised whenever a fact changes that may take a right away.
    version: AtomicU64,
    rooms: Kept<RoomId, Option<Arc<Room>>>,
    communities: Kept<CommunityId, Option<Arc<Community>>>,
    users: Kept<UserId, Option<Arc<User>>>,
    lists: Kept<CommunityId, Arc<Vec<Arc<Room>>>>,
    memberships: Kept<UserId, Arc<Memberships>>,
    counts: Kept<RoomId, u64>,
    heads: Heads,
}

impl std::fmt::Debug for Directory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Directory").field("version", &self.version).finish_non_exhaustive()
    }
}

impl Directory {
    /// An empty cache over `store`.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, placement: Arc<dyn Placement>) -> Self {
        Self {
            many: Many::of(&store),
            store,
            placement,
            version: AtomicU64::new(0),
            rooms: Kept::with_room_for(FACTS_MAX),
            communities: Kept::with_room_for(FACTS_MAX),
            users: Kept::with_room_for(FACTS_MAX),
            lists: Kept::with_room_for(FACTS_MAX / 10),
            memberships: Kept::with_room_for(FACTS_MAX),
            counts: Cache::builder().max_capacity(FACTS_MAX).time_to_live(COUNT_AGE_MAX).build().into(),
            heads: Heads::default(),
        }
    }

    async fn cached<K, V, F, E>(
        &self,
        cache: &Kept<K, V>,
        key: K,
        read: impl Fn() -> F + Send,
    ) -> Result<V, Refusal>
    where
        F: Future<Output = Result<V, E>> + Send,
        E: std::error::Error + 'static,
        K: Hash + Eq + Send + Sync + Clone + 'static,
        V: Clone + Send + Sync + 'static,
    {
        if let Some(known) = cache.find(&key) {
            return Ok(known);
        }
        loop {
            let version = self.version.load(Ordering::Acquire);
            let value = read().await.map_err(|error| {
                tracing::warn!(error = %ErrorChain(&error), "could not read a fact");
                unavailable()
            })?;
            cache.insert(key.clone(), value.clone());
            if self.version.load(Ordering::Acquire) == version {
                return Ok(value);
            }
            cache.invalidate(&key);
        }
    }

    /// A room.
    ///
    /// # Errors
    /// `unavailable`, as every method here.
    pub async fn room(&self, id: RoomId) -> Result<Option<Arc<Room>>, Refusal> {
        self.cached(&self.rooms, id, || self.many.rooms.get(id)).await
    }

    /// A room, if it is in memory.
    #[must_use]
    pub fn known_room(&self, id: RoomId) -> Option<Arc<Room>> {
        self.rooms.get(&id).flatten()
    }

    /// A community.
    ///
    /// # Errors
    /// `unavailable`.
    pub async fn community(&self, id: CommunityId) -> Result<Option<Arc<Community>>, Refusal> {
        self.cached(&self.communities, id, || self.many.communities.get(id)).await
    }

    /// A user.
    ///
    /// # Errors
    /// `unavailable`.
    pub async fn user(&self, id: UserId) -> Result<Option<Arc<User>>, Refusal> {
        self.cached(&self.users, id, || self.many.users.get(id)).await
    }

    /// The rooms of a community, threads aside.
    ///
    /// # Errors
    /// `unavailable`.
    pub async fn rooms_of(&self, id: CommunityId) -> Result<Arc<Vec<Arc<Room>>>, Refusal> {
        let read = || async move { Ok::<_, TogetherError>(self.many.lists.get(id).await?.unwrap_or_default()) };
        self.cached(&self.lists, id, read).await
    }

    /// A membership.
    ///
    /// # Errors
    /// `unavailable`.
    pub async fn member(&self, community: CommunityId, user: UserId) -> Result<Option<Arc<Member>>, Refusal> {
        Ok(self.memberships(user).await?.of(community))
    }

    /// Whether a user is a member of a room of own membership.
    ///
    /// # Errors
    /// `unavailable`.
    pub async fn room_member(&self, room: RoomId, user: UserId) -> Result<bool, Refusal> {
        Ok(self.memberships(user).await?.has(room))
    }

    /// How many members a room has; at most two seconds old.
    ///
    /// # Errors
    /// `unavailable`.
    pub async fn member_count(&self, room: &Room) -> Result<u64, Refusal> {
        let read = || async move {
            match (room.own_membership(), room.community) {
                (false, Some(community)) => self.store.member_count(community).await,
                _ => self.store.room_member_count(room.id).await,
            }
        };
        self.cached(&self.counts, room.id, read).await
    }

    /// The newest seqs of rooms, in the order asked.
    ///
    /// # Errors
    /// `unavailable`.
    pub async fn heads(&self, rooms: &[RoomId]) -> Result<Vec<Seq>, Refusal> {
        let known = self.heads.of(rooms, |room| self.is_ordered_here(room));
        let missing: Vec<RoomId> =
            rooms.iter().zip(&known).filter(|(_, known)| known.is_none()).map(|(room, _)| *room).collect();
        if missing.is_empty() {
            return Ok(known.into_iter().map(Option::unwrap_or_default).collect());
        }
        let read = self.read(self.many.heads.get_all(missing.iter().copied()).await)?;
        let read: Vec<Seq> = read.into_iter().map(Option::unwrap_or_default).collect();
        let ordered_here = |(room, _): &(RoomId, Seq)| self.is_ordered_here(*room);
        self.heads.note_read(missing.iter().copied().zip(read.iter().copied()).filter(ordered_here));
        // A commit that came meanwhile is newer than what was read.
        let noted = self.heads.of(&missing, |room| self.is_ordered_here(room));
        let mut read = noted.into_iter().zip(read).map(|(noted, read)| noted.unwrap_or(read));
        Ok(known.into_iter().map(|known| known.or_else(|| read.next()).unwrap_or_default()).collect())
    }

    /// The newest seq of a room, read now, together with those of others that are read at the same time.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(crate) async fn stored_head(&self, room: RoomId) -> Result<Seq, TogetherError> {
        Ok(self.many.heads.get(room).await?.unwrap_or_default())
    }

    /// Whether this node orders a room, so that no head of it is stored without being noted here.
    fn is_ordered_here(&self, room: RoomId) -> bool {
        let placement = &self.placement;
        placement.place(placement.shard_bits().shard_of(room)).owner == placement.this_node()
    }

    /// Forgets the heads: rooms are ordered here that were not before.
    pub(crate) fn forget_heads(&self) {
        self.heads.forget();
    }

    /// Learns that `head` is on disk.
    pub fn note_head(&self, room: RoomId, head: Seq) {
        self.heads.note(room, head);
    }

    /// Turns a failed read into `unavailable`, with a line in the log.
    ///
    /// # Errors
    /// `unavailable`.
    pub fn read<T>(&self, read: Result<T, impl std::error::Error + 'static>) -> Result<T, Refusal> {
        read.map_err(|error| {
            tracing::warn!(error = %ErrorChain(&error), "could not read from the store");
            unavailable()
        })
    }

    /// What a user may do in a community as a whole; none for one who is no member.
    ///
    /// # Errors
    /// `not_found`, `unavailable`.
    pub async fn rights(&self, user: UserId, community: CommunityId) -> Result<Permissions, Refusal> {
        let facts = self.community(community).await?.ok_or_else(|| Refusal::not_found("community"))?;
        let member = self.member(community, user).await?;
        Ok(community_rights(&facts, user, member.as_deref()))
    }

    /// What a user may do in a room.
    ///
    /// # Errors
    /// `not_found` when the user may not know of the room, `not_member` when the user may but is no
    /// member, `forbidden` for the log of a community to its members without the right, `unavailable`.
    pub async fn access(&self, user: UserId, room: RoomId) -> Result<Access, Refusal> {
        let version = self.version.load(Ordering::Acquire);
        let facts = self.room(room).await?.ok_or_else(|| Refusal::not_found("room"))?;
        let above = match facts.parent {
            Some(parent) => self.room(parent.room).await?.ok_or_else(|| Refusal::not_found("room"))?,
            None => facts.clone(),
        };
        let in_room = if above.own_membership() { self.room_member(above.id, user).await? } else { true };
        let Some(community) = above.community else {
            let permissions = if in_room { Permissions::CONVERSATION } else { Permissions::NONE };
            return granted(facts, permissions, false, version);
        };
        let community_facts = self.community(community).await?.ok_or_else(|| Refusal::not_found("room"))?;
        let member = self.member(community, user).await?;
        let rights = community_rights(&community_facts, user, member.as_deref());
        let permissions = room_rights(&facts, rights, in_room);
        if facts.kind == RoomKind::Community && rights.has(Permissions::VIEW) && permissions == Permissions::NONE {
            return Err(Refusal::forbidden("view the community's log"));
        }
        let known = community_facts.public && !above.private;
        granted(facts, permissions, known, version)
    }

    /// The rights of `access` as of now, without waiting: `None` when they must be asked for anew,
    /// because somebody's rights changed meanwhile and these are no longer in memory.
    #[must_use]
    pub fn still(&self, access: &Access, user: UserId) -> Option<Permissions> {
        if self.version.load(Ordering::Acquire) == access.version {
            return Some(access.permissions);
        }
        let facts = self.rooms.get(&access.room.id)??;
        let above = match facts.parent {
            Some(parent) => self.rooms.get(&parent.room)??,
            None => facts.clone(),
        };
        let in_room = if above.own_membership() { self.memberships.get(&user)?.has(above.id) } else { true };
        let permissions = match above.community {
            None if in_room => Permissions::CONVERSATION,
            None => Permissions::NONE,
            Some(community) => {
                let member = self.memberships.get(&user)?.of(community);
                let above = self.communities.get(&community)??;
                let rights = community_rights(&above, user, member.as_deref());
                room_rights(&facts, rights, in_room)
            }
        };
        permissions.has(Permissions::VIEW).then_some(permissions)
    }

    /// Whether a user administers the community of a room and so sees it without being its member, as
    /// far as memory tells.
    #[must_use]
    pub fn known_to_administer(&self, user: UserId, room: RoomId) -> bool {
        let known = || {
            let community = self.rooms.get(&room)??.community?;
            let member = self.memberships.get(&user)?.of(community);
            let facts = self.communities.get(&community)??;
            Some(community_rights(&facts, user, member.as_deref()))
        };
        known().is_some_and(|rights| rights.has(Permissions::ADMINISTRATOR))
    }

    fn changed(&self, forget: impl FnOnce()) {
        self.version.fetch_add(1, Ordering::AcqRel);
        forget();
    }
}

fn granted(room: Arc<Room>, permissions: Permissions, known: bool, version: u64) -> Result<Access, Refusal> {
    if permissions.has(Permissions::VIEW) {
        return Ok(Access { room, permissions, version });
    }
    Err(if known {
        Refusal::new(ErrorCode::NotMember, "join the community first")
    } else {
        Refusal::not_found("room")
    })
}
