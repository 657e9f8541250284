//! What an operator does on purpose, under load: a shard is moved, all nodes are restarted.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use anyhow::Context as _;
use hubbub_client::{Client, Draft};
use hubbub_protocol::{ids::RoomId, shard::ShardBits};
use tokio::{
    sync::watch,
    task::JoinHandle,
    time::{Instant, sleep},
};

use super::{Ground, Times, settled};
use crate::{
    chaos::{nemesis, people::Shared, recorder::record, run::Orders, stage::connect},
    history::{Op, Record},
};

/// Writers at each node.
const WRITERS: usize = 4;
/// Rooms.
const ROOMS: usize = 12;
/// From an answer to the next send of a writer: some 300 messages a second of all.
const PAUSE: Duration = Duration::from_millis(20);
/// How long the writers write before and after what is measured.
const AROUND: Duration = Duration::from_secs(3);
/// The default of `store.shard_bits`.
const SHARD_BITS: u8 = 6;

/// Somebody who sends one message after the other, as the client does it: with its own retry.
struct Writer {
    name: String,
    client: Client,
    room: RoomId,
    shared: Arc<Shared>,
}

impl Writer {
    /// Writes until `over`; returns when each message was acknowledged.
    async fn write(self, over: watch::Receiver<bool>) -> Vec<Instant> {
        let mut acked = Vec::new();
        while !*over.borrow() {
            let draft = Draft::new(self.room, "steadily");
            let line =
                |op| Record { key: Some(draft.key.to_string()), ..record(&self.name, op, &self.room.to_string()) };
            self.shared.recorder.note(&line(Op::Send));
            match self.client.send_draft(&draft, Duration::from_secs(60)).await {
                Ok(sent) => {
                    self.shared.recorder.note(&Record { seq: Some(sent.seq.0), ..line(Op::Ack) });
                    self.shared.tally.acks.fetch_add(1, Ordering::Relaxed);
                    acked.push(Instant::now());
                }
                Err(error) => {
                    self.shared.recorder.note(&line(Op::Unknown));
                    self.shared.tally.failed.fetch_add(1, Ordering::Relaxed);
                    self.shared
                        .trouble(format!("a send of {} failed after the client's own retry: {error}", self.name));
                }
            }
            sleep(PAUSE).await;
        }
        acked
    }
}

type Writing = JoinHandle<Vec<Instant>>;

async fn writers(ground: &Ground, over: &watch::Receiver<bool>) -> anyhow::Result<Vec<Writing>> {
    let mut writing = Vec::new();
    for number in 0..WRITERS * ground.members.len() {
        let name = format!("writer-{number}");
        let (client, mut updates) =
            connect(&ground.members, &ground.stage, &name, number % ground.members.len()).await?;
        tokio::spawn(async move { while updates.next().await.is_some() {} });
        let room = ground.stage.rooms[number % ROOMS];
        let writer = Writer { name, client, room, shared: ground.shared.clone() };
        writing.push(tokio::spawn(writer.write(over.clone())));
    }
    Ok(writing)
}

/// Longest time without an acknowledgement that overlaps `from..to`, of any one writer.
fn longest_gap(acked: &[Instant], from: Instant, to: Instant) -> Option<Duration> {
    acked.windows(2).filter(|pair| pair[1] > from && pair[0] < to).map(|pair| pair[1] - pair[0]).max()
}

/// Moves the shard of a room to another node `count` times, while somebody writes to it all the time.
///
/// # Errors
/// When a move is refused.
pub async fn shard_moves(orders: &Orders, count: usize, tell: impl Fn(&str)) -> anyhow::Result<Vec<String>> {
    let mut ground = Ground::lay(orders, ROOMS).await?;
    settled(&ground.members, AROUND).await?;
    let (end, over) = watch::channel(false);
    let writing = writers(&ground, &over).await?;
    sleep(AROUND).await;
    let mut moves = Vec::new();
    for number in 0..count {
        let which = number % ROOMS;
        let room = ground.stage.rooms[which];
        let shard = ShardBits::new(SHARD_BITS).shard_of(room).to_string();
        let owner = ground.members.owner(room).await.context("nobody owns the room")?;
        let to = ground.members.called_in_cluster((owner + 1) % ground.members.len()).to_string();
        let from = Instant::now();
        ground.members.tell(owner, &["shard", "move", &shard, "--to", &to, "--wait"]).await?;
        sleep(Duration::from_millis(500)).await;
        moves.push((which, from, Instant::now()));
        tell(&format!("{number:3}: shard {shard} from n{owner} to node {to}"));
    }
    sleep(AROUND).await;
    let _ = end.send(true);
    let mut acked = Vec::new();
    for writing in writing {
        acked.push(writing.await?);
    }
    let mut pauses = Times::default();
    for (room, from, to) in moves {
        // All who write to that room feel the move; the longest of their pauses counts.
        let gaps = acked.iter().skip(room).step_by(ROOMS).filter_map(|acked| longest_gap(acked, from, to));
        pauses.add(gaps.max().unwrap_or(AROUND * 100));
    }
    let mut lines = vec![pauses.line("write pause at a planned move")];
    finish(&mut ground, &mut lines).await?;
    Ok(lines)
}

/// Restarts all nodes one after the other `count` times under load.
///
/// # Errors
/// When a node does not end in good order, or does not come back.
pub async fn rolling(orders: &Orders, count: usize, tell: impl Fn(&str)) -> anyhow::Result<Vec<String>> {
    let mut ground = Ground::lay(orders, ROOMS).await?;
    settled(&ground.members, AROUND).await?;
    let (end, over) = watch::channel(false);
    let writing = writers(&ground, &over).await?;
    sleep(AROUND).await;
    let (from, mut took) = (Instant::now(), Times::default());
    for number in 0..count {
        let begun = Instant::now();
        nemesis::rolling(&ground.members).await?;
        took.add(begun.elapsed());
        tell(&format!("{number:3}: all nodes restarted in {:.1} s", begun.elapsed().as_secs_f64()));
        settled(&ground.members, AROUND).await?;
    }
    let to = Instant::now();
    let _ = end.send(true);
    let mut gaps = Times::default();
    for writing in writing {
        gaps.add(longest_gap(&writing.await?, from, to).unwrap_or(to - from));
    }
    let mut lines = vec![took.line("restart of all nodes"), gaps.line("longest pause of each writer")];
    finish(&mut ground, &mut lines).await?;
    Ok(lines)
}

async fn finish(ground: &mut Ground, lines: &mut Vec<String>) -> anyhow::Result<()> {
    let complaints = ground.complaints().await?;
    let count = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
    let tally = &ground.shared.tally;
    lines.push(format!("{} sends acknowledged, {} failed", count(&tally.acks), count(&tally.failed)));
    lines.push(format!("lost, doubled, disordered or failed: {}", complaints.len()));
    lines.extend(complaints);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gap_of_a_move_is_the_longest_that_touches_it() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let acked = [at(0), at(500), at(520), at(600), at(610)];
        assert_eq!(longest_gap(&acked, at(510), at(605)), Some(Duration::from_millis(80)));
        assert_eq!(longest_gap(&acked[..1], at(0), at(9)), None);
    }
}
