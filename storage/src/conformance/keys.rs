//! A key is found again for as long as its room is: in the hot window and far behind it.

use std::sync::Arc;

use hubbub_protocol::{
    ids::{Seq, UserId},
    time::Timestamp,
};

use super::world::{ADA, BOB, DAWN, EVE, MANY, OTHER_ROOM, Owner, ROOM, SHARD, deletes, key, reacts, says};
use crate::{RecentKey, Store};

/// Messages of a room under test.
const MESSAGES: u128 = 40;
/// Messages that share one time.
const EQUAL: u128 = 5;

/// Fills a room: of every [`EQUAL`] messages at one time the third has no key, and a reaction
/// follows. Returns the keys, oldest first.
async fn filled(owner: &mut Owner) -> Vec<RecentKey> {
    let mut keys = Vec::new();
    for number in 0..MESSAGES {
        if number % EQUAL == 0 {
            owner.now = owner.now.plus_ms(1_000);
        }
        let by = if number % 2 == 0 { ADA } else { BOB };
        let key = (number % EQUAL != 2).then(|| key(number));
        let seq = owner.stage_keyed(ROOM, by, key, says("keyed"));
        owner.stage(ROOM, EVE, reacts(seq, "👍"));
        let ts = owner.now;
        keys.extend(key.map(|key| RecentKey { by, key, seq, ts }));
    }
    owner.stage(ROOM, ADA, deletes(Seq(1)));
    owner.commit().await;
    keys
}

/// Before, at and after each time that occurs.
fn times() -> impl Iterator<Item = Timestamp> {
    let rounds = i64::try_from(MESSAGES / EQUAL).expect("small") + 2;
    (0..rounds)
        .flat_map(|round| [-1, 0, 1].map(|off| DAWN.plus_ms(round * 1_000 + off)))
        .chain([Timestamp(i64::MIN), Timestamp(i64::MAX)])
}

pub async fn recent_keys_are_those_of_the_window_newest_first(store: Arc<dyn Store>) {
    let mut owner = Owner::of(&store, SHARD).await;
    let keys = filled(&mut owner).await;
    for since in times() {
        let known = keys.iter().rev().copied();
        let recent: Vec<_> = known.filter(|known| known.ts >= since).collect();
        for limit in [1, 3, MANY] {
            let got = store.recent_keys(ROOM, since, limit).await;
            let wanted = &recent[..recent.len().min(limit)];
            assert_eq!(got.expect("a read"), wanted, "since {since}");
        }
    }
    let elsewhere = store.recent_keys(OTHER_ROOM, DAWN, MANY).await;
    assert_eq!(elsewhere.expect("a read"), []);
}

pub async fn a_key_of_any_age_is_found_from_its_time_on(store: Arc<dyn Store>) {
    let mut owner = Owner::of(&store, SHARD).await;
    let keys = filled(&mut owner).await;
    for known in &keys {
        for since in times() {
            let got = store.find_key(ROOM, known.by, known.key, since).await;
            let wanted = Some(*known).filter(|known| known.ts >= since);
            assert_eq!(got.expect("a read"), wanted, "since {since}");
        }
    }
}

pub async fn a_key_that_was_never_used_is_not_found(store: Arc<dyn Store>) {
    let mut owner = Owner::of(&store, SHARD).await;
    let keys = filled(&mut owner).await;
    let absent = async |room, by: UserId, key, since| {
        let got = store.find_key(room, by, key, since).await;
        assert_eq!(got.expect("a read"), None);
    };
    for since in times() {
        absent(ROOM, ADA, key(2), since).await;
        absent(ROOM, ADA, key(MESSAGES + 1), since).await;
        absent(OTHER_ROOM, keys[0].by, keys[0].key, since).await;
        absent(ROOM, EVE, keys[0].key, since).await;
    }
}

pub async fn two_people_may_use_one_key(store: Arc<dyn Store>) {
    let mut owner = Owner::of(&store, SHARD).await;
    let shared = key(1);
    for (room, by) in [(ROOM, ADA), (ROOM, BOB), (OTHER_ROOM, ADA)] {
        owner.stage(room, EVE, says("between"));
        owner.stage_keyed(room, by, Some(shared), says("mine"));
    }
    owner.commit().await;
    for (room, by, seq) in [(ROOM, ADA, 2), (ROOM, BOB, 4), (OTHER_ROOM, ADA, 2)] {
        let got = store.find_key(room, by, shared, DAWN).await;
        let seq_found = got.expect("a read").map(|known| known.seq);
        assert_eq!(seq_found, Some(Seq(seq)));
    }
}
