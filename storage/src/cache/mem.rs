//! A cache in memory, for tests: what is put can be taken back, put by hand, or frozen.

use std::{collections::HashMap, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;

use super::{CacheStatus, HINT_BYTES_MAX, Hint, HintCache, Spent};

/// See the module. Its buckets never empty by themselves.
#[derive(Debug, Default)]
pub struct MemCache(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    hints: HashMap<Hint, Bytes>,
    filled: HashMap<Vec<u8>, u64>,
    frozen: bool,
    away: bool,
    status: CacheStatus,
}

impl MemCache {
    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Forgets everything.
    pub fn flush(&self) {
        let mut state = self.0.lock();
        state.hints.clear();
        state.filled.clear();
    }

    /// From now on nothing that is put is kept; what is there grows old.
    pub fn freeze(&self) {
        self.0.lock().frozen = true;
    }

    /// Answers nothing from now on, or answers again.
    pub fn set_away(&self, away: bool) {
        let mut state = self.0.lock();
        state.away = away;
        state.status.open = away;
    }

    /// What is kept, seen by nobody.
    #[must_use]
    pub fn peek(&self, hint: Hint) -> Option<Bytes> {
        self.0.lock().hints.get(&hint).cloned()
    }

    /// Puts a value, frozen or not.
    pub fn force(&self, hint: Hint, value: Bytes) {
        self.0.lock().hints.insert(hint, value);
    }
}

#[async_trait]
impl HintCache for MemCache {
    async fn get(&self, hint: Hint) -> Option<Bytes> {
        let mut state = self.0.lock();
        if state.away {
            state.status.skipped += 1;
            return None;
        }
        let value = state.hints.get(&hint).cloned();
        let count = if value.is_some() { &mut state.status.hits } else { &mut state.status.misses };
        *count += 1;
        value
    }

    async fn put(&self, hints: &[(Hint, Bytes)]) -> Option<()> {
        let mut state = self.0.lock();
        if state.away {
            return None;
        }
        if !state.frozen {
            let fits = |(_, value): &&(Hint, Bytes)| value.len() <= HINT_BYTES_MAX;
            state.hints.extend(hints.iter().filter(fits).cloned());
        }
        Some(())
    }

    async fn spend(&self, spent: &[Spent]) -> Option<Vec<u64>> {
        let mut state = self.0.lock();
        if state.away {
            return None;
        }
        let fill = |one: &Spent| {
            let filled = state.filled.entry(one.bucket.clone()).or_default();
            *filled = (*filled + one.cost_ms).min(one.full_ms + one.cost_ms);
            *filled
        };
        Some(spent.iter().map(fill).collect())
    }

    async fn probe(&self) -> Result<Duration, String> {
        if self.0.lock().away { Err("a test took it away".to_owned()) } else { Ok(Duration::ZERO) }
    }

    fn status(&self) -> CacheStatus {
        CacheStatus { there: true, ..self.0.lock().status }
    }
}
