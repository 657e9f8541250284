//! One thing at a time per user: for what is asked of the store first and written after, where two at
//! once would both find nothing, such as joining twice or beginning the same conversation twice.
//!
//! # Invariants
//!
//! * Whoever holds a gate takes no second one, so nobody waits in a circle.
//! * A gate is good on this node only; what must hold over all nodes is the store's to promise.

use hubbub_protocol::ids::UserId;
use tokio::sync::{Mutex, MutexGuard};

/// Gates there are: with a thousand joining at once, four wait at each.
const GATES: usize = 256;

/// The gates of a node.
#[derive(Debug)]
pub struct Gates(Vec<Mutex<()>>);

impl Default for Gates {
    fn default() -> Self {
        Self((0..GATES).map(|_| Mutex::default()).collect())
    }
}

impl Gates {
    /// How many are held now, of [`GATES`].
    #[must_use]
    pub fn held(&self) -> usize {
        self.0.iter().filter(|gate| gate.try_lock().is_err()).count()
    }

    /// Waits until nobody else holds the gate of `user`, and holds it.
    pub async fn of(&self, user: UserId) -> MutexGuard<'_, ()> {
        // The low bits of an id count within a millisecond; those above tell when it was made.
        let mixed = user.raw() ^ (user.raw() >> 12) ^ (user.raw() >> 22);
        let gate = usize::try_from(mixed % GATES as u64).unwrap_or(0);
        self.0[gate].lock().await
    }
}
