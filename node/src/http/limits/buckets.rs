//! The buckets of one kind, by whom or what they are for, and what passed since it was counted last.

use std::{collections::HashMap, hash::Hash};

use hubbub_protocol::time::Timestamp;
use hubbub_storage::Spent;
use parking_lot::Mutex;

use super::{Decision, Limit};

/// Keys of one kind of bucket: at about 64 bytes each, 6 MB.
const BUCKETS_MAX: usize = 100_000;
/// Buckets of one kind that wait to be counted. Ten thousand in a round of 100 ms are 100,000 callers a second; what
/// others pass meanwhile is counted here alone.
const UNCOUNTED_MAX: usize = 10_000;

/// A bucket's name among those of all kinds.
pub(super) trait Named: Eq + Hash + Clone {
    /// The name.
    fn name(&self) -> Vec<u8>;
}

#[derive(Debug)]
pub(super) struct Buckets<K> {
    limit: Limit,
    /// Whether what passes is counted elsewhere too.
    counted: bool,
    state: Mutex<State<K>>,
}

#[derive(Debug)]
struct State<K> {
    empty_at: HashMap<K, Timestamp>,
    /// Requests that passed since the last round.
    passed: HashMap<K, u32>,
}

impl<K: Named> Buckets<K> {
    pub(super) fn new(limit: Limit, counted: bool) -> Self {
        let state = State { empty_at: HashMap::new(), passed: HashMap::new() };
        Self { limit, counted, state: Mutex::new(state) }
    }

    /// Takes one request, by the share of one of so many nodes.
    pub(super) fn take(&self, key: K, now: Timestamp, nodes: u32) -> Decision {
        let mut state = self.state.lock();
        if state.empty_at.len() >= BUCKETS_MAX {
            state.empty_at.retain(|_, empty_at| *empty_at > now);
            if state.empty_at.len() >= BUCKETS_MAX {
                state.empty_at.clear();
            }
        }
        let known = state.empty_at.get(&key).copied().unwrap_or_default();
        let (empty_at, decision) = self.limit.share(nodes).take(known, now);
        if self.counted
            && decision.retry_after_ms.is_none()
            && (state.passed.len() < UNCOUNTED_MAX || state.passed.contains_key(&key))
        {
            *state.passed.entry(key.clone()).or_default() += 1;
        }
        state.empty_at.insert(key, empty_at);
        decision
    }

    /// What passed since the last time, at most so many buckets of it.
    pub(super) fn passed(&self, max: usize) -> Vec<(K, Spent)> {
        let mut state = self.state.lock();
        let some: Vec<K> = state.passed.keys().take(max).cloned().collect();
        let spent = |key: K| {
            let cost_ms = u64::from(state.passed.remove(&key)?) * u64::from(self.limit.every_ms);
            let spent = Spent { bucket: key.name(), cost_ms, full_ms: self.limit.full_ms() };
            Some((key, spent))
        };
        some.into_iter().filter_map(spent).collect()
    }

    /// Learns how long a bucket takes to be empty, counted over all nodes.
    pub(super) fn learn(&self, key: &K, left_ms: u64, now: Timestamp) {
        let mut state = self.state.lock();
        if let Some(empty_at) = state.empty_at.get_mut(key) {
            let left_ms = left_ms.min(self.limit.full_ms());
            *empty_at = (*empty_at).max(now.plus_ms(i64::try_from(left_ms).unwrap_or(i64::MAX)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const THREE: Limit = Limit { burst: 3, every_ms: 1_000 };

    impl Named for usize {
        fn name(&self) -> Vec<u8> {
            self.to_be_bytes().into()
        }
    }

    #[test]
    fn many_addresses_do_not_fill_memory() {
        let buckets = Buckets::new(THREE, true);
        for key in 0..(BUCKETS_MAX + 10) {
            buckets.take(key, Timestamp(0), 1);
        }
        let state = buckets.state.lock();
        assert!(state.empty_at.len() <= BUCKETS_MAX && state.passed.len() <= UNCOUNTED_MAX);
    }

    #[test]
    fn what_passed_is_told_once_and_what_was_refused_is_not() {
        let buckets = Buckets::new(THREE, true);
        for _ in 0..5 {
            buckets.take(7, Timestamp(0), 1);
        }
        let spent = Spent { bucket: 7_usize.name(), cost_ms: 3_000, full_ms: 3_000 };
        assert_eq!(buckets.passed(10), [(7, spent)]);
        assert_eq!(buckets.passed(10), []);
        let alone = Buckets::new(THREE, false);
        alone.take(7, Timestamp(0), 1);
        assert_eq!(alone.passed(10), [], "nobody asks for it");
    }

    #[test]
    fn what_others_let_pass_fills_a_bucket_and_never_empties_it() {
        let buckets = Buckets::new(THREE, true);
        assert_eq!(buckets.take(7, Timestamp(0), 1).remaining, 2);
        buckets.learn(&7, 3_000, Timestamp(0));
        assert_eq!(buckets.take(7, Timestamp(0), 1).retry_after_ms, Some(1_000));
        buckets.learn(&7, 0, Timestamp(0));
        assert_eq!(buckets.take(7, Timestamp(0), 1).retry_after_ms, Some(1_000));
        buckets.learn(&7, u64::MAX, Timestamp(0));
        assert_eq!(buckets.take(7, Timestamp(1_000), 1).retry_after_ms, None, "over the brim counts as the brim");
    }
}
