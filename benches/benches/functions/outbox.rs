//! What waits for a connection that is behind: queued, given to one vectored write, taken out.

use criterion::{BatchSize, Criterion, Throughput};
use hubbub::edge::outbox::{Kind, Outbox};
use hubbub_protocol::{frame::Format, ids::Seq};
use std::hint::black_box;

use super::samples::{ROOM, frame};

/// Frames that wait: as many as one write takes.
const WAITING: u64 = 64;

pub(crate) fn all(c: &mut Criterion) {
    let mut group = c.benchmark_group("outbox");
    group.throughput(Throughput::Elements(WAITING));
    let frame = frame();
    let bytes = frame.wire(Format::Json).len();
    let fill = |outbox: &mut Outbox| {
        for seq in 1..=WAITING {
            outbox.event(ROOM, Seq(seq), black_box(&frame), Kind::Event);
        }
    };
    group.bench_function("queue 64 events", |b| {
        b.iter_batched_ref(|| Outbox::new(Format::Json), fill, BatchSize::SmallInput);
    });
    let full = || {
        let mut outbox = Outbox::new(Format::Json);
        fill(&mut outbox);
        outbox
    };
    let write = |outbox: &mut Outbox| {
        let slices = outbox.slices().len();
        outbox.written(slices * bytes);
    };
    group.bench_function("write 64 events", |b| b.iter_batched_ref(full, write, BatchSize::SmallInput));
    group.finish();
}
