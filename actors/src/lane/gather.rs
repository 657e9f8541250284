//! What makes up the next batch.

use tokio::sync::mpsc;

use super::{After, Append, BATCH_EVENTS_MAX, Job, LANE_QUEUE_MAX};

/// Bytes of one batch, for rooms full of long messages.
const BATCH_BYTES_MAX: usize = 1024 * 1024;

pub(super) async fn next_job(left: &mut Option<Job>, queue: &mut mpsc::Receiver<Job>) -> Option<Job> {
    match left.take() {
        Some(job) => Some(job),
        None => queue.recv().await,
    }
}

/// Takes what waits, up to the bounds of one batch; what is to be done after ends it. Gives also the job that was
/// taken from the queue and does not belong to it.
pub(super) fn collect(
    first: Job,
    queue: &mut mpsc::Receiver<Job>,
    after: &mut Vec<After>,
) -> (Vec<Append>, Option<Job>) {
    let (mut appends, mut events, mut bytes) = (Vec::new(), 0, 0);
    let mut next = Some(first);
    while let Some(job) = next.take() {
        match job {
            Job::Append(append) => {
                events += append.events.len();
                bytes += append.events.iter().map(|(_, frame)| frame.payload().len()).sum::<usize>();
                appends.push(*append);
            }
            Job::After(done) => {
                after.push(done);
                return (appends, gather(queue, after));
            }
        }
        if events < BATCH_EVENTS_MAX && bytes < BATCH_BYTES_MAX {
            next = queue.try_recv().ok();
        }
    }
    (appends, None)
}

/// Takes what else is to be done after the same appends: rooms that are loaded at the same time take their shards
/// over together. A shard that is given up comes last, so that no later activation goes ahead of it.
fn gather(queue: &mut mpsc::Receiver<Job>, after: &mut Vec<After>) -> Option<Job> {
    while after.len() < LANE_QUEUE_MAX && !matches!(after.last(), Some(After::GiveUp(..))) {
        match queue.try_recv().ok()? {
            Job::After(done) => after.push(done),
            append @ Job::Append(_) => return Some(append),
        }
    }
    None
}
