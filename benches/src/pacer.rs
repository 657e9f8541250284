//! Sends every message of a schedule when it is due.
//!
//! A thread of its own keeps the time, since an async timer is only good to a millisecond; it hands each number to the
//! sending client's task, which makes the frame and writes it. A client whose socket is full makes nobody else wait.

use std::sync::Arc;
use std::thread;
use std::time::Instant;

use anyhow::{Result, anyhow};
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::link::Link;
use crate::peer::Peer;
use crate::scan::text_of;
use crate::schedule::{BODY_BYTES, Schedule};
use crate::ws;

/// Messages one sender may be behind. The fastest sender is due 10 times a second, so this is a stall of over a
/// minute; messages beyond are not sent, and the run says how many.
const QUEUE_MESSAGES_MAX: usize = 1_024;

/// Sends all of `schedule` through the first links and returns the numbers that were written, in order.
pub(crate) async fn pace(
    peer: Arc<dyn Peer>,
    links: Vec<Arc<Link>>,
    rooms: Arc<[String]>,
    schedule: Arc<Schedule>,
    senders: usize,
) -> Result<Vec<u32>> {
    let mut queues = Vec::with_capacity(senders);
    let mut tasks = JoinSet::new();
    for link in links.into_iter().take(senders) {
        let (queue, due) = channel(QUEUE_MESSAGES_MAX);
        queues.push(queue);
        tasks.spawn(send_all(Arc::clone(&peer), link, Arc::clone(&rooms), Arc::clone(&schedule), due));
    }
    let clock = thread::Builder::new().name("pacer".to_owned()).spawn(move || keep_time(&schedule, &queues))?;
    let mut sent = tasks.join_all().await.concat();
    clock.join().map_err(|_| anyhow!("the pacer panicked"))?;
    sent.sort_unstable();
    Ok(sent)
}

#[expect(
    clippy::disallowed_methods,
    reason = "it has a thread of its own, so that the runtime's load cannot delay it"
)]
fn keep_time(schedule: &Schedule, queues: &[Sender<u32>]) {
    for number in 0..schedule.total() {
        let wait = schedule.due(number).saturating_duration_since(Instant::now());
        if !wait.is_zero() {
            thread::sleep(wait);
        }
        // A full or closed queue leaves the message unsent; it is missing from the result.
        let _ = queues[schedule.sender(number)].try_send(number);
    }
}

async fn send_all(
    peer: Arc<dyn Peer>,
    link: Arc<Link>,
    rooms: Arc<[String]>,
    schedule: Arc<Schedule>,
    mut due: Receiver<u32>,
) -> Vec<u32> {
    let mut sent = Vec::new();
    while let Some(number) = due.recv().await {
        let room = &rooms[schedule.room(number)];
        let text = peer.say(number, room, Uuid::now_v7(), &text_of(number, BODY_BYTES));
        if link.send(ws::TEXT, text.as_bytes()).await.is_err() {
            break;
        }
        sent.push(number);
    }
    sent
}
