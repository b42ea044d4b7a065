//! So many per second: [`Limiter`] by key, [`Budget`] for one holder.
//!
//! Both keep one number for each bucket: the time at which it will be full again (the generic cell rate algorithm). A
//! [`Limiter`] has a fixed table of buckets, and a key's place in it is a hash that nobody outside can foresee. So it needs no
//! sweeping, cannot grow, and never has to choose between forgetting whom it refuses and refusing whom it does not know: two
//! keys that meet in one bucket share it. Of [`BUCKETS`] that is rare among those who come near the limit at the same time,
//! and where a million come at once, each still costs no more than its own requests.
//!
//! Time is tokio's, which tests pause.

use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use super::refused;
use crate::config::Rate;

/// Buckets of one [`Limiter`]: 512 KiB.
const BUCKETS: usize = 1 << 16;

/// More than is allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too much for the limit of {limit}")]
pub struct TooSoon {
    /// Which limit.
    pub limit: &'static str,
    /// When there is room for one more.
    pub retry_after: Duration,
}

/// So many per second for each key.
#[derive(Debug)]
pub struct Limiter {
    pace: Pace,
    places: RandomState,
    /// None, where there is no limit.
    buckets: Box<[Bucket]>,
}

impl Limiter {
    /// `rate` for each key; `None` is no limit. `limit` is its name in the metrics.
    #[must_use]
    pub fn new(limit: &'static str, rate: Option<Rate>) -> Self {
        let buckets = if rate.is_some() { BUCKETS } else { 0 };
        Self {
            pace: Pace::new(limit, rate),
            places: RandomState::new(),
            buckets: (0..buckets).map(|_| Bucket::default()).collect(),
        }
    }

    /// Takes one of what `key` has left.
    ///
    /// # Errors
    /// [`TooSoon`]: there is nothing left, and nothing was taken.
    pub fn check(&self, key: &impl Hash) -> Result<(), TooSoon> {
        self.bucket_of(key).map_or(Ok(()), |bucket| self.pace.take(bucket))
    }

    /// Whether `key` has something left, of which nothing is taken.
    ///
    /// # Errors
    /// [`TooSoon`]: it has not.
    pub fn look(&self, key: &impl Hash) -> Result<(), TooSoon> {
        self.bucket_of(key).map_or(Ok(()), |bucket| self.pace.look(bucket))
    }

    /// Where `key` is counted, for [`Limiter::check_at`]: whoever checks often need not look it up each time.
    #[must_use]
    pub fn place_of(&self, key: &impl Hash) -> usize {
        self.places.hash_one(key) as usize % BUCKETS
    }

    /// Takes one of what is left to whoever is counted at `place`.
    ///
    /// # Errors
    /// As [`Limiter::check`].
    pub fn check_at(&self, place: usize) -> Result<(), TooSoon> {
        self.buckets.get(place).map_or(Ok(()), |bucket| self.pace.take(bucket))
    }

    fn bucket_of(&self, key: &impl Hash) -> Option<&Bucket> {
        self.buckets.get(self.place_of(key))
    }
}

/// So many per second, for whoever gets a [`Budget`] of it.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    limit: &'static str,
    /// Nanoseconds of one, and of all that may be at once less one; `None` is no limit.
    cost: Option<(u64, u64)>,
    began: Instant,
}

impl Pace {
    /// `rate`; `None` is no limit. `limit` is its name in the metrics.
    #[must_use]
    pub fn new(limit: &'static str, rate: Option<Rate>) -> Self {
        let cost = rate.map(|rate| {
            let one = u64::try_from(rate.one_per.as_nanos()).unwrap_or(u64::MAX >> 32).max(1);
            (one, one * u64::from(rate.burst.get() - 1))
        });
        Self { limit, cost, began: Instant::now() }
    }

    /// A full one.
    #[must_use]
    pub fn budget(&self) -> Budget {
        Budget { pace: *self, bucket: Bucket::default() }
    }

    fn take(&self, bucket: &Bucket) -> Result<(), TooSoon> {
        let Some((one, slack)) = self.cost else { return Ok(()) };
        let now = self.now();
        let take = |full_at: u64| (full_at <= now.saturating_add(slack)).then(|| full_at.max(now) + one);
        match bucket.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take) {
            Ok(_) => Ok(()),
            Err(full_at) => Err(self.too_soon(full_at - slack - now)),
        }
    }

    fn look(&self, bucket: &Bucket) -> Result<(), TooSoon> {
        let Some((_, slack)) = self.cost else { return Ok(()) };
        let soonest = bucket.0.load(Ordering::Relaxed).saturating_sub(slack);
        match soonest.checked_sub(self.now()) {
            None | Some(0) => Ok(()),
            Some(nanos) => Err(self.too_soon(nanos)),
        }
    }

    fn too_soon(&self, nanos: u64) -> TooSoon {
        refused(self.limit);
        TooSoon { limit: self.limit, retry_after: Duration::from_nanos(nanos) }
    }

    /// Nanoseconds since this pace began; they last for 584 years.
    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX / 2)
    }
}

/// So many per second for one holder, such as a socket.
#[derive(Debug)]
pub struct Budget {
    pace: Pace,
    bucket: Bucket,
}

impl Budget {
    /// Takes one of what is left.
    ///
    /// # Errors
    /// [`TooSoon`]: there is nothing left, and nothing was taken.
    pub fn spend(&self) -> Result<(), TooSoon> {
        self.pace.take(&self.bucket)
    }
}

/// When it will be full again, in nanoseconds of its pace.
#[derive(Debug, Default)]
struct Bucket(AtomicU64);

#[cfg(test)]
mod tests {
    use super::*;

    fn limiter(rate: &str) -> Limiter {
        Limiter::new("test", Some(rate.parse().unwrap()))
    }

    /// How many of `tries` pass.
    fn passing(limiter: &Limiter, key: &str, tries: usize) -> usize {
        (0..tries).filter(|_| limiter.check(&key).is_ok()).count()
    }

    #[tokio::test(start_paused = true)]
    async fn the_burst_passes_and_one_more_does_not() {
        let limiter = limiter("10/s burst 20");
        assert_eq!(passing(&limiter, "alice", 30), 20);
        let refused = limiter.check(&"alice").unwrap_err();
        assert_eq!(refused, TooSoon { limit: "test", retry_after: Duration::from_millis(100) });
        assert_eq!(passing(&limiter, "bob", 30), 20, "each has a budget of their own");
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_taken_comes_back_and_never_more_than_the_burst() {
        let limiter = limiter("10/s burst 20");
        passing(&limiter, "alice", 20);
        tokio::time::advance(Duration::from_millis(99)).await;
        assert_eq!(passing(&limiter, "alice", 1), 0);
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!(passing(&limiter, "alice", 5), 1, "refused tries cost nothing");
        tokio::time::advance(Duration::from_secs(3600)).await;
        assert_eq!(passing(&limiter, "alice", 30), 20);
    }

    #[tokio::test(start_paused = true)]
    async fn looking_takes_nothing() {
        let limiter = limiter("1/s burst 2");
        for _ in 0..5 {
            limiter.look(&"alice").unwrap();
        }
        assert_eq!(passing(&limiter, "alice", 5), 2);
        assert_eq!(limiter.look(&"alice").unwrap_err().retry_after, Duration::from_secs(1));
        tokio::time::advance(Duration::from_secs(1)).await;
        limiter.look(&"alice").unwrap();
        assert_eq!(passing(&limiter, "alice", 5), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_budget_is_its_holders_alone() {
        let pace = Pace::new("test", Some("10/s burst 3".parse().unwrap()));
        let (one, other) = (pace.budget(), pace.budget());
        assert_eq!((0..10).filter(|_| one.spend().is_ok()).count(), 3);
        assert_eq!((0..10).filter(|_| other.spend().is_ok()).count(), 3);
        tokio::time::advance(Duration::from_millis(200)).await;
        assert_eq!((0..10).filter(|_| one.spend().is_ok()).count(), 2);
    }

    #[tokio::test]
    async fn no_limit_takes_no_memory() {
        let limiter = Limiter::new("test", None);
        assert_eq!(passing(&limiter, "alice", 10_000), 10_000);
        limiter.look(&"alice").unwrap();
        assert_eq!(limiter.buckets.len(), 0);
        assert!((0..10_000).all(|_| Pace::new("test", None).budget().spend().is_ok()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_million_addresses_cost_no_more_memory_and_no_one_else_their_budget() {
        let limiter = limiter("500/s burst 2000");
        assert_eq!(passing(&limiter, "flooding", 5000), 2000);
        let before = limiter.buckets.len();
        let refused = (0..1_000_000_u32).filter(|address| limiter.check(address).is_err()).count();
        // Only those who meet the one who floods.
        assert!(refused < 200, "{refused}");
        assert_eq!(limiter.buckets.len(), before);
        assert_eq!(passing(&limiter, "flooding", 10), 0, "nobody was forgotten to make room");
        assert_eq!(size_of::<Bucket>() * before, 512 * 1024);
    }

    #[test]
    fn threads_share_one_budget() {
        let limiter = limiter("1/s burst 1000");
        let passed: usize = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(|| passing(&limiter, "alice", 1000))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert!((1000..1010).contains(&passed), "{passed}");
    }
}
