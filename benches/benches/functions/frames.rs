//! Making what clients are sent: once for each message and format, whoever receives it.

use std::hint::black_box;

use criterion::{BatchSize, Criterion};
use hubbub_protocol::{
    event::Event,
    frame::{Format, Frame},
    op::Request,
};

use super::samples;

pub(crate) fn all(c: &mut Criterion) {
    let mut group = c.benchmark_group("frame");
    let event = samples::event();
    let push = event.encode();
    group.bench_function("encode an event as JSON", |b| b.iter(|| black_box(&event).encode()));
    group.bench_function("frame of an event, JSON", |b| b.iter(|| Frame::event(black_box(&event))));
    group.bench_function("MessagePack out of the JSON frame", |b| {
        b.iter_batched(|| Frame::new(&push), |frame| frame.wire(Format::MessagePack).len(), BatchSize::SmallInput);
    });
    group.bench_function("decode a stored event", |b| b.iter(|| Event::decode(black_box(&push))));
    let send = serde_json::json!({
        "id": 7, "op": "send", "room": samples::ROOM, "key": samples::key(), "text": samples::post().text,
    });
    for format in [Format::Json, Format::MessagePack] {
        let payload = format.write(&send);
        group.bench_function(format!("read a send, {format:?}"), |b| {
            b.iter(|| Request::decode(black_box(&payload), format));
        });
    }
    group.finish();
}
