//! Rate limits over all nodes: a few times a second each node tells the cache what it let pass, and learns how full the
//! buckets are by all.
//!
//! No request waits for it. In one round's time nodes may together pass what each would alone, once; a cache that forgets
//! or does not answer costs strictness, and never more than the limit on each node.

use std::time::Duration;

use hubbub_protocol::{ids::UserId, time::Timestamp};
use hubbub_storage::{HintCache, cache::SPENT_MAX};
use tokio_util::sync::CancellationToken;

use super::{
    Limits, Neighbourhood,
    buckets::{Buckets, Named},
};
use crate::state::App;

/// Time between two rounds: a burst over several nodes at once is known after it.
const ROUND_EVERY: Duration = Duration::from_millis(100);
/// Calls of one round for one kind of bucket: 4,096 buckets. The rest waits for the next.
const CALLS_MAX: usize = 8;

impl Named for UserId {
    fn name(&self) -> Vec<u8> {
        named(b'u', &self.raw().to_be_bytes())
    }
}

impl Named for Neighbourhood {
    fn name(&self) -> Vec<u8> {
        named(b'a', &self.0.to_be_bytes())
    }
}

impl Named for (Neighbourhood, String) {
    fn name(&self) -> Vec<u8> {
        let mut name = named(b'n', &self.0.0.to_be_bytes());
        name.extend_from_slice(self.1.as_bytes());
        name
    }
}

fn named(kind: u8, name: &[u8]) -> Vec<u8> {
    [&[kind], name].concat()
}

impl Limits {
    /// One round. `now` tells the time of an answer.
    pub async fn round(&self, now: impl Fn() -> Timestamp + Sync) {
        count(&self.user, &*self.cache, &now).await;
        count(&self.login_by_address, &*self.cache, &now).await;
        count(&self.login_by_name, &*self.cache, &now).await;
    }
}

async fn count<K: Named>(buckets: &Buckets<K>, cache: &dyn HintCache, now: &(impl Fn() -> Timestamp + Sync)) {
    for _ in 0..CALLS_MAX {
        let (keys, spent): (Vec<K>, Vec<_>) = buckets.passed(SPENT_MAX).into_iter().unzip();
        if keys.is_empty() {
            return;
        }
        let Some(left) = cache.spend(&spent).await else { return };
        let now = now();
        for (key, left_ms) in keys.iter().zip(left) {
            buckets.learn(key, left_ms, now);
        }
    }
}

/// Rounds until the node stops; none without a cache.
pub async fn keep(app: App, stopping: CancellationToken) {
    if !app.limits.cache.status().there {
        return;
    }
    let rounds = async {
        loop {
            tokio::time::sleep(ROUND_EVERY).await;
            app.limits.round(|| app.now()).await;
        }
    };
    stopping.run_until_cancelled(rounds).await;
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use hubbub_storage::cache::mem::MemCache;

    use super::*;
    use crate::{http::limits::Decision, testing::AllHere};

    const NOW: Timestamp = Timestamp(1_800_000_000_000);

    fn asks(limits: &Limits, times: usize) -> Vec<bool> {
        let address = Some("192.0.2.1".parse().expect("an address"));
        let passed = |decision: Decision| decision.retry_after_ms.is_none();
        (0..times).filter_map(|_| limits.anonymous(address, Some("ada"), NOW).map(passed)).collect()
    }

    fn passed(limits: &Limits, times: usize) -> usize {
        asks(limits, times).into_iter().filter(|passed| *passed).count()
    }

    fn two_nodes() -> (Arc<MemCache>, Limits, Limits) {
        let cache = Arc::new(MemCache::new());
        let node = || Limits::shared(true, cache.clone(), Arc::new(AllHere));
        (cache.clone(), node(), node())
    }

    async fn round(nodes: [&Limits; 2]) {
        for node in nodes {
            node.round(|| NOW).await;
        }
    }

    #[tokio::test]
    async fn a_guesser_at_two_nodes_gets_as_many_guesses_as_at_one() {
        let (_cache, one, two) = two_nodes();
        let mut all = 0;
        for _ in 0..10 {
            all += passed(&one, 1) + passed(&two, 1);
            round([&one, &two]).await;
        }
        assert!((10..=11).contains(&all), "{all} guesses");
    }

    #[tokio::test]
    async fn a_cache_that_forgets_or_is_away_never_lets_a_node_pass_more_than_its_limit() {
        let (cache, one, two) = two_nodes();
        let mut all = [0, 0];
        for turn in 0..10 {
            all[0] += passed(&one, 2);
            all[1] += passed(&two, 2);
            cache.flush();
            cache.set_away(turn % 3 == 0);
            round([&one, &two]).await;
        }
        assert!(all.iter().all(|passed| *passed <= 10), "{all:?}");
    }
}
