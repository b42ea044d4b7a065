//! Lost reports: the conversations somebody looks at are compared with Twilio once a minute, and what is missing is told: new
//! messages, and who is no participant any more, whose sockets leave the room then.
//!
//! Twilio delivers a webhook at least once only as long as we answer; what was reported while we did not is never reported
//! again. Conversations in whose room nobody is are not looked after: whoever comes reads their history.

use std::collections::HashMap;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use futures::StreamExt;
use parking_lot::Mutex;
use tokio::time::Instant;

use super::events::Seen;
use super::{ConversationSid, Core, Error, Message};
use crate::twilio::Order;

/// How often is looked for what is due.
pub(super) const LOOK_EVERY: Duration = Duration::from_secs(5);
/// A conversation is due so long after it was looked at, less up to [`JITTER`]: rooms that opened together (after a restart)
/// must not stay together.
const DUE_AFTER: Duration = Duration::from_secs(60);
const JITTER: Duration = Duration::from_secs(10);
/// Conversations looked at in one go, two Twilio calls each: five a second at most. With more than about 150 open rooms each
/// waits its turn.
const AT_ONCE_AT_MOST: usize = 12;
/// Of these, at the same time: whoever sends or reads comes first.
const CALLS_AT_ONCE: usize = 2;
/// Messages read at first, and where all of them are news.
const GLANCE: u8 = 20;
const PAGE: u8 = 100;
/// What was sent before somebody came is in the history they read. Twilio tells whole seconds of another clock.
const LEEWAY: TimeDelta = TimeDelta::seconds(5);

/// The conversations that are looked after.
#[derive(Default)]
pub(super) struct Sweep {
    rooms: Mutex<HashMap<ConversationSid, Room>>,
}

struct Room {
    opened: DateTime<Utc>,
    due: Instant,
}

impl Sweep {
    /// Of the open rooms those that are due, the longest overdue first, and when they opened; they are due again later.
    fn due(
        &self,
        open: &HashMap<ConversationSid, DateTime<Utc>>,
        now: Instant,
    ) -> Vec<(ConversationSid, DateTime<Utc>)> {
        let mut rooms = self.rooms.lock();
        rooms.retain(|conversation, _| open.contains_key(conversation));
        for (conversation, opened) in open {
            rooms.entry(*conversation).or_insert_with(|| Room { opened: *opened, due: next(now) });
        }
        let mut due: Vec<_> = rooms.iter_mut().filter(|(_, room)| room.due <= now).collect();
        due.sort_by_key(|(_, room)| room.due);
        due.truncate(AT_ONCE_AT_MOST);
        due.into_iter()
            .map(|(conversation, room)| {
                room.due = next(now);
                (*conversation, room.opened)
            })
            .collect()
    }
}

fn next(now: Instant) -> Instant {
    now + DUE_AFTER - JITTER.mul_f64(rand::random())
}

impl Core {
    /// Looks at what is due. One Twilio call for each, one more where nobody has read who is in it for a minute, one more where
    /// more than [`GLANCE`] messages are missing.
    pub(super) async fn sweep(&self) {
        let due = self.sweep.due(&self.presence.open_rooms(), Instant::now());
        if !self.twilio.is_available() {
            return;
        }
        let looking = due.into_iter().map(|(conversation, opened)| async move {
            let outcome = match self.tell_missing(conversation, opened).await {
                Ok(0) => "nothing",
                Ok(missing) => {
                    tracing::warn!(conversation.sid = %conversation, missing, "messages were told that no webhook reported");
                    "missing"
                }
                Err(error) => {
                    tracing::debug!(conversation.sid = %conversation, %error, "a conversation was not compared");
                    "failed"
                }
            };
            metrics::counter!("switchboard_sweeps_total", "outcome" => outcome).increment(1);
            if let Err(error) = self.notice_who_is_gone(conversation).await {
                tracing::debug!(conversation.sid = %conversation, %error, "who is in a conversation was not compared");
            }
        });
        futures::stream::iter(looking).buffer_unordered(CALLS_AT_ONCE).collect::<()>().await;
    }

    /// Tells the messages since `opened` that nobody reported, and returns how many.
    async fn tell_missing(
        &self,
        conversation: ConversationSid,
        opened: DateTime<Utc>,
    ) -> Result<usize, Error> {
        let newest = async |size| self.twilio.list_messages(conversation, Order::NewestFirst, size).await;
        let is_news = |message: &Message| message.date_created >= opened - LEEWAY && !self.was_told(message);
        let mut page = newest(GLANCE).await?;
        if page.next.is_some() && page.items.iter().all(is_news) {
            page = newest(PAGE).await?;
        }
        page.items.retain(is_news);
        let missing = page.items.len();
        for message in page.items.into_iter().rev() {
            self.message_found(message).await;
        }
        Ok(missing)
    }

    fn was_told(&self, message: &Message) -> bool {
        self.door.has_seen(&Seen::MessageAdded(message.sid))
            || self.door.has_seen(&Seen::MessageRemoved(message.sid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rooms(numbers: std::ops::Range<u32>) -> HashMap<ConversationSid, DateTime<Utc>> {
        let sid = |number| format!("CH{number:032x}").parse().unwrap();
        numbers.map(|number| (sid(number), DateTime::UNIX_EPOCH)).collect()
    }

    #[test]
    fn a_room_is_due_within_a_minute_and_again_a_minute_later() {
        let (sweep, began) = (Sweep::default(), Instant::now());
        assert_eq!(sweep.due(&rooms(0..1), began).len(), 0, "it has only opened");
        assert_eq!(sweep.due(&rooms(0..1), began + DUE_AFTER - JITTER - LOOK_EVERY).len(), 0);
        let now = began + DUE_AFTER;
        assert_eq!(sweep.due(&rooms(0..1), now).len(), 1);
        assert_eq!(sweep.due(&rooms(0..1), now + LOOK_EVERY).len(), 0);
        assert_eq!(sweep.due(&rooms(0..1), now + DUE_AFTER).len(), 1);
    }

    #[test]
    fn of_many_rooms_each_has_its_turn_and_a_closed_one_is_forgotten() {
        let (sweep, began) = (Sweep::default(), Instant::now());
        let open = rooms(0..60);
        sweep.due(&open, began);
        let now = began + DUE_AFTER;
        let mut seen: Vec<_> = (0..5).flat_map(|_| sweep.due(&open, now)).map(|(sid, _)| sid).collect();
        seen.sort();
        seen.dedup();
        assert_eq!(seen.len(), 60, "twelve each time, nobody twice");
        assert_eq!(sweep.due(&open, now).len(), 0);
        sweep.due(&rooms(0..0), now);
        assert_eq!(sweep.due(&open, now + DUE_AFTER - JITTER - LOOK_EVERY).len(), 0, "they open anew");
    }
}
