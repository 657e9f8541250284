//! Whom this node hears: each peer says something every few hundred milliseconds, if only a ping.
//!
//! What is not heard for longer than a peer may be silent is reported to the leader. A process that was stopped itself
//! has heard nobody, and must not say that all others are gone: it forgives them and listens anew.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use hubbub_protocol::ids::NodeId;
use parking_lot::RwLock;
use tokio::time::Instant;

/// Most peers that one report names.
pub(super) const REPORTED_MAX: usize = 128;

/// See the module.
#[derive(Debug)]
pub(super) struct Reach {
    started: Instant,
    /// When each peer was heard last, in milliseconds after `started`.
    heard: RwLock<BTreeMap<NodeId, AtomicU64>>,
}

impl Reach {
    pub(super) fn new() -> Self {
        Self { started: Instant::now(), heard: RwLock::default() }
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// `node` said something.
    pub(super) fn heard(&self, node: NodeId) {
        if let Some(at) = self.heard.read().get(&node) {
            at.fetch_max(self.now_ms(), Ordering::Relaxed);
        }
    }

    /// Listens for these and no others. A new one counts as heard now.
    pub(super) fn listen_for(&self, peers: impl Iterator<Item = NodeId>) {
        let now = self.now_ms();
        let mut heard = self.heard.write();
        let mut old = std::mem::take(&mut *heard);
        *heard = peers.map(|node| (node, old.remove(&node).unwrap_or_else(|| AtomicU64::new(now)))).collect();
    }

    /// Counts all as heard now.
    pub(super) fn forgive(&self) {
        let now = self.now_ms();
        self.heard.read().values().for_each(|at| at.store(now, Ordering::Relaxed));
    }

    /// How long `node` has said nothing; `None` when nobody listens for it.
    pub(super) fn silence(&self, node: NodeId) -> Option<Duration> {
        let heard = self.heard.read().get(&node)?.load(Ordering::Relaxed);
        Some(Duration::from_millis(self.now_ms().saturating_sub(heard)))
    }

    /// Those who have said nothing for `limit`.
    pub(super) fn unreachable(&self, limit: Duration) -> Vec<NodeId> {
        let (now, limit) = (self.now_ms(), u64::try_from(limit.as_millis()).unwrap_or(u64::MAX));
        let heard = self.heard.read();
        let silent = heard.iter().filter(|(_, at)| now.saturating_sub(at.load(Ordering::Relaxed)) >= limit);
        silent.map(|(node, _)| *node).take(REPORTED_MAX).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_silent_peer_is_named_and_a_sleeper_forgives() {
        let (reach, limit) = (Reach::new(), Duration::from_secs(1));
        reach.listen_for([NodeId(2), NodeId(3)].into_iter());
        tokio::time::advance(Duration::from_millis(900)).await;
        reach.heard(NodeId(3));
        reach.heard(NodeId(9));
        tokio::time::advance(Duration::from_millis(200)).await;
        assert_eq!(reach.unreachable(limit), [NodeId(2)]);
        assert_eq!(reach.silence(NodeId(3)), Some(Duration::from_millis(200)));
        assert_eq!(reach.silence(NodeId(9)), None);

        reach.listen_for([NodeId(2), NodeId(4)].into_iter());
        assert_eq!(reach.unreachable(limit), [NodeId(2)], "a new peer is given time");
        tokio::time::advance(Duration::from_secs(100)).await;
        reach.forgive();
        assert!(reach.unreachable(limit).is_empty());
    }
}
