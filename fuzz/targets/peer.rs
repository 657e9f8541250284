//! Bytes that another node may send: lanes and the messages on them, greetings, knocks, and facts of a snapshot.
//!
//! A finding is a panic, a value that is not written as it was read, or memory beyond libFuzzer's limit.
#![no_main]

use hubbub_actors::peers::{samples, wire};
use hubbub_cluster::probe;

libfuzzer_sys::fuzz_target!(
    init: hubbub_fuzz::plant(probe::seeds().into_iter().chain(samples::envelopes().into_iter().map(probe::seed))),
    |bytes: &[u8]| {
        let _ = probe::read(bytes, wire::probe);
    }
);
