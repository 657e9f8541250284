//! Rate limits: buckets that leak at a steady rate, one per user or address.
//!
//! A bucket is one number, the time at which it will be empty (the generic cell rate algorithm); the
//! rule that moves it is [`Limit::take`], a function of values.
//!
//! A node without a cache counts by itself. With one, [`shared`] adds up what all nodes let pass, and a request waits for
//! none of that; while the cache is left alone, each node gives its share of a limit, so that together they give no more.
//!
//! # Invariants
//!
//! * At most `burst` requests pass at once, and one every `every_ms` in the long run; over all nodes that share a cache,
//!   after the time of one round.
//! * A kind of bucket holds a bounded number of keys; when more come at once, all start anew: it costs the limit's
//!   strictness for a moment, never memory.

mod buckets;
pub mod shared;

use std::{net::IpAddr, sync::Arc};

use axum::http::{HeaderMap, HeaderValue};
use hubbub_protocol::{
    error::{ErrorCode, Refusal},
    ids::UserId,
    ports::Placement,
    time::Timestamp,
};
use hubbub_storage::{HintCache, NoCache};

use self::buckets::Buckets;

/// How much is allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// Requests that may come at once.
    pub burst: u32,
    /// Milliseconds that earn one more.
    pub every_ms: u32,
}

/// Guesses at one account from one address: 10 at once, then one in 6 s.
const LOGIN_BY_NAME: Limit = Limit { burst: 10, every_ms: 6_000 };
/// Sign-ins, registrations and the like from one address: 60 at once, then one a second; people
/// behind one router share it.
const LOGIN_BY_ADDRESS: Limit = Limit { burst: 60, every_ms: 1_000 };
/// Requests of one user: 600 at once, then 100 a second.
const USER: Limit = Limit { burst: 600, every_ms: 10 };

/// What a bucket said of one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decision {
    /// The bucket's size.
    pub limit: u32,
    /// Requests that would pass now.
    pub remaining: u32,
    /// Milliseconds until it is empty again.
    pub reset_ms: u64,
    /// Milliseconds until the next request passes, when this one did not.
    pub retry_after_ms: Option<u64>,
}

impl Limit {
    /// One node's share of it, of so many: as long until it is empty, and as many fewer requests.
    #[must_use]
    pub const fn share(self, nodes: u32) -> Self {
        let nodes = if nodes == 0 { 1 } else { nodes };
        Self { burst: self.burst.div_ceil(nodes), every_ms: self.every_ms.saturating_mul(nodes) }
    }

    /// How long a full bucket takes to be empty.
    #[must_use]
    pub const fn full_ms(self) -> u64 {
        self.burst as u64 * self.every_ms as u64
    }

    /// Asks for one request at `now` of a bucket that is empty at `empty_at`; gives the time at
    /// which it is empty from now on.
    #[must_use]
    pub fn take(self, empty_at: Timestamp, now: Timestamp) -> (Timestamp, Decision) {
        let every = i64::from(self.every_ms.max(1));
        let full = every * i64::from(self.burst);
        let filled = now.max(empty_at).plus_ms(every);
        let over = filled.0 - now.0 - full;
        let (empty_at, retry_after_ms) =
            if over > 0 { (empty_at, Some(over.unsigned_abs())) } else { (filled, None) };
        let left = (full - (empty_at.0 - now.0).max(0)) / every;
        let decision = Decision {
            limit: self.burst,
            remaining: u32::try_from(left).unwrap_or(0),
            reset_ms: empty_at.ms_since(now),
            retry_after_ms,
        };
        (empty_at, decision)
    }
}

impl Decision {
    /// The refusal, when it is one.
    ///
    /// # Errors
    /// `rate_limited`.
    pub fn allowed(self) -> Result<Self, Refusal> {
        let refuse = |ms| Refusal::new(ErrorCode::RateLimited, "too many requests, try again later").after_ms(ms);
        self.retry_after_ms.map_or(Ok(self), |ms| Err(refuse(ms)))
    }

    /// Writes the `RateLimit-*` headers.
    pub fn write(self, headers: &mut HeaderMap) {
        let mut put = |name, value: u64| headers.insert(name, HeaderValue::from(value));
        put("ratelimit-limit", u64::from(self.limit));
        put("ratelimit-remaining", u64::from(self.remaining));
        put("ratelimit-reset", self.reset_ms.div_ceil(1_000));
    }
}

/// An address as it is counted: IPv6 by its /64, since whoever has one has all of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Neighbourhood(pub(super) u128);

impl From<IpAddr> for Neighbourhood {
    fn from(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self(address.to_ipv6_mapped().to_bits()),
            IpAddr::V6(address) => Self(address.to_bits() >> 64 << 64),
        }
    }
}

/// All limits of the REST interface.
#[derive(Debug)]
pub struct Limits {
    on: bool,
    cache: Arc<dyn HintCache>,
    /// Tells how many nodes there are; none where a node is alone.
    placement: Option<Arc<dyn Placement>>,
    login_by_name: Buckets<(Neighbourhood, String)>,
    login_by_address: Buckets<Neighbourhood>,
    user: Buckets<UserId>,
}

impl Limits {
    /// Empty buckets of one node; when not `on`, everything passes and no headers are written.
    #[must_use]
    pub fn new(on: bool) -> Self {
        Self::over(on, Arc::new(NoCache), None)
    }

    /// The same, for all nodes that share `cache`.
    #[must_use]
    pub fn shared(on: bool, cache: Arc<dyn HintCache>, placement: Arc<dyn Placement>) -> Self {
        Self::over(on, cache, Some(placement))
    }

    fn over(on: bool, cache: Arc<dyn HintCache>, placement: Option<Arc<dyn Placement>>) -> Self {
        let counted = cache.status().there;
        Self {
            on,
            cache,
            placement,
            login_by_name: Buckets::new(LOGIN_BY_NAME, counted),
            login_by_address: Buckets::new(LOGIN_BY_ADDRESS, counted),
            user: Buckets::new(USER, counted),
        }
    }

    /// By how many nodes a limit is divided: by all while the cache that adds up is left alone, else by none.
    fn divided_by(&self) -> u32 {
        let others = || self.placement.as_ref().map_or(0, |placement| placement.others().len());
        let status = self.cache.status();
        let others = if status.there && status.open { others() } else { 0 };
        u32::try_from(others).unwrap_or(u32::MAX).saturating_add(1)
    }

    /// One request of a signed-in user; `None` when limits are off.
    #[must_use]
    pub fn user(&self, user: UserId, now: Timestamp) -> Option<Decision> {
        self.on.then(|| self.user.take(user, now, self.divided_by()))
    }

    /// One anonymous request from `address`, for the account `name` if it is about one; the first
    /// bucket that says no, else the fuller one. `None` when limits are off or the request came
    /// over the node's own socket.
    #[must_use]
    pub fn anonymous(&self, address: Option<IpAddr>, name: Option<&str>, now: Timestamp) -> Option<Decision> {
        let address: Neighbourhood = address.filter(|_| self.on)?.into();
        let nodes = self.divided_by();
        let whole = self.login_by_address.take(address, now, nodes);
        let Some(name) = name.filter(|_| whole.retry_after_ms.is_none()) else {
            return Some(whole);
        };
        let name = name.chars().take(64).collect();
        let one = self.login_by_name.take((address, name), now, nodes);
        let narrower = one.retry_after_ms.is_some() || one.remaining < whole.remaining;
        Some(if narrower { one } else { whole })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const THREE: Limit = Limit { burst: 3, every_ms: 1_000 };

    #[test]
    fn a_burst_passes_and_then_one_each_interval() {
        let mut bucket = Timestamp(0);
        let mut ask = |ms| {
            let (empty_at, decision) = THREE.take(bucket, Timestamp(ms));
            bucket = empty_at;
            (decision.remaining, decision.retry_after_ms)
        };
        assert_eq!(ask(10_000), (2, None));
        assert_eq!(ask(10_000), (1, None));
        assert_eq!(ask(10_000), (0, None));
        assert_eq!(ask(10_000), (0, Some(1_000)));
        assert_eq!(ask(10_999), (0, Some(1)));
        assert_eq!(ask(11_000), (0, None));
        assert_eq!(ask(20_000), (2, None));
    }

    #[test]
    fn one_name_is_guessed_at_slower_than_many_sign_in() {
        let limits = Limits::new(true);
        let address = Some("192.0.2.1".parse().expect("an address"));
        let ask = |name: &str| limits.anonymous(address, Some(name), Timestamp(0));
        for _ in 0..10 {
            assert_eq!(ask("ada").and_then(|d| d.retry_after_ms), None);
        }
        assert_eq!(ask("ada").and_then(|d| d.retry_after_ms), Some(6_000));
        assert_eq!(ask("bob").and_then(|d| d.retry_after_ms), None);
    }

    #[test]
    fn addresses_of_one_network_share_a_bucket() {
        let near = |text: &str| Neighbourhood::from(text.parse::<IpAddr>().expect("an address"));
        assert_eq!(near("2001:db8::1"), near("2001:db8::ffff"));
        assert_ne!(near("2001:db8::1"), near("2001:db8:0:1::1"));
        assert_ne!(near("192.0.2.1"), near("192.0.2.2"));
        assert_eq!(near("192.0.2.1"), near("::ffff:192.0.2.1"));
    }

    #[test]
    fn limits_that_are_off_let_everything_pass() {
        let limits = Limits::new(false);
        let address = Some("192.0.2.1".parse().expect("an address"));
        assert_eq!(limits.anonymous(address, None, Timestamp(0)), None);
        assert_eq!(limits.user(UserId::from_raw(1), Timestamp(0)), None);
    }

    #[test]
    fn the_shares_of_all_nodes_are_a_limit() {
        let six = Limit { burst: 6, every_ms: 1_000 };
        assert_eq!(six.share(3), Limit { burst: 2, every_ms: 3_000 });
        assert_eq!((six.share(1), six.share(0)), (six, six));
        assert_eq!(six.share(3).full_ms(), six.full_ms());
        assert_eq!(six.share(100).burst, 1, "everyone may ask once");
    }
}
