//! Owners that race for a shard: whatever the schedule, there is one feed and one order of owners.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use hubbub_protocol::{
    event::Event,
    ids::{Epoch, RoomId, Seq, ShardSeq, UserId},
    shard::ShardId,
    time::Timestamp,
};
use tokio::task::JoinSet;

use super::world::{ADA, MANY, Owner, ROOM, SHARD, activate, append, says};
use crate::{Activation, AppendOutcome, Effect, NewEvent, ShardAppend, Store};

/// Owners that race.
const OWNERS: u64 = 6;
/// Times each of them takes the shard over.
const TERMS: u64 = 8;
/// Appends it tries each time, unless it is fenced before.
const APPENDS: u64 = 5;

/// What one term of one owner came to.
#[derive(Debug)]
struct Term {
    epoch: Epoch,
    head: ShardSeq,
    accepted: Vec<ShardSeq>,
}

/// The only event of a batch: the epoch stands in its author, so the log tells who wrote what.
fn one_event(epoch: Epoch, old_head: ShardSeq) -> ShardAppend {
    let event = Event {
        room: ROOM,
        seq: Seq(old_head.next().0),
        ts: Timestamp(1_000),
        by: UserId::from_raw(epoch.0),
        key: None,
        body: says("race"),
    };
    ShardAppend {
        shard: SHARD,
        epoch,
        old_head,
        events: vec![NewEvent::of(&event, old_head.next(), event.encode())],
        effects: Vec::new(),
    }
}

async fn serve_term(store: &Arc<dyn Store>, epoch: Epoch) -> Option<Term> {
    let Activation::Active { head } = activate(store, SHARD, epoch).await else {
        return None;
    };
    let mut term = Term { epoch, head, accepted: Vec::new() };
    let mut at = head;
    for _ in 0..APPENDS {
        match append(store, one_event(epoch, at)).await {
            AppendOutcome::Committed => {
                at = at.next();
                term.accepted.push(at);
            }
            AppendOutcome::Fenced { epoch: newer } => {
                assert!(newer > epoch, "fenced by {newer}, not newer than {epoch}");
                break;
            }
            other => panic!("the owner of {epoch} at {at} was answered {other:?}"),
        }
        tokio::task::yield_now().await;
    }
    Some(term)
}

pub async fn each_head_counts_every_append_accepted_before(store: Arc<dyn Store>) {
    let epochs = Arc::new(AtomicU64::new(1));
    let mut owners = JoinSet::new();
    for _ in 0..OWNERS {
        let (store, epochs) = (Arc::clone(&store), Arc::clone(&epochs));
        owners.spawn(async move {
            let mut terms = Vec::new();
            for _ in 0..TERMS {
                let epoch = Epoch(epochs.fetch_add(1, Ordering::SeqCst));
                terms.extend(serve_term(&store, epoch).await);
            }
            terms
        });
    }
    let terms: Vec<Term> = owners.join_all().await.into_iter().flatten().collect();
    assert!(!terms.is_empty(), "nobody ever got the shard");
    for term in &terms {
        for other in &terms {
            for seq in &other.accepted {
                let before = other.epoch < term.epoch;
                let (epoch, head) = (term.epoch, term.head);
                assert_eq!(*seq <= head, before, "{seq} against {epoch} from {head}");
            }
        }
    }
    let feed = store.feed(SHARD, ShardSeq(0), MANY).await.expect("a read");
    let places: Vec<ShardSeq> = feed.iter().map(|event| event.shard_seq).collect();
    let dense: Vec<ShardSeq> = (1..=feed.len() as u64).map(ShardSeq).collect();
    assert_eq!(places, dense);
    let accepted: usize = terms.iter().map(|term| term.accepted.len()).sum();
    assert_eq!(feed.len(), accepted, "what was accepted is what is stored");
    let epochs: Vec<UserId> = feed.iter().map(|event| event.by).collect();
    assert!(epochs.is_sorted(), "epochs fell back: {epochs:?}");
}

pub async fn of_equal_epochs_one_is_activated(store: Arc<dyn Store>) {
    let mut owners = JoinSet::new();
    for _ in 0..OWNERS {
        let store = Arc::clone(&store);
        owners.spawn(async move { activate(&store, SHARD, Epoch(3)).await });
    }
    let answers = owners.join_all().await;
    let active = Activation::Active { head: ShardSeq(0) };
    let refused = Activation::Superseded { epoch: Epoch(3) };
    let taken = answers.iter().filter(|answer| **answer == active).count();
    assert_eq!(taken, 1, "{answers:?}");
    let others = answers.iter().filter(|answer| **answer == refused).count();
    assert_eq!(others, answers.len() - 1, "{answers:?}");
}

pub async fn a_batch_sent_twice_at_once_is_written_once(store: Arc<dyn Store>) {
    let mut owner = Owner::of(&store, SHARD).await;
    for round in 1..=20 {
        let seq = owner.stage(ROOM, ADA, says("once"));
        let user = UserId::from_raw(round);
        owner.stage_effect(Effect::PutMarker { user, room: ROOM, seq });
        let mut twins = JoinSet::new();
        for _ in 0..2 {
            let (store, part) = (Arc::clone(&store), owner.part());
            twins.spawn(async move { append(&store, part).await });
        }
        let mut outcomes = twins.join_all().await;
        outcomes.sort_by_key(|outcome| *outcome != AppendOutcome::Committed);
        owner.committed();
        let head = owner.head;
        let wanted = [AppendOutcome::Committed, AppendOutcome::Conflict { head }];
        assert_eq!(outcomes, wanted, "round {round}");
    }
    let events = store.events(ROOM, Seq(0), MANY).await.expect("a read");
    assert_eq!(events, owner.stored(ROOM));
}

/// Appends of many shards at once neither wait for each other for ever nor mix.
pub async fn shards_append_side_by_side(store: Arc<dyn Store>) {
    let mut owners = JoinSet::new();
    for shard in 0..8 {
        let store = Arc::clone(&store);
        owners.spawn(async move {
            let mut owner = Owner::of(&store, ShardId(shard)).await;
            let room = RoomId::from_raw(u64::from(shard) + 1);
            for number in 0..10 {
                owner.put(room, ADA, says(&number.to_string())).await;
            }
            owner
        });
    }
    for owner in owners.join_all().await {
        let feed = store.feed(owner.shard, ShardSeq(0), MANY).await;
        assert_eq!(feed.expect("a read"), owner.stored_feed());
    }
}
