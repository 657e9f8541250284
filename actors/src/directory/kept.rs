//! A cache that counts how often what was asked for was there.

use std::{
    hash::Hash,
    ops::Deref,
    sync::atomic::{AtomicU64, Ordering},
};

use moka::sync::Cache;

use super::Directory;

/// How one cache has done since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CacheStatus {
    /// What it keeps.
    pub name: &'static str,
    /// How often what was asked for was there.
    pub hits: u64,
    /// How often it had to be read from the store.
    pub misses: u64,
    /// How many facts it holds, about.
    pub entries: u64,
}

/// A cache with its counts. What is asked of the cache itself is not counted.
pub(super) struct Kept<K, V> {
    cache: Cache<K, V>,
    hits: AtomicU64,
    misses: AtomicU64,
}

impl<K, V> From<Cache<K, V>> for Kept<K, V> {
    fn from(cache: Cache<K, V>) -> Self {
        Self { cache, hits: AtomicU64::new(0), misses: AtomicU64::new(0) }
    }
}

impl<K, V> Deref for Kept<K, V> {
    type Target = Cache<K, V>;

    fn deref(&self) -> &Cache<K, V> {
        &self.cache
    }
}

impl<K, V> Kept<K, V>
where
    K: Hash + Eq + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    pub(super) fn with_room_for(entries: u64) -> Self {
        Cache::new(entries).into()
    }

    /// Looks for a fact, and counts whether it was there.
    pub(super) fn find(&self, key: &K) -> Option<V> {
        let found = self.cache.get(key);
        let count = if found.is_some() { &self.hits } else { &self.misses };
        count.fetch_add(1, Ordering::Relaxed);
        found
    }

    fn status(&self, name: &'static str) -> CacheStatus {
        let count = |count: &AtomicU64| count.load(Ordering::Relaxed);
        CacheStatus {
            name,
            hits: count(&self.hits),
            misses: count(&self.misses),
            entries: self.cache.entry_count(),
        }
    }
}

/// The names of the caches.
pub const CACHES: [&str; 6] = ["rooms", "communities", "users", "room_lists", "memberships", "member_counts"];

impl Directory {
    /// How the caches have done.
    #[must_use]
    pub fn caches(&self) -> [CacheStatus; CACHES.len()] {
        let [rooms, communities, users, room_lists, memberships, member_counts] = CACHES;
        [
            self.rooms.status(rooms),
            self.communities.status(communities),
            self.users.status(users),
            self.lists.status(room_lists),
            self.memberships.status(memberships),
            self.counts.status(member_counts),
        ]
    }
}
