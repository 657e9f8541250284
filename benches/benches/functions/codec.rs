//! What nodes send each other, packed and opened: a room's events on their way to another node's relay.

use std::hint::black_box;

use criterion::{Criterion, Throughput};
use hubbub_actors::peers::wire::Deliver;
use hubbub_protocol::peer::Envelope;

use super::samples;

pub(crate) fn all(c: &mut Criterion) {
    let mut group = c.benchmark_group("codec");
    for events in [1, 16] {
        let deliver = samples::deliver(events);
        let Ok(packed) = Envelope::pack(1, &deliver) else { panic!("it is far below the bound") };
        group.throughput(Throughput::Elements(events));
        group.bench_function(format!("pack {events} deliveries"), |b| {
            b.iter(|| Envelope::pack(1, black_box(&deliver)));
        });
        group.bench_function(format!("open {events} deliveries"), |b| {
            b.iter(|| black_box(&packed).open::<Deliver>());
        });
    }
    group.finish();
}
