//! Criterion benches of the functions that every message passes: `cargo bench --workspace --bench functions`.
//!
//! `docs/benchmarks.md` says what they measured. A name given behind `--` picks those it is a part of.

mod codec;
mod frames;
mod outbox;
mod rights;
mod room;
mod samples;

use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};

/// Short, since all of them together are run often: 20 samples of 50 ms are within 2 % here when nothing else runs.
fn settings() -> Criterion {
    Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
}

criterion_group! {
    name = functions;
    config = settings();
    targets = frames::all, codec::all, rights::all, room::all, outbox::all
}
criterion_main!(functions);
