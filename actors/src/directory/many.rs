//! The reads behind the caches, each for all who need its kind at the time.

use std::{collections::HashMap, hash::Hash, sync::Arc};

use futures_util::{FutureExt as _, StreamExt as _, TryStreamExt as _, stream};
use hubbub_protocol::ids::{CommunityId, RoomId, Seq, UserId};
use hubbub_storage::{
    Store, StoreError, Together,
    facts::{Community, Room, User},
};

use super::memberships::Memberships;

/// Room lists that one read of many reads at a time, a part of the connections that read.
const LISTS_AT_ONCE: usize = 4;

type Rooms = Arc<Vec<Arc<Room>>>;

/// See the module.
pub(super) struct Many {
    pub(super) rooms: Together<RoomId, Arc<Room>>,
    pub(super) communities: Together<CommunityId, Arc<Community>>,
    pub(super) users: Together<UserId, Arc<User>>,
    pub(super) lists: Together<CommunityId, Rooms>,
    pub(super) memberships: Together<UserId, Arc<Memberships>>,
    pub(super) heads: Together<RoomId, Seq>,
}

impl Many {
    pub(super) fn of(store: &Arc<dyn Store>) -> Self {
        Self {
            rooms: together(store, |store, ids| async move {
                Ok(store.rooms(&ids).await?.into_iter().map(|room| (room.id, Arc::new(room))).collect())
            }),
            communities: together(store, |store, ids| async move {
                let found = store.communities(&ids).await?.into_iter();
                Ok(found.map(|community| (community.id, Arc::new(community))).collect())
            }),
            users: together(store, |store, ids| async move {
                Ok(store.users(&ids).await?.into_iter().map(|user| (user.id, Arc::new(user))).collect())
            }),
            lists: together(store, |store, ids| async move {
                let read = |id| {
                    let store = store.clone();
                    async move { Ok((id, rooms_of(&*store, id).await?)) }
                };
                stream::iter(ids).map(read).buffer_unordered(LISTS_AT_ONCE).try_collect().await
            }),
            memberships: together(store, |store, users| async move { memberships(&*store, users).await }),
            heads: together(store, |store, rooms| async move {
                let heads = store.heads(&rooms).await?;
                Ok(rooms.into_iter().zip(heads).collect())
            }),
        }
    }
}

fn together<K, V, F>(
    store: &Arc<dyn Store>,
    read: impl Fn(Arc<dyn Store>, Vec<K>) -> F + Send + Sync + 'static,
) -> Together<K, V>
where
    F: Future<Output = Result<Vec<(K, V)>, StoreError>> + Send + 'static,
    K: Hash + Eq + Clone + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    let store = store.clone();
    Together::new(move |keys| read(store.clone(), keys).boxed())
}

async fn rooms_of(store: &dyn Store, community: CommunityId) -> Result<Rooms, StoreError> {
    let rooms = store.rooms_of(community, false).await?;
    Ok(Arc::new(rooms.into_iter().map(Arc::new).collect()))
}

async fn memberships(store: &dyn Store, users: Vec<UserId>) -> Result<Vec<(UserId, Arc<Memberships>)>, StoreError> {
    let mut all: HashMap<UserId, Memberships> = users.iter().map(|user| (*user, Memberships::default())).collect();
    for member in store.memberships(&users).await? {
        if let Some(theirs) = all.get_mut(&member.user) {
            theirs.communities.push(Arc::new(member));
        }
    }
    for (user, room) in store.own_rooms_of(&users).await? {
        if let Some(theirs) = all.get_mut(&user) {
            theirs.rooms.push(room);
        }
    }
    Ok(all.into_iter().map(|(user, theirs)| (user, Arc::new(theirs))).collect())
}
