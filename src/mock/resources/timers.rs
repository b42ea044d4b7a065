//! A conversation's two timers: inactive after a while without messages, closed after a longer one.
//!
//! Both count from the same moment: when they were set, then each message. When they end is `conversations.rs`' business.
//! Source: <https://www.twilio.com/docs/conversations/states-timers>

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::mock::clock::in_rest;
use crate::mock::error::{self, Refusal};
use crate::mock::form::Form;

/// The timers of one conversation.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(crate) struct Timers {
    inactive: Option<TimeDelta>,
    closed: Option<TimeDelta>,
    since: DateTime<Utc>,
    /// The end that stands in the account's calendar.
    pub(crate) scheduled: Option<DateTime<Utc>>,
}

impl Timers {
    /// Timers of these lengths, not yet running.
    pub(crate) fn new(inactive: Option<TimeDelta>, closed: Option<TimeDelta>) -> Self {
        Self { inactive, closed, ..Self::default() }
    }

    /// `Timers.Inactive` and `Timers.Closed`.
    ///
    /// # Errors
    /// 50375, 50376 when too short; 50379, 50380 when not an ISO 8601 duration.
    pub(crate) fn read(form: &Form) -> Result<(Option<TimeDelta>, Option<TimeDelta>), Refusal> {
        Ok((inactive(form.text("Timers.Inactive")?)?, closed(form.text("Timers.Closed")?)?))
    }

    /// Replaces the lengths that are given.
    pub(crate) fn change(&mut self, inactive: Option<TimeDelta>, closed: Option<TimeDelta>) {
        self.inactive = inactive.or(self.inactive);
        self.closed = closed.or(self.closed);
    }

    /// Counts from `now` on.
    pub(crate) fn restart(&mut self, now: DateTime<Utc>) {
        self.since = now;
    }

    /// When the conversation closes.
    pub(crate) fn date_closed(&self) -> Option<DateTime<Utc>> {
        self.since.checked_add_signed(self.closed?)
    }

    fn date_inactive(&self) -> Option<DateTime<Utc>> {
        self.since.checked_add_signed(self.inactive?)
    }

    /// What ends first.
    pub(crate) fn next_deadline(&self) -> Option<DateTime<Utc>> {
        self.date_inactive().into_iter().chain(self.date_closed()).min()
    }

    /// `{"date_inactive":…,"date_closed":…}`, each only when set.
    pub(crate) fn body(&self) -> Value {
        let dates = [("date_inactive", self.date_inactive()), ("date_closed", self.date_closed())];
        let dates =
            dates.into_iter().filter_map(|(name, date)| Some((name.to_owned(), in_rest(date?).into())));
        Value::Object(dates.collect::<Map<_, _>>())
    }
}

/// A length for the inactive timer: a minute or more.
///
/// # Errors
/// 50375, 50379.
pub(crate) fn inactive(text: Option<&str>) -> Result<Option<TimeDelta>, Refusal> {
    length(text, TimeDelta::minutes(1), error::INACTIVE_TIMER_INVALID, error::INACTIVE_TIMER_TOO_SHORT)
}

/// A length for the closed timer: ten minutes or more.
///
/// # Errors
/// 50376, 50380.
pub(crate) fn closed(text: Option<&str>) -> Result<Option<TimeDelta>, Refusal> {
    length(text, TimeDelta::minutes(10), error::CLOSED_TIMER_INVALID, error::CLOSED_TIMER_TOO_SHORT)
}

fn length(
    text: Option<&str>,
    least: TimeDelta,
    invalid: Refusal,
    too_short: Refusal,
) -> Result<Option<TimeDelta>, Refusal> {
    let Some(text) = text else { return Ok(None) };
    let length = iso_duration(text).ok_or(invalid)?;
    if length < least { Err(too_short) } else { Ok(Some(length)) }
}

/// An ISO 8601 duration without months and years, whose length would depend on the calendar.
fn iso_duration(text: &str) -> Option<TimeDelta> {
    let text = text.strip_prefix('P')?;
    let (days, time) = match text.split_once('T') {
        Some((_, "")) => return None,
        Some((days, time)) => (days, time),
        None => (text, ""),
    };
    if days.is_empty() && time.is_empty() {
        return None;
    }
    let seconds = sum(days, &[('W', 604_800), ('D', 86_400)])?
        .checked_add(sum(time, &[('H', 3_600), ('M', 60), ('S', 1)])?)?;
    TimeDelta::try_seconds(seconds)
}

fn sum(mut text: &str, units: &[(char, i64)]) -> Option<i64> {
    let mut total = 0_i64;
    for &(unit, seconds) in units {
        if let Some((count, rest)) = text.split_once(unit) {
            let count: u32 = count.parse().ok()?;
            total = total.checked_add(i64::from(count).checked_mul(seconds)?)?;
            text = rest;
        }
    }
    text.is_empty().then_some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_iso_8601() {
        assert_eq!(iso_duration("PT1M"), Some(TimeDelta::minutes(1)));
        assert_eq!(iso_duration("P1DT2H3M4S"), Some(TimeDelta::seconds(93_784)));
        for text in ["", "P", "PT", "1M", "PT1", "P1M", "PT1M1H", "PT-1M", "PT1.5M"] {
            assert_eq!(iso_duration(text), None, "{text}");
        }
    }
}
