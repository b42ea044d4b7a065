//! The mock's own time: the system's, moved forward or frozen by whoever drives the mock.

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

/// What time it is in the mock. Milliseconds, as Twilio's webhooks tell them.
#[derive(Debug, Default)]
pub struct Clock {
    setting: Mutex<Setting>,
}

/// How the mock's time relates to the system's.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Setting {
    Running { ahead: TimeDelta },
    Frozen { at: DateTime<Utc> },
}

impl Default for Setting {
    fn default() -> Self {
        Self::Running { ahead: TimeDelta::zero() }
    }
}

impl Clock {
    /// The current time.
    pub fn now(&self) -> DateTime<Utc> {
        let now = match *self.setting.lock() {
            Setting::Running { ahead } => system() + ahead,
            Setting::Frozen { at } => at,
        };
        now.trunc_subsecs(3)
    }

    /// Moves the time forward by `by`; a frozen clock stays frozen at the later time.
    pub fn advance(&self, by: std::time::Duration) {
        let by = TimeDelta::from_std(by).unwrap_or(TimeDelta::zero());
        match &mut *self.setting.lock() {
            // A time past the end of the calendar is no time; the clock stays where it is.
            Setting::Running { ahead } => *ahead = later(*ahead, by).unwrap_or(*ahead),
            Setting::Frozen { at } => *at = at.checked_add_signed(by).unwrap_or(*at),
        }
    }

    /// Stops the clock at `at`.
    pub fn freeze(&self, at: DateTime<Utc>) {
        *self.setting.lock() = Setting::Frozen { at };
    }

    /// How it is set, to be kept.
    pub(crate) fn setting(&self) -> Setting {
        *self.setting.lock()
    }

    /// Sets it as it was kept.
    pub(crate) fn set(&self, setting: Setting) {
        *self.setting.lock() = setting;
    }

    /// Back to the system's time.
    pub fn reset(&self) {
        *self.setting.lock() = Setting::default();
    }
}

fn later(ahead: TimeDelta, by: TimeDelta) -> Option<TimeDelta> {
    let ahead = ahead.checked_add(&by)?;
    system().checked_add_signed(ahead).map(|_| ahead)
}

#[expect(clippy::disallowed_methods, reason = "the one place where the mock asks the system for the time")]
fn system() -> DateTime<Utc> {
    Utc::now()
}

/// A date as Twilio's REST bodies write it: whole seconds, `2015-12-16T22:18:37Z`.
pub(crate) fn in_rest(date: DateTime<Utc>) -> String {
    date.format("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// A date as Twilio's webhooks write it: milliseconds, `2021-08-10T18:00:58.111Z`.
pub(crate) fn in_webhooks(date: DateTime<Utc>) -> String {
    date.format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}

/// A date as the media service writes it: microseconds and a numeric offset, `2022-03-14T13:10:38.897143-07:00`.
pub(crate) fn in_media(date: DateTime<Utc>) -> String {
    let pacific = chrono::FixedOffset::west_opt(7 * 3600).expect("seven hours is an offset");
    date.with_timezone(&pacific).format("%Y-%m-%dT%H:%M:%S%.6f%:z").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_product_writes_dates_its_own_way() {
        let date = "2022-03-14T20:10:38.897Z".parse().unwrap();
        assert_eq!(in_rest(date), "2022-03-14T20:10:38Z");
        assert_eq!(in_webhooks(date), "2022-03-14T20:10:38.897Z");
        assert_eq!(in_media(date), "2022-03-14T13:10:38.897000-07:00");
    }

    #[test]
    fn a_frozen_clock_moves_only_when_told() {
        let clock = Clock::default();
        let start = "2026-01-01T00:00:00Z".parse().unwrap();
        clock.freeze(start);
        clock.advance(std::time::Duration::from_secs(60));
        assert_eq!(clock.now(), start + TimeDelta::seconds(60));
    }
}
