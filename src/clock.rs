//! The one source of wall-clock time, handed to whoever needs it.
//!
//! Durations (time-outs, back-off) are not its business: those use tokio's timers, which tests pause.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use chrono::{DateTime, Utc};

/// Tells the time in UTC: the system's, or one a test moves. Clones share the same time.
#[derive(Clone)]
pub struct Clock(Source);

#[derive(Clone)]
enum Source {
    System,
    /// Microseconds since 1970.
    Fixed(Arc<AtomicI64>),
}

impl Clock {
    /// The system's clock.
    pub fn system() -> Self {
        Self(Source::System)
    }

    /// A clock that stands at `time` (microsecond precision) until [`Clock::advance`] moves it.
    pub fn fixed(time: DateTime<Utc>) -> Self {
        Self(Source::Fixed(Arc::new(AtomicI64::new(time.timestamp_micros()))))
    }

    /// The time now.
    pub fn now(&self) -> DateTime<Utc> {
        match &self.0 {
            #[expect(clippy::disallowed_methods, reason = "this is the Clock")]
            Source::System => Utc::now(),
            Source::Fixed(micros) => DateTime::from_timestamp_micros(micros.load(Ordering::SeqCst))
                .unwrap_or(DateTime::<Utc>::MAX_UTC),
        }
    }

    /// Moves a fixed clock, and all its clones, forward. The system's clock does not move.
    pub fn advance(&self, by: Duration) {
        match &self.0 {
            Source::System => {}
            Source::Fixed(micros) => {
                let by = i64::try_from(by.as_micros()).unwrap_or(i64::MAX);
                micros.fetch_add(by, Ordering::SeqCst);
            }
        }
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Source::System => f.write_str("Clock::system"),
            Source::Fixed(_) => write!(f, "Clock::fixed({})", self.now()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clones_of_a_fixed_clock_move_together() {
        let clock = Clock::fixed(DateTime::from_timestamp(1_700_000_000, 0).unwrap());
        let clone = clock.clone();
        clock.advance(Duration::from_millis(1500));
        assert_eq!(clone.now().timestamp_millis(), 1_700_000_001_500);
    }
}
