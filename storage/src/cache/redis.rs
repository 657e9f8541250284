//! The cache in Redis: one connection that all calls share, a bound on calls under way, a bound on the wait, a breaker.
//!
//! # Failure
//!
//! A call that fails, is late, or is not made is answered `None` and counted. The log tells when the cache is left alone
//! and when it is back, not of each call. A connection that gives no answer is replaced before the next try: its other
//! end may be gone without a word.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use ::redis::{
    Client, Cmd, FromRedisValue, Pipeline, RedisError,
    aio::{ConnectionLike, ConnectionManager, ConnectionManagerConfig},
};
use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::{Mutex, RwLock};
use tokio::{
    sync::Semaphore,
    time::{Instant, timeout},
};

use super::{
    ANSWER_WITHIN, CacheStatus, HINT_BYTES_MAX, Hint, HintCache, PUT_BYTES_MAX, SPENT_MAX, Spent,
    breaker::{After, Breaker, Turn},
    seal::{HEAD_BYTES, Sealer},
    url::RedisUrl,
};

/// Calls under way at once; the next is skipped. At 1 ms a call they are 64,000 calls a second.
const CALLS_MAX: usize = 64;
/// How long a new connection may take. Nobody waits for it for longer than for an answer.
const CONNECTS_WITHIN: Duration = Duration::from_secs(1);
/// How long a probe by an operator, or at the start, waits.
const PROBE_WITHIN: Duration = Duration::from_secs(1);
/// Tries to connect again by itself; after them the next call tries.
const CONNECT_TRIES: usize = 1;

/// Fills buckets, each by its cost and never over its brim by more than one cost, and tells how long each takes to be
/// empty. The server's clock is the one that counts. A bucket that is empty is no key.
const SPEND: &str = "
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local left = {}
for i, key in ipairs(KEYS) do
  local cost, full = tonumber(ARGV[2 * i - 1]), tonumber(ARGV[2 * i])
  local filled = math.max(tonumber(redis.call('GET', key)) or 0, now)
  filled = math.min(filled + cost, now + full + cost)
  left[i] = filled - now
  redis.call('SET', key, string.format('%.0f', filled), 'PX', math.max(left[i], 1))
end
return left";

/// The cache in Redis.
pub struct RedisCache {
    url: RedisUrl,
    client: Client,
    manager: RwLock<ConnectionManager>,
    sealer: Sealer,
    prefix: String,
    begun: Instant,
    breaker: Mutex<Breaker>,
    calls: Arc<Semaphore>,
    counts: Counts,
}

#[derive(Debug, Default)]
struct Counts {
    hits: AtomicU64,
    misses: AtomicU64,
    unfit: AtomicU64,
    failures: AtomicU64,
    skipped: AtomicU64,
}

fn count(count: &AtomicU64) {
    count.fetch_add(1, Ordering::Relaxed);
}

impl fmt::Debug for RedisCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisCache").field("url", &self.url).field("status", &self.status()).finish_non_exhaustive()
    }
}

impl RedisCache {
    /// A cache for the installation that `secret` belongs to, of `cluster`. Connects when it is asked for something.
    ///
    /// # Errors
    /// A sentence, when the driver refuses the URL.
    pub fn new(url: RedisUrl, cluster: &str, secret: &[u8]) -> Result<Self, String> {
        // The driver's error may quote the URL.
        let refused = |_: RedisError| format!("no client can be made for {url}: check its URL");
        let client = Client::open(url.info().clone()).map_err(refused)?;
        let manager = RwLock::new(connects(&client).map_err(refused)?);
        let sealer = Sealer::new(secret);
        let prefix = format!("hubbub:{cluster}:{}:", sealer.hidden(b"installation"));
        Ok(Self {
            url,
            client,
            manager,
            sealer,
            prefix,
            begun: Instant::now(),
            breaker: Mutex::default(),
            calls: Arc::new(Semaphore::new(CALLS_MAX)),
            counts: Counts::default(),
        })
    }

    /// Where it is, without a password.
    #[must_use]
    pub const fn url(&self) -> &RedisUrl {
        &self.url
    }

    fn key(&self, hint: Hint) -> String {
        format!("{}{}", self.prefix, hint.name())
    }

    /// Asks, within all bounds.
    async fn ask<T: FromRedisValue>(&self, question: Question<'_>) -> Option<T> {
        let Ok(_call) = self.calls.try_acquire() else {
            count(&self.counts.skipped);
            return None;
        };
        let turn = self.breaker.lock().turn(self.begun.elapsed());
        if turn == Turn::Skip {
            count(&self.counts.skipped);
            return None;
        }
        let mut manager = self.manager.read().clone();
        match timeout(ANSWER_WITHIN, question.ask::<T>(&mut manager)).await {
            Ok(Ok(answer)) => {
                if self.breaker.lock().answered(turn) {
                    tracing::info!(redis = %self.url, "Redis answers again");
                }
                Some(answer)
            }
            Ok(Err(error)) => self.failed(turn, &error.to_string()),
            Err(_) => {
                if turn == Turn::Probe
                    && let Ok(fresh) = connects(&self.client)
                {
                    *self.manager.write() = fresh;
                }
                self.failed(turn, &format!("no answer within {} ms", ANSWER_WITHIN.as_millis()))
            }
        }
    }

    fn failed<T>(&self, turn: Turn, why: &str) -> Option<T> {
        count(&self.counts.failures);
        if self.breaker.lock().failed(turn, self.begun.elapsed()) == After::Opened {
            tracing::warn!(redis = %self.url, why, "Redis does not answer: the node goes on without it, and tries again");
        }
        None
    }
}

fn connects(client: &Client) -> Result<ConnectionManager, RedisError> {
    let config = ConnectionManagerConfig::new()
        .set_response_timeout(Some(ANSWER_WITHIN))
        .set_connection_timeout(Some(CONNECTS_WITHIN))
        .set_number_of_retries(CONNECT_TRIES)
        .set_max_delay(CONNECTS_WITHIN)
        .set_pipeline_buffer_size(CALLS_MAX);
    ConnectionManager::new_lazy_with_config(client.clone(), config)
}

/// One command, or several whose answers come together.
enum Question<'a> {
    One(&'a Cmd),
    Many(&'a Pipeline),
}

impl Question<'_> {
    async fn ask<T: FromRedisValue>(&self, connection: &mut impl ConnectionLike) -> Result<T, RedisError> {
        match self {
            Self::One(command) => command.query_async(connection).await,
            Self::Many(commands) => commands.query_async(connection).await,
        }
    }
}

#[async_trait]
impl HintCache for RedisCache {
    async fn get(&self, hint: Hint) -> Option<Bytes> {
        let key = self.key(hint);
        let bytes_max = HEAD_BYTES + HINT_BYTES_MAX;
        // A value of any length may stand there; what is read of it has a bound.
        let mut command = Cmd::new();
        command.arg("GETRANGE").arg(&key).arg(0).arg(bytes_max);
        let value = Bytes::from(self.ask::<Vec<u8>>(Question::One(&command)).await?);
        if value.is_empty() {
            count(&self.counts.misses);
            return None;
        }
        let body = Some(value).filter(|value| value.len() <= bytes_max);
        let body = body.and_then(|value| self.sealer.open(&key, &value));
        count(if body.is_some() { &self.counts.hits } else { &self.counts.unfit });
        body
    }

    async fn put(&self, hints: &[(Hint, Bytes)]) -> Option<()> {
        let mut commands = Pipeline::new();
        let mut bytes = 0;
        for (hint, body) in hints.iter().filter(|(_, body)| body.len() <= HINT_BYTES_MAX) {
            bytes += body.len();
            if bytes > PUT_BYTES_MAX {
                break;
            }
            let key = self.key(*hint);
            let value = self.sealer.seal(&key, body);
            let ms = u64::try_from(hint.kept_for().as_millis()).unwrap_or(u64::MAX);
            commands.cmd("SET").arg(&key).arg(value).arg("PX").arg(ms).ignore();
        }
        if commands.is_empty() {
            return Some(());
        }
        self.ask(Question::Many(&commands)).await
    }

    async fn spend(&self, spent: &[Spent]) -> Option<Vec<u64>> {
        let spent = &spent[..spent.len().min(SPENT_MAX)];
        if spent.is_empty() {
            return Some(Vec::new());
        }
        let mut command = Cmd::new();
        command.arg("EVAL").arg(SPEND).arg(spent.len());
        for one in spent {
            command.arg(format!("{}limit:{}", self.prefix, self.sealer.hidden(&one.bucket)));
        }
        for one in spent {
            command.arg(one.cost_ms).arg(one.full_ms);
        }
        let left: Vec<u64> = self.ask(Question::One(&command)).await?;
        (left.len() == spent.len()).then_some(left)
    }

    async fn probe(&self) -> Result<Duration, String> {
        let begun = Instant::now();
        // By a connection of its own: what the shared one knows may be from before the server was started again.
        let mut manager = connects(&self.client).map_err(|error| error.to_string())?;
        let mut command = Cmd::new();
        command.arg("PING");
        match timeout(PROBE_WITHIN, Question::One(&command).ask::<String>(&mut manager)).await {
            Ok(Ok(_)) => {
                let took = begun.elapsed();
                *self.manager.write() = manager;
                Ok(took)
            }
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err(format!("no answer within {} s", PROBE_WITHIN.as_secs())),
        }
    }

    fn status(&self) -> CacheStatus {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let counts = &self.counts;
        CacheStatus {
            there: true,
            open: self.breaker.lock().is_open(),
            hits: read(&counts.hits),
            misses: read(&counts.misses),
            unfit: read(&counts.unfit),
            failures: read(&counts.failures),
            skipped: read(&counts.skipped),
        }
    }
}
