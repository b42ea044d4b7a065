//! How messages fare with participants outside the chat: Twilio's summary of each, kept true by its reports.
//!
//! Twilio gives the summary with every message it is asked for, but reports the copy of one phone at a time, late, twice or
//! out of order. So a report is remembered beside the messages and laid over whatever summary is read: no call is made for
//! it. Messages that only carry a file of another (`parts.rs`) are nobody's but that one's: its copies are where the least of
//! them is. What a status is called, and which of these words a client hears, is the dialects' business.
//!
//! Source: <https://www.twilio.com/docs/conversations/delivery-receipts>

use std::sync::Arc;
use std::time::Duration;

use moka::sync::Cache;

use super::drafts::{Extras, is_part};
use super::events::Seen;
use super::{
    ConversationSid, Core, DeliveryStatus, DeliverySummary, Event, MEDIA_LINKS, Message, MessageSid,
    ParticipantSid,
};
use crate::twilio::DeliveryAmount;

/// Messages of which reports are remembered, and for how long: by then Twilio's summary says the same.
const KEPT_AT_MOST: u64 = 50_000;
const KEPT_FOR: Duration = Duration::from_secs(24 * 3600);
/// Copies remembered of one message: Twilio allows as many participants outside the chat.
const COPIES_AT_MOST: usize = 50;

/// A report of how far one copy of a message got.
#[derive(Debug, Clone, Copy)]
pub(super) struct CopyReport {
    pub(super) conversation: ConversationSid,
    pub(super) message: MessageSid,
    pub(super) participant: ParticipantSid,
    pub(super) status: DeliveryStatus,
    /// Twilio's code, where it failed.
    pub(super) error_code: Option<u32>,
}

/// What was reported of the copies of messages.
pub(super) struct Deliveries {
    /// Of parts beside the message they belong to, once that is known.
    reported: Cache<MessageSid, Arc<Copies>>,
    parts: Cache<MessageSid, Arc<Part>>,
}

/// A message that only carries a file of another.
#[derive(Debug)]
struct Part {
    author: String,
    extras: Extras,
    /// The one it belongs to, once that is known.
    whole: Option<MessageSid>,
}

#[derive(Debug, Clone, Default)]
struct Copies {
    /// How far each got.
    reached: Vec<(ParticipantSid, DeliveryStatus)>,
    /// How far those of its parts got.
    of_parts: Vec<(MessageSid, ParticipantSid, DeliveryStatus)>,
    /// How many there are at least.
    total: usize,
}

impl Deliveries {
    pub(super) fn new() -> Self {
        let reported = Cache::builder().max_capacity(KEPT_AT_MOST).time_to_live(KEPT_FOR).build();
        let parts = Cache::builder().max_capacity(KEPT_AT_MOST).time_to_live(KEPT_FOR).build();
        Self { reported, parts }
    }

    /// Takes in that `message` is a part, or which are its parts: those of its author that name it in turn, and were taken in
    /// before.
    pub(super) fn note(&self, message: &Message) {
        if is_part(message) {
            self.parts.entry(message.sid).or_insert_with(|| {
                let extras = Extras::of(message);
                Arc::new(Part { author: message.author.clone(), extras, whole: None })
            });
        } else if message.attributes.contains("\"parts\"") {
            let extras = Extras::of(message);
            for sid in extras.parts.iter().take(MEDIA_LINKS) {
                let theirs = |part: &Arc<Part>| {
                    part.whole.is_none() && part.author == message.author && part.extras.is_part_of(&extras)
                };
                if let Some(part) = self.parts.get(sid).filter(theirs) {
                    let (author, extras) = (part.author.clone(), part.extras.clone());
                    self.parts.insert(*sid, Arc::new(Part { author, extras, whole: Some(message.sid) }));
                    self.hand_over(*sid, message.sid);
                }
            }
        }
    }

    /// What was reported of a part before it was known whose it is.
    fn hand_over(&self, part: MessageSid, whole: MessageSid) {
        let Some(reported) = self.reported.remove(&part) else { return };
        self.reported.entry(whole).and_upsert_with(|known| {
            let mut copies = known.map(|known| (*known.into_value()).clone()).unwrap_or_default();
            copies.of_parts.extend(reported.reached.iter().map(|(phone, status)| (part, *phone, *status)));
            copies.total = copies.total.max(reported.total);
            Arc::new(copies)
        });
    }

    /// Whether the message is known to be a part.
    pub(super) fn is_part(&self, message: MessageSid) -> bool {
        self.parts.contains_key(&message)
    }

    /// Whether anything was noted of the message.
    fn knows(&self, message: MessageSid) -> bool {
        self.parts.contains_key(&message) || self.reported.contains_key(&message)
    }

    /// Takes in a report, and gives back whose copy got how far by it; `None` when it is no news. `phones`: so many take part.
    fn take_in(&self, report: &CopyReport, phones: usize) -> Option<(MessageSid, DeliveryStatus)> {
        let part = self.parts.get(&report.message);
        let whole = part.as_ref().and_then(|part| part.whole);
        let message = whole.unwrap_or(report.message);
        let mut news = None;
        self.reported.entry(message).and_upsert_with(|known| {
            let mut copies = known.map(|known| (*known.into_value()).clone()).unwrap_or_default();
            let before = copies.status_of(report.participant);
            copies.note(whole.map(|_| report.message), report.participant, report.status);
            news = copies.status_of(report.participant).filter(|now| Some(*now) != before);
            copies.total = copies.total.max(phones).max(copies.reached.len());
            Arc::new(copies)
        });
        // Of a part whose message is still to come, that will tell.
        news.filter(|_| part.is_none() || whole.is_some()).map(|status| (message, status))
    }

    /// The message with what was reported since it was read.
    pub(super) fn laid_over(&self, message: &Arc<Message>) -> Arc<Message> {
        let Some(copies) = self.reported.get(&message.sid) else { return Arc::clone(message) };
        let delivery = Some(copies.laid_over(message.delivery));
        if message.delivery == delivery {
            return Arc::clone(message);
        }
        Arc::new(Message { delivery, ..(**message).clone() })
    }

    /// What is known of a message that is not in memory.
    fn summary_of(&self, message: MessageSid) -> Option<DeliverySummary> {
        Some(self.reported.get(&message)?.laid_over(None))
    }
}

impl Copies {
    /// Takes in how far a copy of the message, or of one of its parts, got, unless that was passed before.
    fn note(&mut self, part: Option<MessageSid>, participant: ParticipantSid, status: DeliveryStatus) {
        let known = match part {
            None => self.reached.iter_mut().find(|(phone, _)| *phone == participant).map(|(_, known)| known),
            Some(part) => {
                let of_parts = self.of_parts.iter_mut();
                let mut of_this = of_parts.filter(|(of, phone, _)| (*of, *phone) == (part, participant));
                of_this.next().map(|(_, _, known)| known)
            }
        };
        if let Some(known) = known {
            if stage(status) >= stage(*known) {
                *known = status;
            }
            return;
        }
        match part {
            None if self.reached.len() < COPIES_AT_MOST => self.reached.push((participant, status)),
            Some(part) if self.of_parts.len() < COPIES_AT_MOST * MEDIA_LINKS => {
                self.of_parts.push((part, participant, status));
            }
            None | Some(_) => {}
        }
    }

    /// How far all of the message got on one phone: a part that did not arrive is missing, however the others fare.
    fn status_of(&self, participant: ParticipantSid) -> Option<DeliveryStatus> {
        let own = self.reached.iter().find(|(phone, _)| *phone == participant).map(|(_, status)| *status);
        let of_parts = || {
            let theirs = self.of_parts.iter().filter(|(_, phone, _)| *phone == participant);
            theirs.map(|(_, _, status)| *status)
        };
        own.into_iter()
            .chain(of_parts())
            .find(|status| is_failure(*status))
            .or_else(|| of_parts().fold(own, |least, status| least.map(|least| lesser(least, status))))
    }

    /// How far all of the message got, phone by phone.
    fn all(&self) -> Vec<DeliveryStatus> {
        let mut phones: Vec<_> = self.reached.iter().map(|(phone, _)| *phone).collect();
        for (_, phone, _) in &self.of_parts {
            if !phones.contains(phone) {
                phones.push(*phone);
            }
        }
        phones.into_iter().filter_map(|phone| self.status_of(phone)).collect()
    }

    /// `read`: as Twilio said, perhaps before. Of copies that nothing was reported of, that still holds.
    fn laid_over(&self, read: Option<DeliverySummary>) -> DeliverySummary {
        let all = self.all();
        let total = read.map_or(self.total, |read| read.total as usize).max(all.len());
        let all_known = all.len() >= total;
        let amount = |milestone: DeliveryStatus, before: Option<DeliveryAmount>| {
            let reached = all.iter().filter(|status| has_reached(**status, milestone)).count();
            match (reached, before) {
                (reached, _) if reached > 0 && reached == total => DeliveryAmount::All,
                (_, Some(before)) if !all_known && before != DeliveryAmount::None => before,
                (0, _) => DeliveryAmount::None,
                (_, _) => DeliveryAmount::Some,
            }
        };
        DeliverySummary {
            total: u32::try_from(total).unwrap_or(u32::MAX),
            sent: amount(DeliveryStatus::Sent, read.map(|read| read.sent)),
            delivered: amount(DeliveryStatus::Delivered, read.map(|read| read.delivered)),
            read: amount(DeliveryStatus::Read, read.map(|read| read.read)),
            failed: amount(DeliveryStatus::Failed, read.map(|read| read.failed)),
            undelivered: amount(DeliveryStatus::Undelivered, read.map(|read| read.undelivered)),
        }
    }
}

/// What comes later is higher; of these, the last report counts.
fn stage(status: DeliveryStatus) -> u8 {
    match status {
        DeliveryStatus::Sent => 0,
        DeliveryStatus::Failed | DeliveryStatus::Undelivered | DeliveryStatus::Delivered => 1,
        DeliveryStatus::Read => 2,
    }
}

fn is_failure(status: DeliveryStatus) -> bool {
    match status {
        DeliveryStatus::Failed | DeliveryStatus::Undelivered => true,
        DeliveryStatus::Sent | DeliveryStatus::Delivered | DeliveryStatus::Read => false,
    }
}

/// The one that did not get as far.
fn lesser(one: DeliveryStatus, other: DeliveryStatus) -> DeliveryStatus {
    if stage(other) < stage(one) { other } else { one }
}

/// Whether a copy has come as far as `milestone`: what was read was delivered too.
fn has_reached(status: DeliveryStatus, milestone: DeliveryStatus) -> bool {
    match milestone {
        DeliveryStatus::Sent => status != DeliveryStatus::Failed,
        DeliveryStatus::Delivered => matches!(status, DeliveryStatus::Delivered | DeliveryStatus::Read),
        DeliveryStatus::Read | DeliveryStatus::Failed | DeliveryStatus::Undelivered => status == milestone,
    }
}

/// Why a copy did not arrive, to be read by a person; `None` while it is on its way, or has arrived.
///
/// Codes: <https://www.twilio.com/docs/api/errors>.
#[must_use]
pub fn failure_reason(status: DeliveryStatus, error_code: u32) -> Option<&'static str> {
    match status {
        DeliveryStatus::Sent | DeliveryStatus::Delivered | DeliveryStatus::Read => return None,
        DeliveryStatus::Failed | DeliveryStatus::Undelivered => {}
    }
    Some(match error_code {
        30003 => "the phone is switched off or out of reach",
        30005 | 21211 => "nobody has this number",
        30006 | 21612 | 21614 => "this number cannot receive texts; it may be a landline",
        21610 => "this person has asked not to be texted from here",
        30004 | 30007 | 63049 => "it was held back as unwanted on its way",
        21408 | 30010 => "texts to this country are not allowed",
        30001 | 30022 | 30023 | 63018 => "too many messages were sent at once or today",
        30002 | 30032 | 30034 => "the number it was sent from is not registered for this",
        21617 => "it is too long",
        11751 | 12300 | 63019 | 63021 => "the file is too large, or of a kind that phones do not take",
        63003 | 63024 => "this number is not on WhatsApp",
        63016 => {
            "this person has not written on WhatsApp for 24 hours: until they do, only templates reach them"
        }
        _ => "it could not be delivered",
    })
}

impl Core {
    /// Takes in and tells how far one copy of a message got, if that is news. No Twilio call.
    pub(super) async fn delivery_reported(&self, report: CopyReport) {
        let CopyReport { conversation, participant, error_code, .. } = report;
        self.recall_part(&report).await;
        let roster = self.participants.find(conversation).await;
        let phones = roster.map_or(0, |roster| roster.phones());
        let Some((message, status)) = self.history.deliveries.take_in(&report, phones) else { return };
        if !self.door.first(Seen::Delivery(message, participant, status)) {
            return;
        }
        let last = self.known_last_messages(&[conversation]).await.remove(&conversation);
        let last = last.filter(|last| last.sid == message);
        let known = self.history.find_by_sid(conversation, message).or(last);
        let summary = match known {
            Some(known) => {
                let now = self.history.deliveries.laid_over(&known);
                self.history.replace(&now);
                self.note_change(&now);
                now.delivery
            }
            None => self.history.deliveries.summary_of(message),
        };
        let error_code = error_code.unwrap_or(0);
        self.publish(&Event::DeliveryUpdated {
            conversation,
            message,
            participant,
            status,
            error_code,
            summary,
        });
    }

    /// Takes in that a message nobody told of is a part of the last one, as after a restart: that one names it, and it is in
    /// no index of messages.
    async fn recall_part(&self, report: &CopyReport) {
        let (conversation, part) = (report.conversation, report.message);
        let deliveries = &self.history.deliveries;
        if deliveries.knows(part) || self.history.find_by_sid(conversation, part).is_some() {
            return;
        }
        let Some(last) = self.known_last_messages(&[conversation]).await.remove(&conversation) else {
            return;
        };
        let text = part.to_string();
        if last.attributes.contains(&text)
            && Extras::of(&last).parts.contains(&part)
            && let Ok(None) = self.store.find_message(&text).await
        {
            let part_of =
                Part { author: last.author.clone(), extras: Extras::default(), whole: Some(last.sid) };
            deliveries.parts.insert(part, Arc::new(part_of));
        }
    }

    /// Takes in the summary of a message that was told without one.
    pub(super) fn note_delivery(&self, message: &Arc<Message>) {
        if message.delivery.is_none() {
            return;
        }
        let known = self.history.find_by_sid(message.conversation_sid, message.sid);
        if let Some(known) = known.filter(|known| known.delivery.is_none()) {
            let now = Arc::new(Message { delivery: message.delivery, ..(*known).clone() });
            self.history.replace(&now);
            self.note_change(&now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: DeliveryAmount = DeliveryAmount::All;
    const SOME: DeliveryAmount = DeliveryAmount::Some;
    const NONE: DeliveryAmount = DeliveryAmount::None;

    fn phone(number: u8) -> ParticipantSid {
        format!("MB{number:032x}").parse().unwrap()
    }

    fn report(participant: u8, status: DeliveryStatus) -> CopyReport {
        CopyReport {
            conversation: format!("CH{:032x}", 1).parse().unwrap(),
            message: format!("IM{:032x}", 1).parse().unwrap(),
            participant: phone(participant),
            status,
            error_code: None,
        }
    }

    fn sent_to(total: u32) -> DeliverySummary {
        DeliverySummary { total, sent: ALL, delivered: NONE, read: NONE, failed: NONE, undelivered: NONE }
    }

    fn after(reports: &[(u8, DeliveryStatus)], read: Option<DeliverySummary>) -> DeliverySummary {
        let deliveries = Deliveries::new();
        for (participant, status) in reports {
            deliveries.take_in(&report(*participant, *status), 0);
        }
        deliveries.reported.get(&report(1, DeliveryStatus::Sent).message).unwrap().laid_over(read)
    }

    #[test]
    fn of_one_phone_the_report_is_the_summary() {
        let delivered = after(&[(1, DeliveryStatus::Sent), (1, DeliveryStatus::Delivered)], Some(sent_to(1)));
        assert_eq!(delivered, DeliverySummary { delivered: ALL, ..sent_to(1) });
        let failed = after(&[(1, DeliveryStatus::Failed)], Some(sent_to(1)));
        assert_eq!(failed, DeliverySummary { sent: NONE, failed: ALL, ..sent_to(1) });
        let read = after(&[(1, DeliveryStatus::Read)], None);
        assert_eq!(read, DeliverySummary { delivered: ALL, read: ALL, ..sent_to(1) });
    }

    #[test]
    fn of_several_phones_what_was_read_holds_for_the_others() {
        let one = after(&[(1, DeliveryStatus::Delivered)], Some(sent_to(2)));
        assert_eq!(one, DeliverySummary { delivered: SOME, ..sent_to(2) });
        let both = after(&[(1, DeliveryStatus::Delivered), (2, DeliveryStatus::Read)], Some(sent_to(2)));
        assert_eq!(both, DeliverySummary { delivered: ALL, read: SOME, ..sent_to(2) });
        let before = DeliverySummary { delivered: SOME, ..sent_to(3) };
        assert_eq!(after(&[(1, DeliveryStatus::Sent)], Some(before)), before);
    }

    #[test]
    fn a_late_report_of_an_earlier_stage_is_not_news() {
        let deliveries = Deliveries::new();
        assert!(deliveries.take_in(&report(1, DeliveryStatus::Delivered), 1).is_some());
        assert!(deliveries.take_in(&report(1, DeliveryStatus::Sent), 1).is_none());
        assert!(deliveries.take_in(&report(1, DeliveryStatus::Delivered), 1).is_none());
        assert!(deliveries.take_in(&report(1, DeliveryStatus::Read), 1).is_some());
    }

    #[test]
    fn every_failure_has_words_and_no_success_has() {
        assert_eq!(failure_reason(DeliveryStatus::Delivered, 30003), None);
        assert_eq!(
            failure_reason(DeliveryStatus::Failed, 30006),
            failure_reason(DeliveryStatus::Undelivered, 30006)
        );
        assert_eq!(failure_reason(DeliveryStatus::Failed, 0), Some("it could not be delivered"));
    }
}
