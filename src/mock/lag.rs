//! Lists that lag behind the writes, as Twilio's may: a change shows in them only after a while.
//!
//! Lists only – the order of conversations, and which ones somebody has joined. A conversation or a membership is found
//! at once by whoever asks for that one, and whoever leaves is gone at once.

use std::collections::{HashSet, VecDeque};

use chrono::{DateTime, TimeDelta, Utc};

use crate::mock::resources::conversations::Conversation;
use crate::mock::sid::Sid;
use crate::mock::state::Service;

/// The longest that lists lag.
const LONGEST: TimeDelta = TimeDelta::minutes(10);

/// Most changes that wait; past it the oldest shows early.
const MOST_WAITING: usize = 100_000;

/// The changes of one service that lists do not show yet.
#[derive(Debug, Default)]
pub(crate) struct Lag {
    now: DateTime<Utc>,
    delay: TimeDelta,
    waiting: VecDeque<(DateTime<Utc>, Change)>,
    hidden: HashSet<Sid>,
}

#[derive(Debug)]
enum Change {
    /// The conversation goes to the top.
    Bumped(Sid),
    /// The participant is in.
    Joined(Sid),
}

impl Lag {
    /// Whether lists leave this participant's conversation out yet.
    pub(crate) fn hides(&self, participant_sid: Sid) -> bool {
        !self.hidden.is_empty() && self.hidden.contains(&participant_sid)
    }

    fn is_none(&self) -> bool {
        self.delay.is_zero() && self.waiting.is_empty()
    }
}

impl Service {
    /// Moves the conversation to the top of the list, now or when that shows.
    pub(crate) fn bump(&mut self, conversation_sid: Sid) {
        if self.lag.is_none() {
            self.raise(conversation_sid);
        } else {
            self.delay(Change::Bumped(conversation_sid));
        }
    }

    /// Leaves a new participant out of the lists of conversations until that shows.
    pub(crate) fn hide(&mut self, participant_sid: Sid) {
        if !self.lag.is_none() {
            self.lag.hidden.insert(participant_sid);
            self.delay(Change::Joined(participant_sid));
        }
    }

    /// Shows what is due by `now`; changes from now on take `lag_ms` to show. Whether something is left.
    pub(crate) fn show(&mut self, now: DateTime<Utc>, lag_ms: u64) -> bool {
        let delay = i64::try_from(lag_ms).map_or(LONGEST, TimeDelta::milliseconds);
        (self.lag.now, self.lag.delay) = (now, delay.min(LONGEST));
        while let Some((_, change)) = self.lag.waiting.pop_front_if(|(due, _)| *due <= now) {
            self.apply(&change);
        }
        !self.lag.waiting.is_empty()
    }

    fn delay(&mut self, change: Change) {
        self.lag.waiting.push_back((self.lag.now + self.lag.delay, change));
        if self.lag.waiting.len() > MOST_WAITING
            && let Some((_, oldest)) = self.lag.waiting.pop_front()
        {
            self.apply(&oldest);
        }
    }

    fn apply(&mut self, change: &Change) {
        match change {
            Change::Bumped(sid) => self.raise(*sid),
            Change::Joined(sid) => {
                self.lag.hidden.remove(sid);
            }
        }
    }

    fn raise(&mut self, conversation_sid: Sid) {
        let Self { conversations, by_activity, by_state, next_activity, .. } = self;
        let Some(conversation) = conversations.get_mut(&conversation_sid) else { return };
        let of_its_state = by_state.entry(conversation.state).or_default();
        // A new one stands nowhere yet, and its number may be another's by now.
        if by_activity.get(&conversation.activity) == Some(&conversation_sid) {
            by_activity.remove(&conversation.activity);
            of_its_state.remove(&conversation.activity);
        }
        conversation.activity = *next_activity;
        by_activity.insert(conversation.activity, conversation_sid);
        of_its_state.insert(conversation.activity, conversation_sid);
        *next_activity += 1;
    }

    /// Takes a conversation that is gone out of the lists by activity, if it stands there yet.
    pub(crate) fn forget_activity(&mut self, conversation: &Conversation) {
        if self.by_activity.get(&conversation.activity) == Some(&conversation.sid) {
            self.by_activity.remove(&conversation.activity);
            self.by_state.entry(conversation.state).or_default().remove(&conversation.activity);
        }
    }
}
