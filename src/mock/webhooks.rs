//! Webhooks out: pre-webhooks, which are waited for, and post-webhooks, which go in order per conversation.
//!
//! Nothing waits for a post-webhook but its own queue, which is bounded; what fails or does not fit is in the journal.
//! Which events go where is decided in `state.rs` (`Tenant::ask`, `Tenant::tell`), how one is sent in `delivery.rs`.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use crate::mock::delivery::{Delivery, Lane, Outcome, Sender};
use crate::mock::error::{self, Refusal};
use crate::mock::event::{Amendment, Question};
use crate::mock::faults::{self, Faults, Mishap};
use crate::mock::journal::Journal;

/// Most webhooks waiting for one conversation and address.
pub(crate) const MOST_IN_A_LANE: usize = 1000;

/// Most webhooks of an account waiting altogether.
const MOST_WAITING: usize = 20_000;

/// How long a webhook that is to be overtaken waits for another one.
const OVERTAKEN_WITHIN: Duration = Duration::from_secs(5);

/// The webhooks of one account. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Webhooks {
    lanes: Arc<Mutex<Lanes>>,
    sender: Sender,
    journal: Arc<Journal>,
    faults: Arc<Faults>,
    stopping: CancellationToken,
}

#[derive(Debug, Default)]
struct Lanes {
    waiting: HashMap<Lane, VecDeque<Delivery>>,
    count: usize,
    /// Those that let the next one of their lane go first.
    overtaken: HashMap<Lane, Delivery>,
}

impl Webhooks {
    pub(crate) fn new(
        sender: Sender,
        journal: Arc<Journal>,
        faults: Arc<Faults>,
        stopping: CancellationToken,
    ) -> Self {
        Self { lanes: Arc::default(), sender, journal, faults, stopping }
    }

    /// Asks the pre-webhooks one after the other: every change they want, or the refusal of the first that refuses.
    /// Anything but 200 refuses; no answer at all, or none in time, lets the action go on as it is.
    pub(crate) async fn ask(&self, question: Question) -> Result<Amendment, Refusal> {
        let mut amendment = Amendment::default();
        for mut delivery in question.deliveries {
            match self.faults.strike_webhook(question.event) {
                Some(Mishap::Drop) => {
                    self.journal.note_webhook(delivery.unsent("dropped by a fault"));
                    continue;
                }
                Some(Mishap::Delay(delay)) => delivery.delay = Some(delay),
                Some(Mishap::Double | Mishap::Reorder) | None => {}
            }
            match self.send(&delivery).await {
                Some(Outcome::Answered { status: 200, body }) => amendment = amendment.and(wanted(&body)?),
                Some(Outcome::Answered { .. }) => return Err(error::WEBHOOK_REFUSED),
                Some(Outcome::TimedOut | Outcome::Unreachable(_)) | None => {}
            }
        }
        Ok(amendment)
    }

    /// Puts `delivery` at the end of its queue, or what a fault makes of it; never waits.
    pub(crate) fn queue(&self, mut delivery: Delivery) {
        let lane = delivery.lane.clone();
        match self.faults.strike_webhook(delivery.event) {
            None => self.push(delivery),
            Some(Mishap::Drop) => {
                self.journal.note_webhook(delivery.unsent("dropped by a fault"));
                return;
            }
            Some(Mishap::Double) => {
                self.push(delivery.clone());
                self.push(delivery);
            }
            Some(Mishap::Delay(delay)) => {
                delivery.delay = Some(delay);
                self.push(delivery);
            }
            Some(Mishap::Reorder) => {
                let before = self.lanes.lock().overtaken.insert(lane.clone(), delivery);
                if let Some(before) = before {
                    self.push(before);
                }
                let webhooks = self.clone();
                tokio::spawn(async move {
                    faults::hold(OVERTAKEN_WITHIN, &webhooks.stopping).await;
                    webhooks.release(&lane);
                });
                return;
            }
        }
        self.release(&lane);
    }

    /// Lets go what waited to be overtaken.
    fn release(&self, lane: &Lane) {
        let overtaken = self.lanes.lock().overtaken.remove(lane);
        if let Some(overtaken) = overtaken {
            self.push(overtaken);
        }
    }

    fn push(&self, delivery: Delivery) {
        let mut lanes = self.lanes.lock();
        let lane = delivery.lane.clone();
        let full = lanes.count >= MOST_WAITING
            || lanes.waiting.get(&lane).is_some_and(|waiting| waiting.len() >= MOST_IN_A_LANE);
        if full {
            drop(lanes);
            self.journal.note_webhook(delivery.unsent("the queue is full"));
            return;
        }
        lanes.count += 1;
        match lanes.waiting.get_mut(&lane) {
            // Whoever empties this lane finds it.
            Some(waiting) => waiting.push_back(delivery),
            None => {
                lanes.waiting.insert(lane.clone(), VecDeque::from([delivery]));
                let webhooks = self.clone();
                tokio::spawn(async move { webhooks.empty(lane).await });
            }
        }
    }

    /// Drops everything that still waits.
    pub(crate) fn forget(&self) {
        let mut lanes = self.lanes.lock();
        lanes.waiting.values_mut().for_each(VecDeque::clear);
        lanes.overtaken.clear();
        lanes.count = 0;
    }

    /// How many have not been sent yet.
    pub(crate) fn waiting(&self) -> usize {
        let lanes = self.lanes.lock();
        lanes.count + lanes.overtaken.len()
    }

    /// Sends what waits in `lane`, one after the other, until nothing does.
    async fn empty(&self, lane: Lane) {
        while let Some(delivery) = self.next(&lane) {
            let _turn = self.sender.turn().await;
            if self.send(&delivery).await.is_none() {
                return;
            }
        }
    }

    /// The next of `lane`; an empty lane is taken away in the same breath, so that the next delivery starts a new one.
    fn next(&self, lane: &Lane) -> Option<Delivery> {
        let mut lanes = self.lanes.lock();
        let delivery = lanes.waiting.get_mut(lane).and_then(VecDeque::pop_front);
        match delivery {
            Some(_) => lanes.count -= 1,
            None => {
                lanes.waiting.remove(lane);
            }
        }
        delivery
    }

    /// Sends one; `None` when the mock stops meanwhile.
    async fn send(&self, delivery: &Delivery) -> Option<Outcome> {
        if let Some(delay) = delivery.delay {
            faults::hold(delay, &self.stopping).await;
        }
        tokio::select! {
            outcome = self.sender.send(delivery, &self.journal) => Some(outcome),
            () = self.stopping.cancelled() => None,
        }
    }
}

/// What a pre-webhook's answer asks for. A body that is not JSON asks for nothing.
fn wanted(body: &Bytes) -> Result<Amendment, Refusal> {
    let Ok(body) = serde_json::from_slice::<serde_json::Value>(body) else { return Ok(Amendment::default()) };
    serde_json::from_value(body)
        .map_err(|cause| Refusal::invalid_parameter("the pre-webhook's answer", &cause.to_string()))
}
