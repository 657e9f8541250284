//! The leader's answers to heartbeats: one confirmed read for all that came in a quarter of a second.
//!
//! # Invariants
//!
//! * A heartbeat is confirmed only by a majority that was asked after it had arrived: a leader that was deposed can
//!   lengthen nobody's lease.

use parking_lot::Mutex;
use tokio::sync::oneshot;

use std::sync::Arc;

use hubbub_protocol::ids::NodeId;
use tokio::time::Instant;

use super::{
    core::Core,
    wire::{Heartbeat, HeartbeatAnswer},
};

/// Heartbeats that wait for a confirmation: each member's, and one more that came late.
const WAITING_MAX: usize = 2 * crate::control::member::MEMBERS_MAX;

/// Heartbeats that wait.
#[derive(Debug, Default)]
pub(super) struct Acks(Mutex<Vec<oneshot::Sender<bool>>>);

impl Core {
    /// Takes the heartbeat of a member, if this node leads, and answers once a majority has confirmed that it does.
    pub(super) async fn hear_heartbeat(&self, from: NodeId, beat: Heartbeat) -> HeartbeatAnswer {
        if !self.is_leader() {
            return HeartbeatAnswer::NotLeader(self.leads());
        }
        let known = self.raft.facts().read(|control| control.members.get(&from).map(|member| member.incarnation));
        match known {
            None => return HeartbeatAnswer::Stranger,
            Some(incarnation) if incarnation != beat.incarnation => {
                return HeartbeatAnswer::OtherIncarnation { incarnation };
            }
            Some(_) => {}
        }
        self.liveness.lock().heard(from, beat, Instant::now());
        let (tell, told) = oneshot::channel();
        {
            let mut waiting = self.acks.0.lock();
            if waiting.len() >= WAITING_MAX {
                return HeartbeatAnswer::NotLeader(self.leads());
            }
            waiting.push(tell);
        }
        match told.await {
            Ok(true) => HeartbeatAnswer::Confirmed { map_version: self.keeper.version(), group: self.group() },
            Ok(false) | Err(_) => HeartbeatAnswer::NotLeader(self.leads()),
        }
    }

    /// Confirms what waits, again and again.
    pub(super) async fn confirm_heartbeats(self: Arc<Self>) {
        loop {
            tokio::time::sleep(self.timing.acks_every).await;
            // Taken before the majority is asked: what comes later waits for the next round.
            let waiting = std::mem::take(&mut *self.acks.0.lock());
            if waiting.is_empty() {
                continue;
            }
            let confirmed = self.raft.confirm().await.is_ok();
            for tell in waiting {
                let _ = tell.send(confirmed);
            }
        }
    }
}
