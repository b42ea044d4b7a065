//! Stops calling a host that mostly fails, so that callers hear so at once instead of after a time-out.
//!
//! A failure is a host that does not do its work: 5xx, time-out, reset, no connection. A refusal (4xx) or a 429 is an
//! answer. After [`OPEN_FOR`] one call is let through to see; its outcome decides for all.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// Outcomes older than this do not count.
const WINDOW: Duration = Duration::from_secs(10);

/// Fewer outcomes than this in the window prove nothing.
const FEWEST_SAMPLES: u32 = 20;

/// How long no call is made after the breaker opened.
const OPEN_FOR: Duration = Duration::from_secs(5);

/// The window is counted in this many slices.
const SLICES: usize = 10;

/// The state of one host.
#[derive(Debug)]
pub(super) struct Breaker {
    state: Mutex<State>,
    started: Instant,
}

#[derive(Debug)]
enum State {
    Closed(Samples),
    Open {
        since: Instant,
    },
    /// The one call that is to find out is under way.
    Probing,
}

/// Outcomes by slice of the window; a slice is known by its number since the start.
#[derive(Debug, Default)]
struct Samples([Slice; SLICES]);

#[derive(Debug, Default, Clone, Copy)]
struct Slice {
    number: u64,
    failed: u32,
    total: u32,
}

/// The host is not called at present.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Open;

/// Leave to call once. Must be told how it went; forgotten (the caller went away), it counts as if never asked.
#[derive(Debug)]
pub(super) struct Leave<'a> {
    breaker: &'a Breaker,
    is_probe: bool,
}

impl Breaker {
    pub(super) fn new() -> Self {
        Self { state: Mutex::new(State::Closed(Samples::default())), started: Instant::now() }
    }

    /// Whether a call would be let through now.
    pub(super) fn is_open(&self) -> bool {
        match &*self.state.lock() {
            State::Closed(_) => false,
            State::Open { since } => since.elapsed() < OPEN_FOR,
            State::Probing => true,
        }
    }

    /// Leave to call, or word that the host is not called at present.
    pub(super) fn leave(&self) -> Result<Leave<'_>, Open> {
        let mut state = self.state.lock();
        match &*state {
            State::Closed(_) => Ok(Leave { breaker: self, is_probe: false }),
            State::Open { since } if since.elapsed() >= OPEN_FOR => {
                *state = State::Probing;
                Ok(Leave { breaker: self, is_probe: true })
            }
            State::Open { .. } | State::Probing => Err(Open),
        }
    }

    fn slice_number(&self) -> u64 {
        self.started.elapsed().as_secs() / (WINDOW.as_secs() / SLICES as u64)
    }
}

impl Leave<'_> {
    /// The host did its work, whatever it said.
    pub(super) fn succeeded(self) {
        self.record(false);
    }

    /// The host failed.
    pub(super) fn failed(self) {
        self.record(true);
    }

    fn record(mut self, failed: bool) {
        let mut state = self.breaker.state.lock();
        if std::mem::take(&mut self.is_probe) {
            *state = if failed {
                State::Open { since: Instant::now() }
            } else {
                tracing::info!("twilio answers again");
                State::Closed(Samples::default())
            };
            return;
        }
        // A call that began before the breaker opened says nothing about now.
        if let State::Closed(samples) = &mut *state
            && samples.add(self.breaker.slice_number(), failed)
        {
            tracing::warn!("twilio mostly fails: no calls for {} s", OPEN_FOR.as_secs());
            *state = State::Open { since: Instant::now() };
        }
    }
}

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        if self.is_probe {
            // Nobody waits for the probe any more: the next caller is the probe.
            let since = Instant::now().checked_sub(OPEN_FOR).unwrap_or(self.breaker.started);
            *self.breaker.state.lock() = State::Open { since };
        }
    }
}

impl Samples {
    /// Adds one outcome; true if there are now too many failures.
    fn add(&mut self, number: u64, failed: bool) -> bool {
        let slice = &mut self.0[(number % SLICES as u64) as usize];
        if slice.number != number {
            *slice = Slice { number, ..Slice::default() };
        }
        slice.total += 1;
        slice.failed += u32::from(failed);
        let recent = self.0.iter().filter(|slice| slice.number + SLICES as u64 > number);
        let (failed, total) =
            recent.fold((0, 0), |(failed, total), slice| (failed + slice.failed, total + slice.total));
        total >= FEWEST_SAMPLES && failed * 2 >= total
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(breaker: &Breaker, failures: u32, successes: u32) {
        for _ in 0..successes {
            breaker.leave().unwrap().succeeded();
        }
        for _ in 0..failures {
            breaker.leave().unwrap().failed();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn half_of_twenty_failing_opens_it_and_nineteen_do_not() {
        let breaker = Breaker::new();
        record(&breaker, 9, 10);
        assert!(!breaker.is_open());
        record(&breaker, 1, 0);
        assert!(breaker.is_open());
        assert_eq!(breaker.leave().unwrap_err(), Open);
    }

    #[tokio::test(start_paused = true)]
    async fn fewer_than_half_failing_keeps_it_closed() {
        let breaker = Breaker::new();
        record(&breaker, 40, 60);
        assert!(!breaker.is_open());
    }

    #[tokio::test(start_paused = true)]
    async fn old_failures_are_forgotten() {
        let breaker = Breaker::new();
        record(&breaker, 19, 0);
        tokio::time::advance(WINDOW).await;
        record(&breaker, 1, 0);
        assert!(!breaker.is_open());
    }

    #[tokio::test(start_paused = true)]
    async fn one_probe_decides() {
        let breaker = Breaker::new();
        record(&breaker, 20, 0);
        tokio::time::advance(OPEN_FOR).await;
        let probe = breaker.leave().unwrap();
        assert_eq!(breaker.leave().unwrap_err(), Open);
        probe.failed();
        assert!(breaker.is_open());
        tokio::time::advance(OPEN_FOR).await;
        breaker.leave().unwrap().succeeded();
        assert!(!breaker.is_open());
        record(&breaker, 0, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_probe_whose_caller_went_away_is_asked_of_the_next() {
        let breaker = Breaker::new();
        record(&breaker, 20, 0);
        tokio::time::advance(OPEN_FOR).await;
        drop(breaker.leave().unwrap());
        breaker.leave().unwrap().succeeded();
        assert!(!breaker.is_open());
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_that_began_before_the_opening_does_not_reopen_it() {
        let breaker = Breaker::new();
        let late = breaker.leave().unwrap();
        record(&breaker, 20, 0);
        tokio::time::advance(OPEN_FOR).await;
        let probe = breaker.leave().unwrap();
        late.failed();
        probe.succeeded();
        assert!(!breaker.is_open());
    }
}
