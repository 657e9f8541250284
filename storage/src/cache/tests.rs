//! What a cache promises, on a real Redis and in memory; and how it behaves when Redis does not.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use hubbub_protocol::ids::RoomId;
use hubbub_tests::redis::{Server, shared, tell};

use super::{ANSWER_WITHIN, HINT_BYTES_MAX, Hint, HintCache, NoCache, Spent, mem::MemCache, redis::RedisCache};

const TAIL: Hint = Hint::Tail(RoomId::from_raw(7));
const SESSION: Hint = Hint::Session(7);
/// What a busy machine may add to a bound on time.
const SLACK: Duration = Duration::from_millis(450);

fn redis(url: &str, secret: &[u8]) -> RedisCache {
    RedisCache::new(url.parse().expect("a URL"), "c1", secret).expect("a client")
}

/// A cache with keys of its own on the server that tests share.
fn fresh() -> RedisCache {
    let secret = format!("{}-{:?}", std::process::id(), std::thread::current().id());
    redis(shared(), secret.as_bytes())
}

/// A first call may have to wait for the connection.
async fn warm(cache: &RedisCache) {
    cache.probe().await.expect("the server answers");
}

fn spent(bucket: &str, cost_ms: u64, full_ms: u64) -> Spent {
    Spent { bucket: bucket.into(), cost_ms, full_ms }
}

async fn what_is_put_is_there_until_it_is_replaced(cache: &dyn HintCache) {
    assert_eq!(cache.get(TAIL).await, None);
    cache.put(&[(TAIL, Bytes::from_static(b"one")), (SESSION, Bytes::from_static(b"two"))]).await.expect("kept");
    assert_eq!(cache.get(TAIL).await.as_deref(), Some(&b"one"[..]));
    assert_eq!(cache.get(SESSION).await.as_deref(), Some(&b"two"[..]));
    cache.put(&[(TAIL, Bytes::from_static(b"\0three\xff"))]).await.expect("kept");
    assert_eq!(cache.get(TAIL).await.as_deref(), Some(&b"\0three\xff"[..]));
    let status = cache.status();
    assert_eq!((status.there, status.open, status.hits, status.misses), (true, false, 3, 1));
}

async fn a_hint_of_the_largest_size_is_kept_and_a_larger_one_is_left_out(cache: &dyn HintCache) {
    let largest = Bytes::from(vec![7; HINT_BYTES_MAX]);
    let larger = Bytes::from(vec![7; HINT_BYTES_MAX + 1]);
    cache.put(&[(TAIL, largest.clone()), (SESSION, larger)]).await.expect("kept");
    assert_eq!(cache.get(TAIL).await, Some(largest));
    assert_eq!(cache.get(SESSION).await, None);
}

async fn a_bucket_is_filled_by_all_and_by_no_more_than_its_brim(cache: &dyn HintCache) {
    let near = |left: u64, wanted: u64| left <= wanted && wanted - left < 2_000;
    let left = cache.spend(&[spent("ada", 10_000, 60_000), spent("bob", 5_000, 60_000)]).await.expect("counted");
    assert!(near(left[0], 10_000) && near(left[1], 5_000), "{left:?}");
    let left = cache.spend(&[spent("ada", 20_000, 60_000)]).await.expect("counted");
    assert!(near(left[0], 30_000), "{left:?}");
    for _ in 0..5 {
        cache.spend(&[spent("ada", 20_000, 60_000)]).await.expect("counted");
    }
    let left = cache.spend(&[spent("ada", 20_000, 60_000)]).await.expect("counted");
    assert!(near(left[0], 80_000), "over the brim by one cost: {left:?}");
    assert_eq!(cache.spend(&[]).await, Some(Vec::new()));
}

macro_rules! on_both {
    ($($case:ident),+ $(,)?) => {
        mod memory {
            $(#[tokio::test] async fn $case() { super::$case(&super::MemCache::new()).await; })+
        }
        mod server {
            $(#[tokio::test] async fn $case() {
                let cache = super::fresh();
                super::warm(&cache).await;
                super::$case(&cache).await;
            })+
        }
    };
}

on_both! {
    what_is_put_is_there_until_it_is_replaced,
    a_hint_of_the_largest_size_is_kept_and_a_larger_one_is_left_out,
    a_bucket_is_filled_by_all_and_by_no_more_than_its_brim,
}

#[tokio::test]
async fn without_a_cache_everything_is_answered_by_nothing() {
    assert_eq!(NoCache.get(TAIL).await, None);
    assert_eq!(NoCache.put(&[(TAIL, Bytes::new())]).await, None);
    assert_eq!(NoCache.spend(&[spent("ada", 1, 2)]).await, None);
    assert!(!NoCache.status().there);
}

#[tokio::test]
async fn two_installations_on_one_server_do_not_see_each_other() {
    let server = Server::start();
    let caches = [redis(server.url(), b"one"), redis(server.url(), b"two")];
    let other_cluster = RedisCache::new(server.url().parse().expect("a URL"), "c2", b"one").expect("a client");
    warm(&caches[0]).await;
    caches[0].put(&[(TAIL, Bytes::from_static(b"one"))]).await.expect("kept");
    caches[0].spend(&[spent("ada", 10_000, 60_000)]).await.expect("counted");
    for other in [&caches[1], &other_cluster] {
        warm(other).await;
        assert_eq!(other.get(TAIL).await, None);
        let left = other.spend(&[spent("ada", 1_000, 60_000)]).await.expect("counted");
        assert!(left[0] <= 1_000, "{left:?}");
    }
}

#[tokio::test]
async fn every_key_goes_by_itself() {
    let server = Server::start();
    let cache = redis(server.url(), b"one");
    warm(&cache).await;
    cache.put(&[(TAIL, Bytes::from_static(b"one")), (SESSION, Bytes::from_static(b"two"))]).await.expect("kept");
    cache.spend(&[spent("ada", 10_000, 60_000)]).await.expect("counted");
    assert_eq!(server.keys(), 3);
    for _ in 0..3 {
        let line = tell(server.url(), "RANDOMKEY");
        assert!(line.starts_with('$'), "{line}");
    }
    let expiring = "EVAL \"local n=0;for _,k in ipairs(redis.call('KEYS','*'))do if redis.call('PTTL',k)>0 then \
                    n=n+1 end end;return n\" 0";
    assert_eq!(tell(server.url(), expiring), ":3");
}

#[tokio::test]
async fn a_value_that_somebody_else_wrote_reads_as_nothing() {
    let server = Server::start();
    let cache = redis(server.url(), b"one");
    warm(&cache).await;
    cache.put(&[(TAIL, Bytes::from_static(b"one"))]).await.expect("kept");
    let on_the_key = |what: &str| {
        let script = format!("EVAL \"local k=redis.call('KEYS','*tail*')[1];{what};return 1\" 0");
        assert_eq!(tell(server.url(), &script), ":1");
    };
    for forged in [
        "redis.call('SETRANGE',k,33,'two')",
        "redis.call('SET',k,'x')",
        "redis.call('SET',k,string.rep('x',900000))",
    ] {
        on_the_key(forged);
        assert_eq!(cache.get(TAIL).await, None, "{forged}");
    }
    assert_eq!((cache.status().unfit, cache.status().failures), (3, 0));
    on_the_key("redis.call('DEL',k);redis.call('LPUSH',k,'x')");
    assert_eq!(cache.get(TAIL).await, None, "of a wrong type");
    cache.put(&[(TAIL, Bytes::from_static(b"three"))]).await.expect("kept in its place");
    assert_eq!(cache.get(TAIL).await.as_deref(), Some(&b"three"[..]));
}

/// Asks until an answer comes; how long that took.
async fn until_it_answers(cache: &RedisCache) -> Duration {
    let begun = Instant::now();
    while cache.put(&[(TAIL, Bytes::from_static(b"back"))]).await.is_none() {
        assert!(begun.elapsed() < Duration::from_secs(30), "{cache:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    begun.elapsed()
}

#[tokio::test]
async fn a_server_that_is_killed_costs_little_and_is_used_again_when_it_is_back() {
    let server = Server::start();
    let cache = redis(server.url(), b"one");
    warm(&cache).await;
    cache.put(&[(TAIL, Bytes::from_static(b"one"))]).await.expect("kept");
    server.kill();
    let begun = Instant::now();
    for _ in 0..200 {
        assert_eq!(cache.get(TAIL).await, None);
    }
    assert!(begun.elapsed() < 7 * ANSWER_WITHIN + SLACK, "{:?}", begun.elapsed());
    assert!(cache.status().open, "{cache:?}");
    server.start_again();
    until_it_answers(&cache).await;
    assert_eq!(cache.get(TAIL).await.as_deref(), Some(&b"back"[..]));
    assert!(!cache.status().open);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_hangs_holds_nobody_up_for_longer_than_the_bound() {
    let server = Server::start();
    let cache = Arc::new(redis(server.url(), b"one"));
    warm(&cache).await;
    server.pause();
    let calls = (0..500).map(|_| {
        let cache = cache.clone();
        tokio::spawn(async move {
            let begun = Instant::now();
            assert_eq!(cache.get(TAIL).await, None);
            begun.elapsed()
        })
    });
    let calls: Vec<_> = calls.collect();
    let mut longest = Duration::ZERO;
    for call in calls {
        longest = longest.max(call.await.expect("no call panics"));
    }
    assert!(longest < ANSWER_WITHIN + SLACK, "{longest:?}");
    let status = cache.status();
    assert!(status.open && status.failures + status.skipped == 500 && status.skipped > 0, "{status:?}");
    server.go_on();
    until_it_answers(&cache).await;
    assert!(!cache.status().open);
}

#[tokio::test]
async fn a_server_that_is_not_there_from_the_start_is_used_once_it_is() {
    let server = Server::start();
    server.kill();
    let cache = redis(server.url(), b"one");
    assert!(cache.probe().await.is_err());
    for _ in 0..20 {
        assert_eq!(cache.get(TAIL).await, None);
    }
    server.start_again();
    until_it_answers(&cache).await;
}

#[tokio::test]
async fn a_server_that_is_full_keeps_nothing_and_answers_again_once_there_is_room() {
    let server = Server::start();
    let cache = redis(server.url(), b"one");
    warm(&cache).await;
    assert_eq!(tell(server.url(), "CONFIG SET maxmemory 1"), "+OK");
    for _ in 0..5 {
        assert_eq!(cache.put(&[(TAIL, Bytes::from_static(b"one"))]).await, None);
    }
    assert_eq!(tell(server.url(), "CONFIG SET maxmemory 64mb"), "+OK");
    until_it_answers(&cache).await;
}

#[tokio::test]
async fn a_wrong_password_is_told_by_a_probe_and_repeated_nowhere() {
    let server = Server::start();
    let wrong = server.url().replace("redis://:", "redis://:wrong-");
    let cache = redis(&wrong, b"one");
    let why = cache.probe().await.expect_err("the password is wrong");
    assert!(!why.contains("wrong-") && !format!("{cache:?}").contains("wrong-"), "{why} {cache:?}");
    assert_eq!(cache.get(TAIL).await, None);
}
