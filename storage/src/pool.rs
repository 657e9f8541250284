//! How a store's connections stand, for metrics.

/// How the connections of one kind stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolStatus {
    /// What they are for: `lanes`, `readers` or `writers`.
    pub name: &'static str,
    /// Most that may be open.
    pub max: usize,
    /// Open now.
    pub open: usize,
    /// Open and lent to nobody.
    pub idle: usize,
    /// How often somebody had to wait for one, since the start.
    pub waits: u64,
    /// How long they waited altogether, in milliseconds.
    pub waited_ms: u64,
    /// How often one was lost: it failed, or the server did not answer in time.
    pub lost: u64,
}

impl PoolStatus {
    /// Both taken together.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self {
            name: self.name,
            max: self.max + other.max,
            open: self.open + other.open,
            idle: self.idle + other.idle,
            waits: self.waits + other.waits,
            waited_ms: self.waited_ms + other.waited_ms,
            lost: self.lost + other.lost,
        }
    }
}
