//! Reads for many at once: what is asked for while a read is under way goes together in the next.
//!
//! After a node has died, thousands come to another within seconds, and each needs the same few kinds of facts. One
//! statement each is what databases have died of; together they need a few, each for hundreds.
//!
//! # Invariants
//!
//! * Nobody joins a read that has begun: what is answered was in the store after it was asked for.
//! * Who asks when nothing is under way waits for no timer. A read lingers only when somebody came during the one
//!   before it.

use std::{
    collections::HashMap,
    fmt,
    hash::Hash,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use tokio::{sync::oneshot, time::Instant};

use crate::error::StoreError;

/// Most keys of one read.
const KEYS_MAX: usize = 1_000;
/// A read that lingers goes once nobody has come for this long: all who are coming at the moment wait for it.
const LULL: Duration = Duration::from_millis(3);
/// Keys that many have asked for in a rush, and how long nobody must have come then: a rush comes in waves.
const RUSH: usize = 300;
const RUSH_LULL: Duration = Duration::from_millis(15);
/// Longest that a read lingers, to the lull: ten reads a second whatever comes.
const LINGER_MAX: Duration = Duration::from_millis(100);

/// Why what was asked for could not be read: shared by all who asked.
#[derive(Debug, Clone, thiserror::Error)]
pub enum TogetherError {
    /// The store's failure.
    #[error(transparent)]
    Store(Arc<StoreError>),
    /// The read was given up.
    #[error("the read was given up")]
    GivenUp,
}

type Read<K, V> = dyn Fn(Vec<K>) -> BoxFuture<'static, Result<Vec<(K, V)>, StoreError>> + Send + Sync;
type Waiting<V> = Vec<oneshot::Sender<Result<Option<V>, TogetherError>>>;

/// Reads values by keys. As many wait as have asked; each is somebody's request, and those are bounded.
pub struct Together<K, V>(Arc<Inner<K, V>>);

struct Inner<K, V> {
    read: Box<Read<K, V>>,
    state: Mutex<State<K, V>>,
    reads: AtomicU64,
}

struct State<K, V> {
    waiting: HashMap<K, Waiting<V>>,
    under_way: bool,
}

impl<K, V> fmt::Debug for Together<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Together").field("reads", &self.0.reads).finish_non_exhaustive()
    }
}

impl<K, V> Together<K, V>
where
    K: Hash + Eq + Clone + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    /// Reads with `read`, which returns what there is of the keys it is given.
    pub fn new(
        read: impl Fn(Vec<K>) -> BoxFuture<'static, Result<Vec<(K, V)>, StoreError>> + Send + Sync + 'static,
    ) -> Self {
        let state = State { waiting: HashMap::new(), under_way: false };
        Self(Arc::new(Inner { read: Box::new(read), state: Mutex::new(state), reads: AtomicU64::new(0) }))
    }

    /// The value of `key`, if there is one.
    ///
    /// # Errors
    /// The failure of the read that it was part of.
    pub async fn get(&self, key: K) -> Result<Option<V>, TogetherError> {
        self.ask(key).await.unwrap_or(Err(TogetherError::GivenUp))
    }

    /// The values of `keys`, in the order asked.
    ///
    /// # Errors
    /// As [`Together::get`].
    pub async fn get_all(&self, keys: impl IntoIterator<Item = K>) -> Result<Vec<Option<V>>, TogetherError> {
        let asked: Vec<_> = keys.into_iter().map(|key| self.ask(key)).collect();
        let mut values = Vec::with_capacity(asked.len());
        for told in asked {
            values.push(told.await.unwrap_or(Err(TogetherError::GivenUp))?);
        }
        Ok(values)
    }

    /// How many reads there were.
    #[must_use]
    pub fn reads(&self) -> u64 {
        self.0.reads.load(Ordering::Relaxed)
    }

    fn ask(&self, key: K) -> oneshot::Receiver<Result<Option<V>, TogetherError>> {
        let (tell, told) = oneshot::channel();
        let mut state = self.0.state.lock();
        state.waiting.entry(key).or_default().push(tell);
        if !std::mem::replace(&mut state.under_way, true) {
            tokio::spawn(Inner::carry_out(self.0.clone()));
        }
        told
    }
}

/// Held by the task that reads, until it has found nobody waiting.
struct UnderWay<K, V>(Option<Arc<Inner<K, V>>>);

impl<K, V> Drop for UnderWay<K, V> {
    /// A read that panics: all who wait are told that it is given up, and the next who asks begins another.
    fn drop(&mut self) {
        if let Some(inner) = &self.0 {
            let mut state = inner.state.lock();
            state.under_way = false;
            state.waiting.clear();
        }
    }
}

impl<K, V> Inner<K, V>
where
    K: Hash + Eq + Clone + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    async fn carry_out(this: Arc<Self>) {
        let mut under_way = UnderWay(Some(this.clone()));
        while let Some(asked) = this.next() {
            let keys = asked.keys().cloned().collect();
            this.reads.fetch_add(1, Ordering::Relaxed);
            match (this.read)(keys).await {
                Ok(found) => answer(asked, found),
                Err(error) => fail(asked, &TogetherError::Store(Arc::new(error))),
            }
            this.linger().await;
        }
        // Another may have begun already.
        under_way.0 = None;
    }

    /// Takes what waits, at most [`KEYS_MAX`] keys; `None` ends the reading.
    fn next(&self) -> Option<HashMap<K, Waiting<V>>> {
        let mut state = self.state.lock();
        if state.waiting.len() <= KEYS_MAX {
            let asked = std::mem::take(&mut state.waiting);
            // Under the lock, so that whoever asks from now on begins anew.
            state.under_way = !asked.is_empty();
            return state.under_way.then_some(asked);
        }
        let keys: Vec<K> = state.waiting.keys().take(KEYS_MAX).cloned().collect();
        Some(keys.into_iter().filter_map(|key| state.waiting.remove_entry(&key)).collect())
    }

    /// Waits for others while they keep coming, if anybody came at all.
    async fn linger(&self) {
        let begun = Instant::now();
        let mut waiting = self.state.lock().waiting.len();
        while waiting > 0 && waiting < KEYS_MAX && begun.elapsed() < LINGER_MAX {
            tokio::time::sleep(if waiting < RUSH { LULL } else { RUSH_LULL }).await;
            let now = self.state.lock().waiting.len();
            if now == waiting {
                return;
            }
            waiting = now;
        }
    }
}

fn answer<K: Hash + Eq, V: Clone>(mut asked: HashMap<K, Waiting<V>>, found: Vec<(K, V)>) {
    for (key, value) in found {
        for tell in asked.remove(&key).into_iter().flatten() {
            // Who stopped waiting needs no answer.
            let _ = tell.send(Ok(Some(value.clone())));
        }
    }
    for tell in asked.into_values().flatten() {
        let _ = tell.send(Ok(None));
    }
}

fn fail<K, V>(asked: HashMap<K, Waiting<V>>, error: &TogetherError) {
    for tell in asked.into_values().flatten() {
        let _ = tell.send(Err(error.clone()));
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use tokio::sync::Semaphore;

    use super::*;

    /// How long a read takes that is not instant.
    const READ_TAKES: Duration = Duration::from_millis(2);

    /// Doubles even numbers, when let; counts the keys of each read.
    fn doubles(let_go: Arc<Semaphore>, sizes: Arc<Mutex<Vec<usize>>>, takes: Duration) -> Together<u32, u32> {
        Together::new(move |keys: Vec<u32>| {
            let (let_go, sizes) = (let_go.clone(), sizes.clone());
            async move {
                sizes.lock().push(keys.len());
                tokio::time::sleep(takes).await;
                let_go.acquire().await.expect("open").forget();
                Ok(keys.into_iter().filter(|key| key % 2 == 0).map(|key| (key, 2 * key)).collect())
            }
            .boxed()
        })
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_asked_for_during_a_read_goes_together_in_the_next() {
        let (let_go, sizes) = (Arc::new(Semaphore::new(0)), Arc::default());
        let together = Arc::new(doubles(let_go.clone(), Arc::clone(&sizes), Duration::ZERO));
        let first = tokio::spawn({
            let together = together.clone();
            async move { together.get(2).await }
        });
        while sizes.lock().is_empty() {
            tokio::task::yield_now().await;
        }
        let others = tokio::spawn({
            let together = together.clone();
            async move { together.get_all([2, 3, 4, 4]).await }
        });
        tokio::task::yield_now().await;
        let_go.add_permits(2);
        assert_eq!(first.await.expect("a task").expect("a value"), Some(4));
        let values = others.await.expect("a task").expect("values");
        assert_eq!(values, [Some(4), None, Some(8), Some(8)]);
        assert_eq!(*sizes.lock(), [1, 3], "the second read had each key once, the one that was being read too");
    }

    #[tokio::test(start_paused = true)]
    async fn those_who_come_one_after_the_other_wait_for_no_timer() {
        let (let_go, sizes) = (Arc::new(Semaphore::new(100)), Arc::default());
        let together = doubles(let_go, sizes, READ_TAKES);
        let began = tokio::time::Instant::now();
        for key in 0..100 {
            together.get(key).await.expect("a value");
        }
        assert_eq!((began.elapsed(), together.reads()), (100 * READ_TAKES, 100));
    }

    #[tokio::test(start_paused = true)]
    async fn a_rush_is_read_ten_times_a_second_however_long_it_lasts() {
        let (let_go, sizes) = (Arc::new(Semaphore::new(1_000)), Arc::default());
        let together = Arc::new(doubles(let_go, sizes, READ_TAKES));
        let mut asked = Vec::new();
        for key in 0..4_000 {
            let together = together.clone();
            asked.push(tokio::spawn(async move { together.get(key).await }));
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        for told in asked {
            told.await.expect("a task").expect("a value");
        }
        assert!(together.reads() <= 45, "{} reads in 4 s", together.reads());
    }

    #[tokio::test(start_paused = true)]
    async fn all_who_asked_are_told_of_a_failure_and_the_next_read_is_another() {
        let fails = Arc::new(std::sync::atomic::AtomicBool::new(true));
        let together: Together<u32, u32> = Together::new({
            let fails = fails.clone();
            move |keys| {
                let failed = fails.load(Ordering::Relaxed);
                async move {
                    match failed {
                        true => Err(StoreError::Read { what: "numbers", source: "gone".into() }),
                        false => Ok(keys.into_iter().map(|key| (key, key)).collect()),
                    }
                }
                .boxed()
            }
        });
        let told = together.get_all([1, 2]).await.expect_err("the store failed");
        assert_eq!(told.to_string(), "could not read numbers");
        fails.store(false, Ordering::Relaxed);
        assert_eq!(together.get(1).await.expect("a value"), Some(1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_read_that_panics_leaves_nobody_waiting() {
        let first = Arc::new(std::sync::atomic::AtomicBool::new(true));
        let together: Together<u32, u32> = Together::new(move |keys| {
            let panics = first.swap(false, Ordering::Relaxed);
            async move {
                assert!(!panics, "on purpose");
                Ok(keys.into_iter().map(|key| (key, key)).collect())
            }
            .boxed()
        });
        assert!(matches!(together.get(1).await, Err(TogetherError::GivenUp)));
        assert_eq!(together.get(1).await.expect("a value"), Some(1));
    }
}
