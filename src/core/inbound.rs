//! What Twilio reports: a webhook becomes true caches and, if it is news, an event.
//!
//! Reports are at-least-once, unordered and replayable. The queue is short and its work never asks Twilio, so a report is
//! answered at once; what makes a repeat a repeat is decided where each thing is taken in. Signatures and forms are
//! `webhooks.rs` and `twilio`.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use futures::FutureExt;
use tokio::sync::mpsc;

use super::deliveries::CopyReport;
use super::events::Seen;
use super::{Conversation, ConversationSid, ConversationState, Core, Message, Participant};
use crate::twilio::{Webhook, WebhookEvent};

/// Reports that may wait. Above it Twilio is told to come back.
const QUEUE: usize = 1_024;
/// What is older than this is not told: nobody waits for it, and an old report may be replayed by somebody who got hold of it
/// (signatures carry no time).
const NEWS_FOR: TimeDelta = TimeDelta::minutes(15);
/// Bytes of a token by which a repeat is known: a longer one is none of Twilio's, and nobody signs it.
const TOKEN_BYTES: usize = 128;
/// How long Twilio waits for leave to add a message; what is not known by then is permitted.
const PERMIT_WITHIN: Duration = Duration::from_millis(300);
/// How long the queue may take to run dry at the end.
const DRAIN_FOR: Duration = Duration::from_secs(2);

/// The way in for Twilio's reports: a cheap clone of a queue that is worked off in order.
#[derive(Clone)]
pub struct Inbound {
    core: Core,
    queue: mpsc::Sender<(Webhook, Option<String>)>,
}

/// The queue is full: the report was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Busy;

impl Inbound {
    /// Starts working off reports for `core`.
    #[must_use]
    pub fn start(core: Core) -> Self {
        let (queue, mut reports) = mpsc::channel::<(Webhook, Option<String>)>(QUEUE);
        let taking_in = core.clone();
        tokio::spawn(async move {
            let core = taking_in;
            while let Some((report, token)) = reports.recv().await {
                // A report that cannot be taken in must not be the last one.
                if AssertUnwindSafe(core.take_in(report, token)).catch_unwind().await.is_err() {
                    metrics::counter!("switchboard_panics_total").increment(1);
                    tracing::error!("taking in a webhook panicked");
                }
            }
        });
        Self { core, queue }
    }

    /// Whether what Twilio is about to do may be done; `None` for reports of what has happened. Asks nobody but memory and,
    /// for 300 ms at most, the database: Twilio and whoever writes wait for it.
    pub async fn permits(&self, report: &Webhook) -> Option<bool> {
        let WebhookEvent::MessageAdd { conversation_sid, author } = &report.event else { return None };
        // Over the SDK a message may name any author; who is connected is who writes.
        let author = report.client_identity.as_ref().unwrap_or(author);
        let permitting = self.core.permits_message(*conversation_sid, author);
        Some(tokio::time::timeout(PERMIT_WITHIN, permitting).await.unwrap_or_else(|_| {
            tracing::warn!("whether a message may be added was not known in time; it is permitted");
            true
        }))
    }

    /// Takes a verified report; `token` is its `I-Twilio-Idempotency-Token`.
    ///
    /// # Errors
    /// [`Busy`] when too many are waiting.
    pub fn push(&self, report: Webhook, token: Option<String>) -> Result<(), Busy> {
        self.queue.try_send((report, token)).map_err(|_| Busy)
    }

    /// Waits until what was taken has been worked off, for a while.
    pub async fn drained(&self) {
        let all = self.queue.reserve_many(QUEUE);
        // What is left then was only to be told to sockets that are closed by now; Twilio has it.
        let _ = tokio::time::timeout(DRAIN_FOR, all).await;
    }
}

impl Core {
    async fn take_in(&self, report: Webhook, token: Option<String>) {
        if let Some(token) = token.filter(|token| token.len() <= TOKEN_BYTES)
            && !self.door.first(Seen::Webhook(token.into()))
        {
            return;
        }
        match report.event {
            WebhookEvent::MessageAdded(message) => self.message_found(message).await,
            WebhookEvent::MessageUpdated(message) => {
                let message = whole_seconds(message);
                if self.is_long_ago(message.date_updated.unwrap_or(message.date_created)) {
                    self.history.forget(message.conversation_sid);
                    self.forget_last_message(message.conversation_sid);
                } else {
                    self.message_changed(&Arc::new(message));
                }
            }
            WebhookEvent::MessageRemoved { conversation_sid, message_sid, index } => {
                self.message_removed(conversation_sid, message_sid, index);
            }
            WebhookEvent::ConversationAdded(conversation) => {
                self.conversation_added(Arc::new(dated(conversation)), Vec::new(), None).await;
            }
            WebhookEvent::ConversationUpdated(conversation) => {
                let conversation = dated(conversation);
                if self.is_long_ago(conversation.date_updated) {
                    self.conversations.forget(conversation.sid).await;
                } else if !self.conversations.is_superseded(&conversation) {
                    self.conversation_changed(conversation).await;
                }
            }
            WebhookEvent::ConversationStateUpdated { conversation_sid, from, to, at, .. } => {
                self.state_changed(conversation_sid, from, to, at).await;
            }
            WebhookEvent::ConversationRemoved { conversation_sid } => {
                self.conversation_removed(conversation_sid).await
            }
            WebhookEvent::ParticipantAdded(participant) => {
                if self.is_long_ago(participant.date_updated) {
                    self.participants.forget(participant.conversation_sid).await;
                } else {
                    self.participant_added(Arc::new(joined(participant))).await;
                }
            }
            WebhookEvent::ParticipantUpdated(participant) => {
                let participant = joined(participant);
                if self.is_long_ago(participant.date_updated) {
                    self.participants.forget(participant.conversation_sid).await;
                } else if !self.participants.is_superseded(&participant) {
                    self.participant_changed(participant).await;
                }
            }
            WebhookEvent::ParticipantRemoved(participant) => {
                // Whoever is gone stays gone, however old the report is; but where nobody knows who is in, they may be back.
                let is_known = self.participants.find(participant.conversation_sid).await.is_some();
                if is_known || !self.is_long_ago(participant.date_updated) {
                    self.participant_removed(&Arc::new(participant)).await;
                } else {
                    self.forget_list_of(&participant).await;
                }
            }
            WebhookEvent::UserUpdated(user) => {
                if !self.is_long_ago(user.date_updated) {
                    self.user_changed(&user).await;
                }
            }
            WebhookEvent::DeliveryUpdated {
                conversation_sid,
                message_sid,
                participant_sid,
                status,
                error_code,
            } => {
                self.delivery_reported(CopyReport {
                    conversation: conversation_sid,
                    message: message_sid,
                    participant: participant_sid,
                    status,
                    error_code,
                })
                .await;
            }
            // A new user is in no conversation yet; what asks for leave has happened to nobody.
            WebhookEvent::UserAdded(_) | WebhookEvent::MessageAdd { .. } | WebhookEvent::Unhandled { .. } => {
            }
        }
    }

    /// Takes in that a conversation went from one state to another. The report has no other field; what is not in memory has
    /// nobody who would have to forget it.
    async fn state_changed(
        &self,
        sid: ConversationSid,
        from: ConversationState,
        to: ConversationState,
        at: Option<DateTime<Utc>>,
    ) {
        let Some(known) = self.conversations.find(sid).await else { return };
        let Some(at) = at.map(seconds).filter(|at| !self.is_long_ago(*at)) else {
            return self.conversations.forget(sid).await;
        };
        // Within the second of what is known only the state it began from says that it is the newer one.
        if at > known.date_updated || (at == known.date_updated && from == known.state) {
            self.conversation_changed(Conversation { state: to, date_updated: at, ..(*known).clone() }).await;
        }
    }

    /// Whether a report of this moment is so old that things may have changed since. Then whoever asks next reads anew what
    /// it is about: an old report that somebody replays tells nobody anything, and opens no door.
    fn is_long_ago(&self, reported: DateTime<Utc>) -> bool {
        self.clock.now() - reported > NEWS_FOR
    }

    /// Takes in a message that others sent, and tells it if it is new.
    pub(super) async fn message_found(&self, message: Message) {
        self.note_media(&message).await;
        self.learn_support(message.conversation_sid).await;
        let message = Arc::new(whole_seconds(message));
        if self.is_long_ago(message.date_created) {
            self.history.take_in(&message);
            self.note_last_message(&message);
            tracing::info!(message.sid = %message.sid, "an old message was reported; it is not told");
        } else {
            self.publish_message_in_turn(&message);
        }
    }
}

/// Reports carry milliseconds, the REST API whole seconds: the same thing must look the same whichever told it.
fn seconds(time: DateTime<Utc>) -> DateTime<Utc> {
    time.trunc_subsecs(0)
}

fn whole_seconds(message: Message) -> Message {
    Message {
        date_created: seconds(message.date_created),
        // A message that was never edited is "updated" when it is made.
        date_updated: Some(seconds(message.date_updated.unwrap_or(message.date_created))),
        ..message
    }
}

fn dated(conversation: Conversation) -> Conversation {
    Conversation {
        date_created: seconds(conversation.date_created),
        date_updated: seconds(conversation.date_updated),
        ..conversation
    }
}

fn joined(participant: Participant) -> Participant {
    Participant {
        date_created: seconds(participant.date_created),
        date_updated: seconds(participant.date_updated),
        ..participant
    }
}
