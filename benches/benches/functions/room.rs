//! The rules of a room: judging a post and taking its event in.

use criterion::{BatchSize, Criterion};
use hubbub_actors::room::{
    core::{Decision, RoomCore, Rules},
    keys::KeyWindow,
};
use hubbub_protocol::{ids::Seq, permissions::Permissions};
use std::hint::black_box;

use super::samples::{ADA, NOW, ROOM, post};

/// A room that has just taken in a message of each of 64 posts.
fn busy_room() -> RoomCore {
    let mut room = RoomCore::new(ROOM, Seq(0), NOW, KeyWindow::new(NOW.plus_ms(-600_000)), Rules::default());
    for _ in 0..64 {
        if let Ok(Decision::Accept(event)) = room.decide_post(ADA, Permissions::MEMBER, &post(), NOW, true) {
            room.apply(&event);
        }
    }
    assert_eq!(room.head(), Seq(64), "all of them were accepted");
    room
}

pub(crate) fn all(c: &mut Criterion) {
    let mut group = c.benchmark_group("room");
    let room = busy_room();
    let asked = post();
    group.bench_function("decide a post", |b| {
        b.iter(|| room.decide_post(ADA, Permissions::MEMBER, black_box(&asked), NOW, true));
    });
    let Ok(Decision::Accept(event)) = room.decide_post(ADA, Permissions::MEMBER, &asked, NOW, true) else {
        panic!("a member may talk");
    };
    group.bench_function("apply its event", |b| {
        b.iter_batched_ref(busy_room, |room| room.apply(black_box(&event)), BatchSize::SmallInput);
    });
    group.finish();
}
