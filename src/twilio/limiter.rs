//! How many calls may be in flight at once: as many as Twilio takes without a 429, and callers beyond that wait in line.
//!
//! Twilio publishes no number for concurrent requests and answers 429 past it, so the limit is found by trying: halved at
//! a 429, one more after [`SUCCESSES_PER_STEP`] answers, never above the configured most. Whether a call is worth
//! repeating is decided in `client.rs`; how long a caller may wait here too, by its deadline.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// A limit below this would turn one bad second into a standstill.
const LEAST: usize = 4;

/// Answers at the current limit before one more call is let in.
const SUCCESSES_PER_STEP: u32 = 20;

/// Callers that may wait; more would only wait to miss their deadline.
const LONGEST_LINE: usize = 512;

/// The gate in front of one host.
#[derive(Debug)]
pub(super) struct Limiter {
    slots: Arc<Semaphore>,
    line: Arc<Semaphore>,
    most: usize,
    host: &'static str,
    level: Mutex<Level>,
}

#[derive(Debug)]
struct Level {
    limit: usize,
    /// Slots to take away as they come back, after the limit fell below the number in flight.
    owed: usize,
    successes: u32,
    /// How often the limit was halved.
    halvings: u64,
}

/// The line is full.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct LineIsFull;

/// The right to have one call in flight; dropped when the call has ended.
#[derive(Debug)]
pub(super) struct Slot<'a> {
    limiter: &'a Limiter,
    permit: Option<OwnedSemaphorePermit>,
    halvings: u64,
}

impl Limiter {
    pub(super) fn new(host: &'static str, most: usize) -> Self {
        let most = most.clamp(1, Semaphore::MAX_PERMITS);
        let limiter = Self {
            slots: Arc::new(Semaphore::new(most)),
            line: Arc::new(Semaphore::new(LONGEST_LINE)),
            most,
            host,
            level: Mutex::new(Level { limit: most, owed: 0, successes: 0, halvings: 0 }),
        };
        limiter.report(most);
        limiter
    }

    /// A slot, after those who asked before. May wait for ever: the caller sets the deadline.
    pub(super) async fn slot(&self) -> Result<Slot<'_>, LineIsFull> {
        let permit = match Arc::clone(&self.slots).try_acquire_owned() {
            Ok(permit) => permit,
            Err(_) => {
                let _place = self.line.try_acquire().map_err(|_| LineIsFull)?;
                Arc::clone(&self.slots).acquire_owned().await.expect("the slots are never closed")
            }
        };
        let halvings = self.level.lock().halvings;
        Ok(Slot { limiter: self, permit: Some(permit), halvings })
    }

    fn report(&self, limit: usize) {
        #[expect(clippy::cast_precision_loss, reason = "a limit is far below 2^52")]
        metrics::gauge!("switchboard_twilio_concurrency_limit", "host" => self.host).set(limit as f64);
    }
}

impl Slot<'_> {
    /// Twilio answered, and not with a 429.
    pub(super) fn succeeded(&self) {
        let mut level = self.limiter.level.lock();
        level.successes += 1;
        if level.successes < SUCCESSES_PER_STEP {
            return;
        }
        level.successes = 0;
        if level.limit < self.limiter.most {
            level.limit += 1;
            if level.owed > 0 {
                level.owed -= 1;
            } else {
                self.limiter.slots.add_permits(1);
            }
            self.limiter.report(level.limit);
        }
    }

    /// Twilio answered 429. Calls that were in flight together lower the limit once, not once each.
    pub(super) fn was_rate_limited(&self) {
        let mut level = self.limiter.level.lock();
        level.successes = 0;
        if level.halvings != self.halvings {
            return;
        }
        level.halvings += 1;
        let limit = (level.limit / 2).max(LEAST).min(level.limit);
        let fewer = level.limit - limit;
        level.owed += fewer - self.limiter.slots.forget_permits(fewer);
        level.limit = limit;
        self.limiter.report(limit);
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        let Some(permit) = self.permit.take() else { return };
        let mut level = self.limiter.level.lock();
        if level.owed > 0 {
            level.owed -= 1;
            permit.forget();
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    fn now_or_never(limiter: &Limiter) -> Option<Result<Slot<'_>, LineIsFull>> {
        limiter.slot().now_or_never()
    }

    fn taken(limiter: &Limiter, count: usize) -> Vec<Slot<'_>> {
        (0..count)
            .map(|_| now_or_never(limiter).expect("a slot is free").expect("the line is empty"))
            .collect()
    }

    /// How many calls the limiter lets in at once, with none in flight.
    fn capacity(limiter: &Limiter) -> usize {
        std::iter::from_fn(|| now_or_never(limiter)).collect::<Vec<_>>().len()
    }

    #[test]
    fn no_more_calls_are_let_in_than_the_limit() {
        let limiter = Limiter::new("test", 5);
        let slots = taken(&limiter, 5);
        assert!(now_or_never(&limiter).is_none());
        drop(slots);
        assert_eq!(capacity(&limiter), 5);
    }

    #[test]
    fn a_burst_of_429s_halves_the_limit_once() {
        let limiter = Limiter::new("test", 20);
        let slots = taken(&limiter, 20);
        slots.iter().for_each(Slot::was_rate_limited);
        drop(slots);
        assert_eq!(capacity(&limiter), 10);
    }

    #[test]
    fn repeated_429s_stop_at_the_least() {
        let limiter = Limiter::new("test", 20);
        for _ in 0..10 {
            taken(&limiter, 1)[0].was_rate_limited();
        }
        assert_eq!(capacity(&limiter), LEAST);
    }

    #[test]
    fn a_limit_configured_below_the_least_is_kept() {
        let limiter = Limiter::new("test", 2);
        taken(&limiter, 1)[0].was_rate_limited();
        assert_eq!(capacity(&limiter), 2);
    }

    #[test]
    fn twenty_answers_raise_a_lowered_limit_by_one_and_never_above_the_most() {
        let limiter = Limiter::new("test", 8);
        let slots = taken(&limiter, 8);
        slots[0].was_rate_limited();
        // Raised while all eight are still in flight: one slot fewer is owed, none is free yet.
        (0..SUCCESSES_PER_STEP).for_each(|_| slots[1].succeeded());
        assert!(now_or_never(&limiter).is_none());
        drop(slots);
        assert_eq!(capacity(&limiter), 5);
        for _ in 0..SUCCESSES_PER_STEP * 10 {
            taken(&limiter, 1)[0].succeeded();
        }
        assert_eq!(capacity(&limiter), 8);
    }

    #[tokio::test]
    async fn the_line_is_bounded_and_those_who_give_up_make_room() {
        let limiter = Limiter::new("test", 1);
        let _slot = taken(&limiter, 1);
        let mut waiting: Vec<_> = (0..LONGEST_LINE).map(|_| Box::pin(limiter.slot())).collect();
        for place in &mut waiting {
            assert!(place.now_or_never().is_none());
        }
        assert!(matches!(now_or_never(&limiter), Some(Err(LineIsFull))));
        waiting.pop();
        assert!(now_or_never(&limiter).is_none());
    }
}
