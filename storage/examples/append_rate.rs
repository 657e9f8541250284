//! Measures the embedded store: what an append costs, and what a page of history costs beside it.
//!
//! ```text
//! cargo run --release --workspace --example append_rate -- [FOLDER]
//! ```
//!
//! The file is made in `FOLDER` (the system's temporary folder without one) and removed at the end,
//! so the figures are those of the disk that `FOLDER` is on. Every append is durable: one commit, one
//! sync of the journal. Events are of 220 bytes, spread over 100 rooms of 16 shards; at the end one
//! room is filled up, to see whether a page costs more in a large room.
#![expect(clippy::print_stdout, reason = "a program that prints its figures")]

use std::{env, error::Error, path::PathBuf, time::Instant};

use hubbub_protocol::{
    event::{Created, Event, EventBody},
    ids::{Epoch, MessageKey, NodeId, RoomId, Seq, ShardSeq, UserId},
    shard::ShardId,
    time::Timestamp,
};
use hubbub_storage::{AppendBatch, AppendOutcome, LogStore, NewEvent, ShardAppend, SqliteStore, Window};
use uuid::Uuid;

const SHARDS: u32 = 16;
const ROOMS: u64 = 100;
/// Appends of one event; batches of 100; batches of 256.
const RUNS: [(usize, usize); 3] = [(1, 5_000), (100, 500), (256, 800)];
const PAGES: usize = 500;
const PAGE: usize = 50;

/// An owner of all shards: counts as an owner does.
struct Owner {
    store: SqliteStore,
    heads: Vec<ShardSeq>,
    rooms: Vec<Seq>,
    sent: u64,
    /// How many of the rooms are talked in.
    busy: u64,
}

impl Owner {
    async fn of(store: SqliteStore) -> Result<Self, Box<dyn Error>> {
        let shards: Vec<(ShardId, Epoch)> = (0..SHARDS).map(|shard| (ShardId(shard), Epoch(1))).collect();
        store.activate(&shards, NodeId(1)).await?;
        Ok(Self {
            store,
            heads: vec![ShardSeq(0); SHARDS as usize],
            rooms: vec![Seq(0); ROOMS as usize],
            sent: 0,
            busy: ROOMS,
        })
    }

    fn batch(&mut self, events: usize) -> AppendBatch {
        let mut shards: Vec<ShardAppend> = Vec::new();
        for _ in 0..events {
            let room = self.sent % self.busy;
            let shard = ShardId((room % u64::from(SHARDS)) as u32);
            let at = shard.0 as usize;
            let place = shards.iter().position(|part| part.shard == shard).unwrap_or_else(|| {
                let (old_head, epoch) = (self.heads[at], Epoch(1));
                shards.push(ShardAppend { shard, epoch, old_head, events: Vec::new(), effects: Vec::new() });
                shards.len() - 1
            });
            let seq = &mut self.rooms[room as usize];
            *seq = seq.next();
            let event = event(RoomId::from_raw(1_000 + room), *seq, self.sent);
            let push = event.encode();
            let shard_seq = shards[place].new_head().next();
            shards[place].events.push(NewEvent::of(&event, shard_seq, push));
            self.sent += 1;
        }
        for part in &shards {
            self.heads[part.shard.0 as usize] = part.new_head();
        }
        AppendBatch { shards }
    }

    async fn appends(&mut self, events: usize, times: usize) -> Result<(), Box<dyn Error>> {
        let batches: Vec<AppendBatch> = (0..times).map(|_| self.batch(events)).collect();
        let mut took_us = Vec::with_capacity(times);
        let start = Instant::now();
        for batch in &batches {
            let begun = Instant::now();
            let outcomes = self.store.append(batch).await?;
            took_us.push(begun.elapsed().as_micros());
            if outcomes.iter().any(|outcome| *outcome != AppendOutcome::Committed) {
                return Err(format!("an append was not committed: {outcomes:?}").into());
            }
        }
        let rate = (events * times) as f64 / start.elapsed().as_secs_f64();
        println!("append  {events:>4} a batch  {rate:>8.0} events/s  {}", spread(&mut took_us));
        Ok(())
    }

    /// Pages of rooms among the first `rooms`.
    async fn pages(&self, window: Window, rooms: u64) -> Result<(), Box<dyn Error>> {
        let mut took_us = Vec::with_capacity(PAGES);
        for turn in 0..PAGES {
            let room = RoomId::from_raw(1_000 + turn as u64 % rooms);
            let begun = Instant::now();
            let page = self.store.messages(room, window, PAGE).await?;
            took_us.push(begun.elapsed().as_micros());
            if page.messages.len() != PAGE {
                return Err(format!("a page of {} messages", page.messages.len()).into());
            }
        }
        let size = self.rooms[0].0;
        println!("page of {PAGE:>4}, rooms of {size:>7}  {window:?}: {}", spread(&mut took_us));
        Ok(())
    }
}

fn event(room: RoomId, seq: Seq, sent: u64) -> Event {
    let text = "so it goes, one line after the other, as people talk".into();
    Event {
        room,
        seq,
        ts: Timestamp(1_795_435_200_000 + sent.cast_signed()),
        by: UserId::from_raw(1 + sent % 7),
        key: Some(MessageKey(Uuid::from_u128(u128::from(sent)))),
        body: EventBody::MessageCreated(Box::new(Created { text, ..Created::default() })),
    }
}

fn spread(took_us: &mut [u128]) -> String {
    took_us.sort_unstable();
    let at = |percent: usize| took_us[(took_us.len() * percent / 100).min(took_us.len() - 1)];
    format!("p50 {:>6} µs  p99 {:>6} µs  longest {:>6} µs", at(50), at(99), at(100))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let parent = env::args_os().nth(1).map_or_else(env::temp_dir, PathBuf::from);
    let folder = tempfile::TempDir::new_in(parent)?;
    let store = SqliteStore::open(&folder.path().join("hubbub.sqlite")).await?;
    let mut owner = Owner::of(store.clone()).await?;
    for (events, times) in RUNS {
        owner.appends(events, times).await?;
    }
    owner.pages(Window::Newest, ROOMS).await?;
    owner.busy = 1;
    owner.appends(256, 400).await?;
    owner.pages(Window::Newest, 1).await?;
    owner.pages(Window::Around(Seq(owner.rooms[0].0 / 2)), 1).await?;
    let begun = Instant::now();
    owner.store.counts(&[RoomId::from_raw(1_000)]).await?;
    println!("count of a room of {}: {} µs", owner.rooms[0].0, begun.elapsed().as_micros());
    store.close().await;
    Ok(())
}
