//! Reports of users between their homes and the nodes that have them: sent until they are taken.
//!
//! For each node and user only the newest report waits. One batch at a time is under way to a node; what comes
//! meanwhile makes up the next, so a herd of devices costs few messages. A report that a node refuses, because its
//! map does not say yet that it is the user's home, is sent again.
//!
//! # Invariants
//!
//! * A report is taken out only when its receiver has it, when a newer one replaces it, when it has no receiver any
//!   more, or when the link breaks: a new link has everything reported anew.
//! * Bound: one report for each node, user and kind, of the users with an actor here.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use hubbub_protocol::ids::{Epoch, NodeId, UserId};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use super::{
    CONTROL,
    wire::{Reported, UserReports},
};
use crate::{
    context::Context,
    user::{Share, Stand, UserMessage},
};

/// Reports in one message: at most 450 KB, as a user's line has at most 128 characters and an emoji 66.
const BATCH_MAX: usize = 512;
/// How long a node may take to take a batch.
const TAKEN_WITHIN: Duration = Duration::from_secs(2);
/// First pause before sending again, doubled up to [`PAUSE_MAX`].
const PAUSE_MIN: Duration = Duration::from_millis(20);
/// Longest pause.
const PAUSE_MAX: Duration = Duration::from_secs(1);
/// Failures in a row after which a node is given up: half a minute. A new link has everything reported anew.
const FAILURES_MAX: u32 = 30;

/// What one node reports of a user to another. New variants go to the end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Report {
    /// To the home: what the sender has of the user, under the epoch of the home's shard that it knows.
    Share(Share, Epoch),
    /// From the home: how the user stands.
    Stand(Stand),
}

/// Of one user to one node at most one report of each kind waits.
type Key = (UserId, bool);

impl Report {
    const fn key(&self, user: UserId) -> Key {
        (user, matches!(self, Self::Share(..)))
    }
}

#[derive(Debug, Default)]
struct Waiting {
    reports: BTreeMap<Key, Report>,
    /// Told when what this node has of the user is known at the home.
    known: Vec<(UserId, oneshot::Sender<()>)>,
}

/// Reports that are on their way, by receiver. A node stands here as long as a task sends to it.
#[derive(Debug, Default)]
pub(crate) struct Reports(Mutex<HashMap<NodeId, Waiting>>);

impl Reports {
    /// Has a report sent until it is taken.
    pub(crate) fn put(&self, context: &Arc<Context>, to: NodeId, user: UserId, report: Report) {
        let mut all = self.0.lock();
        let sending = all.contains_key(&to);
        all.entry(to).or_default().reports.insert(report.key(user), report);
        if !sending {
            tokio::spawn(send_all(context.clone(), to));
        }
    }

    /// Tells `known` once `home` has taken what was reported of the user, at once if nothing is under way; dropped
    /// when it cannot be reached.
    pub(crate) fn tell_when_taken(&self, home: NodeId, user: UserId, known: oneshot::Sender<()>) {
        match self.0.lock().get_mut(&home) {
            Some(waiting) => waiting.known.push((user, known)),
            // Whoever stopped waiting goes on without.
            None => {
                let _: Result<(), ()> = known.send(());
            }
        }
    }

    /// Forgets what a node was to be told: its link is broken.
    pub(super) fn forget(&self, node: NodeId) {
        if let Some(waiting) = self.0.lock().get_mut(&node) {
            *waiting = Waiting::default();
        }
    }

    /// The next batch; `None`, and the node is taken out, when there is none.
    fn next(&self, to: NodeId) -> Option<Vec<(UserId, Report)>> {
        let mut all = self.0.lock();
        let waiting = all.get_mut(&to)?;
        let keys: Vec<Key> = waiting.reports.keys().take(BATCH_MAX).copied().collect();
        if keys.is_empty() {
            let done = all.remove(&to);
            for (_, known) in done.into_iter().flat_map(|done| done.known) {
                let _: Result<(), ()> = known.send(());
            }
            return None;
        }
        let taken = keys.into_iter().filter_map(|key| waiting.reports.remove(&key).map(|report| (key.0, report)));
        Some(taken.collect())
    }

    /// Puts back what was not taken, unless something newer waits.
    fn put_back(&self, to: NodeId, reports: impl IntoIterator<Item = (UserId, Report)>) {
        if let Some(waiting) = self.0.lock().get_mut(&to) {
            for (user, report) in reports {
                waiting.reports.entry(report.key(user)).or_insert(report);
            }
        }
    }

    /// Tells those whose users have nothing to report any more.
    fn taken(&self, to: NodeId) {
        if let Some(waiting) = self.0.lock().get_mut(&to) {
            let (later, now) = std::mem::take(&mut waiting.known)
                .into_iter()
                .partition(|(user, _)| waiting.reports.contains_key(&(*user, true)));
            waiting.known = later;
            for (_, known) in now {
                let _: Result<(), ()> = known.send(());
            }
        }
    }
}

/// Sends what waits for a node, until nothing does.
async fn send_all(context: Arc<Context>, to: NodeId) {
    let reports = &context.homes.reports;
    let (mut pause, mut failures) = (PAUSE_MIN, 0);
    while let Some(mut batch) = reports.next(to) {
        // A home that has moved is not told what its successor is.
        batch.retain(|(user, report)| matches!(report, Report::Stand(_)) || context.home_of(*user) == to);
        let refused = match send(&context, to, &batch).await {
            Some(strangers) => {
                failures = 0;
                batch.retain(|(user, report)| matches!(report, Report::Share(..)) && strangers.contains(user));
                batch
            }
            None => {
                failures += 1;
                batch
            }
        };
        if failures >= FAILURES_MAX {
            reports.forget(to);
            continue;
        }
        let all_taken = refused.is_empty();
        reports.put_back(to, refused);
        reports.taken(to);
        if all_taken {
            pause = PAUSE_MIN;
        } else {
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }
}

/// Sends a batch; gives the users whose home the receiver is not, `None` when it did not answer.
async fn send(context: &Context, to: NodeId, batch: &[(UserId, Report)]) -> Option<Vec<UserId>> {
    if batch.is_empty() {
        return Some(Vec::new());
    }
    let envelope = context.peers.pack(&UserReports { reports: batch.to_vec() })?;
    let answer = context.peers.bus().ask(to, CONTROL, envelope, TAKEN_WITHIN).await;
    Some(answer.ok()?.open::<Reported>().ok()?.strangers)
}

/// Takes reports of another node's; gives the users whose home this one is not.
pub(super) fn take(context: &Arc<Context>, from: NodeId, UserReports { reports }: UserReports) -> Reported {
    let mut strangers = Vec::new();
    for (user, report) in reports {
        match report {
            Report::Stand(stand) => context.users.send_if_here(user, UserMessage::Stand { home: from, stand }),
            Report::Share(..) if context.home_of(user) != context.this_node() => strangers.push(user),
            Report::Share(share, epoch) => {
                context.homes.reach(user, from, &share, epoch);
                let empty = share.is_empty();
                let told = UserMessage::Share { node: from, share, epoch };
                if empty {
                    context.users.send_if_here(user, told);
                } else {
                    context.users.send(context, user, told);
                }
            }
        }
    }
    Reported { strangers }
}
