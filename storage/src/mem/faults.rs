//! What a test can make the store in memory do wrong, from the outside and while it is in use.
//!
//! Appends take their faults one by one, in order; failing reads and writes and held appends last
//! until they are called off.

use std::{
    collections::VecDeque,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
};

use parking_lot::Mutex;
use tokio::sync::watch;

use crate::error::StoreError;

/// What happens to one append.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AppendFault {
    /// Nothing is written, and [`StoreError::Append`] is the answer.
    FailBefore,
    /// All is written that may be, and [`StoreError::Append`] is the answer.
    FailAfter,
    /// Nothing is written, and the answer is `Ambiguous` for each shard.
    AmbiguousBefore,
    /// All is written that may be, and the answer is `Ambiguous` for each shard.
    AmbiguousAfter,
    /// Another owner takes each shard over before, so that nothing is written.
    TakenOver,
}

/// Appends that are being held, and whether to hold any.
#[derive(Debug, Clone, Copy, Default)]
struct Gate {
    closed: bool,
    waiting: usize,
}

/// The switches; all off at first.
#[derive(Debug)]
pub struct Faults {
    appends: Mutex<VecDeque<AppendFault>>,
    gate: watch::Sender<Gate>,
    reads: AtomicBool,
    writes: AtomicBool,
    asked: AtomicU64,
}

impl Default for Faults {
    fn default() -> Self {
        Self {
            appends: Mutex::default(),
            gate: watch::Sender::new(Gate::default()),
            reads: AtomicBool::new(false),
            writes: AtomicBool::new(false),
            asked: AtomicU64::new(0),
        }
    }
}

impl Faults {
    /// Lets the next append that has no fault yet meet `fault`.
    pub fn next_append(&self, fault: AppendFault) {
        self.appends.lock().push_back(fault);
    }

    /// From now on appends wait before they write anything, until [`Faults::release_appends`].
    pub fn hold_appends(&self) {
        self.gate.send_modify(|gate| gate.closed = true);
    }

    /// Lets held appends go on, and later ones through.
    pub fn release_appends(&self) {
        self.gate.send_modify(|gate| gate.closed = false);
    }

    /// Returns once at least `appends` are being held.
    pub async fn until_held(&self, appends: usize) {
        let mut gate = self.gate.subscribe();
        let _open = gate.wait_for(|gate| gate.waiting >= appends).await;
    }

    /// Whether reads of log and facts fail, with [`StoreError::Read`].
    pub fn fail_reads(&self, fail: bool) {
        self.reads.store(fail, Ordering::SeqCst);
    }

    /// Whether activations and writes of facts fail, with [`StoreError::Write`].
    pub fn fail_writes(&self, fail: bool) {
        self.writes.store(fail, Ordering::SeqCst);
    }

    /// Waits at the gate, then says what shall happen to this append.
    pub(super) async fn admit_append(&self) -> Option<AppendFault> {
        if self.gate.borrow().closed {
            let _waiting = Waiting::at(&self.gate);
            let mut gate = self.gate.subscribe();
            let _open = gate.wait_for(|gate| !gate.closed).await;
        }
        self.appends.lock().pop_front()
    }

    /// Reads asked for so far.
    pub fn reads(&self) -> u64 {
        self.asked.load(Ordering::SeqCst)
    }

    pub(super) fn check_read(&self, what: &'static str) -> Result<(), StoreError> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        if self.reads.load(Ordering::SeqCst) {
            let source = "a test asked reads to fail".into();
            return Err(StoreError::Read { what, source });
        }
        Ok(())
    }

    pub(super) fn check_write(&self, what: &'static str) -> Result<(), StoreError> {
        if self.writes.load(Ordering::SeqCst) {
            let source = "a test asked writes to fail".into();
            return Err(StoreError::Write { what, source });
        }
        Ok(())
    }
}

/// Counts one held append for as long as it waits, also when its caller gives up.
struct Waiting<'a>(&'a watch::Sender<Gate>);

impl<'a> Waiting<'a> {
    fn at(gate: &'a watch::Sender<Gate>) -> Self {
        gate.send_modify(|gate| gate.waiting += 1);
        Self(gate)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|gate| gate.waiting -= 1);
    }
}
