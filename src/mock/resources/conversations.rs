//! Conversations: names, state, timers, and what happens to everything inside when one closes or goes.
//!
//! Source: <https://www.twilio.com/docs/conversations/api/conversation-resource>,
//! <https://www.twilio.com/docs/conversations/states-timers>

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, NaiveDate, Utc};
use serde_json::{Value, json};

use crate::mock::clock::in_rest;
use crate::mock::error::{self, Refusal};
use crate::mock::event::{Event, Origin};
use crate::mock::exchange::{Answer, Call, Outcome};
use crate::mock::form::{Form, parse_date};
use crate::mock::page::{self, List, Order};
use crate::mock::resources::messages::Message;
use crate::mock::resources::participants::Participant;
use crate::mock::resources::timers::Timers;
use crate::mock::resources::webhooks::ScopedWebhook;
use crate::mock::sid::{Sid, prefix};
use crate::mock::state::{Place, Tenant};
use crate::mock::table::Table;
use crate::mock::view::View;

/// Most characters of a name.
const MOST_NAME: usize = 256;

/// Most bytes of a conversation's attributes.
const MOST_ATTRIBUTES: usize = 16 * 1024;

/// One conversation and all that is in it.
#[derive(Debug)]
pub(crate) struct Conversation {
    pub(crate) sid: Sid,
    pub(crate) service_sid: Sid,
    pub(crate) messaging_service_sid: String,
    pub(crate) friendly_name: Option<String>,
    pub(crate) unique_name: Option<String>,
    pub(crate) attributes: String,
    pub(crate) state: ConversationState,
    pub(crate) timers: Timers,
    pub(crate) email: Option<(String, Option<String>)>,
    pub(crate) created_by: String,
    pub(crate) date_created: DateTime<Utc>,
    pub(crate) date_updated: DateTime<Utc>,
    pub(crate) participants: Table<Participant>,
    /// Identity → participant.
    pub(crate) identities: HashMap<String, Sid>,
    /// The participants who are reached by SMS, WhatsApp and the like.
    pub(crate) non_chat: Vec<Sid>,
    /// By index, which may skip numbers.
    pub(crate) messages: BTreeMap<u64, Message>,
    pub(crate) message_indexes: HashMap<Sid, u64>,
    pub(crate) next_index: u64,
    pub(crate) webhooks: Table<ScopedWebhook>,
    /// Its place in the service's list.
    pub(crate) activity: u64,
}

/// What may happen in a conversation. `Closed` is final.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ConversationState {
    Initializing,
    Active,
    Inactive,
    Closed,
}

impl ConversationState {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Initializing => "initializing",
            Self::Active => "active",
            Self::Inactive => "inactive",
            Self::Closed => "closed",
        }
    }

    fn parse(text: &str) -> Result<Self, Refusal> {
        match text {
            "" => Err(error::STATE_EMPTY),
            "initializing" => Ok(Self::Initializing),
            "active" => Ok(Self::Active),
            "inactive" => Ok(Self::Inactive),
            "closed" => Ok(Self::Closed),
            _ => Err(error::STATE_INVALID),
        }
    }
}

impl Conversation {
    /// The resource as `view` sees it.
    pub(crate) fn body(&self, view: &View) -> Value {
        let url = format!("{}/Conversations/{}", view.root(), self.sid);
        let bindings = match &self.email {
            None => json!({}),
            Some((address, name)) => json!({ "email": { "address": address, "name": name } }),
        };
        json!({
            "sid": self.sid,
            "account_sid": view.account_sid(),
            "chat_service_sid": self.service_sid,
            "messaging_service_sid": self.messaging_service_sid,
            "friendly_name": self.friendly_name,
            "unique_name": self.unique_name,
            "attributes": self.attributes,
            "state": self.state.as_str(),
            "date_created": in_rest(self.date_created),
            "date_updated": in_rest(self.date_updated),
            "timers": self.timers.body(),
            "bindings": bindings,
            "links": {
                "participants": format!("{url}/Participants"),
                "messages": format!("{url}/Messages"),
                "webhooks": format!("{url}/Webhooks"),
                "export": format!("{url}/Export"),
            },
            "url": url,
        })
    }

    /// An event about something in this conversation, with the scoped webhooks that listen to it.
    pub(crate) fn event(&self, kind: &'static str, message_body: Option<&str>) -> Event {
        let mut event = Event::new(kind, self.service_sid, self.sid).with("ConversationSid", self.sid);
        event.scoped =
            self.webhooks.values().filter_map(|webhook| webhook.target_for(kind, message_body)).collect();
        event
    }

    fn own_event(&self, kind: &'static str) -> Event {
        self.event(kind, None)
            .with_date("DateCreated", self.date_created)
            .with_date("DateUpdated", self.date_updated)
            .with_some("FriendlyName", self.friendly_name.as_ref())
            .with_some("UniqueName", self.unique_name.as_ref())
            .with("Attributes", &self.attributes)
            .with("MessagingServiceSid", &self.messaging_service_sid)
            .with("State", self.state.as_str())
    }

    /// How many messages come after `index`, as far as Twilio counts.
    pub(crate) fn unread_after(&self, index: u64) -> usize {
        self.messages.range(index.saturating_add(1)..).take(1000).count()
    }

    /// Refuses what a closed conversation refuses.
    ///
    /// # Errors
    /// 50377.
    pub(crate) fn still_open(&self) -> Result<(), Refusal> {
        match self.state {
            ConversationState::Closed => Err(error::CONVERSATION_CLOSED),
            ConversationState::Initializing | ConversationState::Active | ConversationState::Inactive => {
                Ok(())
            }
        }
    }
}

/// The conversation a path names by SID or unique name.
///
/// # Errors
/// 404 with the requested path.
pub(crate) fn find(call: &Call, tenant: &Tenant) -> Result<Place, Refusal> {
    let service_sid = call.service_sid(tenant)?;
    let service = tenant.service(service_sid)?;
    let id = call.segment("conversation");
    let conversation_sid = Sid::parse(prefix::CONVERSATION, id)
        .or_else(|| service.unique_names.get(id).copied())
        .filter(|sid| service.conversations.contains_key(sid))
        .ok_or_else(|| call.not_found())?;
    Ok(Place { service_sid, conversation_sid })
}

/// `GET /Conversations`
pub(crate) fn list(call: &Call, tenant: &mut Tenant) -> Outcome {
    const LIST: List =
        List { key: "conversations", size: 50, most: 100, filters: &["StartDate", "EndDate", "State"] };
    let service = tenant.service(call.service_sid(tenant)?)?;
    let view = call.view(tenant);
    let state = call.query().text("State")?.map(ConversationState::parse).transpose()?;
    let from = day(call.query(), "StartDate", false)?;
    let to = day(call.query(), "EndDate", true)?;
    let show = |sid: &Sid| {
        let conversation = service.conversations.get(sid)?;
        let wanted = state.is_none_or(|state| conversation.state == state)
            && from.is_none_or(|from| conversation.date_created >= from)
            && to.is_none_or(|to| conversation.date_created < to);
        wanted.then(|| conversation.body(&view))
    };
    let page = if from.is_some() || to.is_some() {
        page::page(call, &LIST, &service.by_creation, Order::Descending, |(_, sid), ()| show(sid))
    } else {
        page::page(call, &LIST, &service.by_activity, Order::Descending, |_, sid| show(sid))
    };
    page.map(Answer::Ok)
}

/// A day (`2024-01-31`, midnight UTC) or a moment; the end of a range includes the whole day.
fn day(query: &Form, name: &str, end: bool) -> Result<Option<DateTime<Utc>>, Refusal> {
    let Some(text) = query.text(name)? else { return Ok(None) };
    let midnight = |date: NaiveDate| date.and_hms_opt(0, 0, 0).map(|time| time.and_utc());
    let date = match text.parse::<NaiveDate>() {
        Ok(date) if end => date.succ_opt().and_then(midnight),
        Ok(date) => midnight(date),
        Err(_) => parse_date(text),
    };
    date.map(Some).ok_or_else(|| Refusal::invalid_parameter(name, "is not a date"))
}

/// `POST /Conversations`
pub(crate) fn create(call: &Call, tenant: &mut Tenant) -> Outcome {
    let service_sid = call.service_sid(tenant)?;
    let changes = Changes::read(call.form())?;
    if changes.state == Some(ConversationState::Closed) {
        return Err(error::INITIALLY_CLOSED);
    }
    let conversation_sid = add(tenant, service_sid, call.origin(), changes)?;
    let place = Place { service_sid, conversation_sid };
    Ok(Answer::Created(tenant.conversation(place)?.body(&call.view(tenant))))
}

/// Adds a conversation and tells of it.
pub(crate) fn add(
    tenant: &mut Tenant,
    service_sid: Sid,
    origin: &Origin,
    changes: Changes,
) -> Result<Sid, Refusal> {
    let default_timers = tenant.configuration.default_timers();
    let messaging_service_sid = changes
        .messaging_service_sid
        .unwrap_or_else(|| tenant.configuration.default_messaging_service_sid.clone());
    let service = tenant.service_mut(service_sid)?;
    if let Some(name) = &changes.unique_name
        && service.unique_names.contains_key(name)
    {
        return Err(error::UNIQUE_NAME_EXISTS);
    }
    let sid = Sid::random(prefix::CONVERSATION);
    let date_created = changes.date_created.unwrap_or(origin.now);
    let mut timers = default_timers;
    timers.change(changes.inactive_timer, changes.closed_timer);
    timers.restart(origin.now);
    let conversation = Conversation {
        sid,
        service_sid,
        messaging_service_sid,
        friendly_name: changes.friendly_name,
        unique_name: changes.unique_name,
        attributes: changes.attributes.unwrap_or_else(|| "{}".to_owned()),
        state: changes.state.unwrap_or(ConversationState::Active),
        timers,
        email: changes.email,
        created_by: origin.creator().to_owned(),
        date_created,
        date_updated: changes.date_updated.unwrap_or(date_created),
        participants: Table::default(),
        identities: HashMap::new(),
        non_chat: Vec::new(),
        messages: BTreeMap::new(),
        message_indexes: HashMap::new(),
        next_index: 0,
        webhooks: Table::default(),
        activity: service.next_activity,
    };
    if let Some(name) = &conversation.unique_name {
        service.unique_names.insert(name.clone(), sid);
    }
    service.by_creation.insert((conversation.date_created, sid), ());
    let event = conversation.own_event("onConversationAdded");
    service.conversations.insert(sid, conversation);
    service.bump(sid);
    schedule(tenant, Place { service_sid, conversation_sid: sid });
    tenant.tell(origin, &event);
    Ok(sid)
}

/// `GET /Conversations/{conversation}`
pub(crate) fn fetch(call: &Call, tenant: &mut Tenant) -> Outcome {
    let place = find(call, tenant)?;
    Ok(Answer::Ok(tenant.conversation(place)?.body(&call.view(tenant))))
}

/// `POST /Conversations/{conversation}`
pub(crate) fn update(call: &Call, tenant: &mut Tenant) -> Outcome {
    let place = find(call, tenant)?;
    let changes = Changes::read(call.form())?;
    let origin = call.origin();
    let service = tenant.service_mut(place.service_sid)?;
    let conversation = service.conversations.get_mut(&place.conversation_sid).ok_or(error::NOT_FOUND)?;
    conversation.still_open()?;

    if call.form().has("UniqueName") && changes.unique_name != conversation.unique_name {
        if let Some(name) = &changes.unique_name
            && service.unique_names.contains_key(name)
        {
            return Err(error::UNIQUE_NAME_EXISTS);
        }
        if let Some(old) = conversation.unique_name.take() {
            service.unique_names.remove(&old);
        }
        if let Some(new) = &changes.unique_name {
            service.unique_names.insert(new.clone(), place.conversation_sid);
        }
        conversation.unique_name = changes.unique_name;
    }
    if changes.friendly_name.is_some() {
        conversation.friendly_name = changes.friendly_name;
    }
    if let Some(attributes) = changes.attributes {
        conversation.attributes = attributes;
    }
    if let Some(messaging_service_sid) = changes.messaging_service_sid {
        conversation.messaging_service_sid = messaging_service_sid;
    }
    if changes.email.is_some() {
        conversation.email = changes.email;
    }
    if let Some(date_created) = changes.date_created {
        service.by_creation.remove(&(conversation.date_created, conversation.sid));
        conversation.date_created = date_created;
        service.by_creation.insert((date_created, conversation.sid), ());
    }
    if changes.inactive_timer.is_some() || changes.closed_timer.is_some() {
        conversation.timers.change(changes.inactive_timer, changes.closed_timer);
        conversation.timers.restart(origin.now);
    }
    conversation.date_updated = changes.date_updated.unwrap_or(origin.now);
    if let Some(state) = changes.state {
        enter_state(tenant, place, origin, state, "API")?;
    }
    schedule(tenant, place);
    let event = tenant.conversation(place)?.own_event("onConversationUpdated");
    tenant.tell(origin, &event);
    Ok(Answer::Ok(tenant.conversation(place)?.body(&call.view(tenant))))
}

/// `DELETE /Conversations/{conversation}`
pub(crate) fn delete(call: &Call, tenant: &mut Tenant) -> Outcome {
    let place = find(call, tenant)?;
    let origin = call.origin();
    release_bindings(tenant, place)?;
    let service = tenant.service_mut(place.service_sid)?;
    let Some(conversation) = service.conversations.remove(&place.conversation_sid) else {
        return Err(call.not_found());
    };
    service.by_activity.remove(&conversation.activity);
    service.by_creation.remove(&(conversation.date_created, conversation.sid));
    if let Some(name) = &conversation.unique_name {
        service.unique_names.remove(name);
    }
    for participant in conversation.participants.values() {
        service.forget_membership(conversation.sid, participant);
    }
    let event = conversation.own_event("onConversationRemoved").with_date("DateRemoved", origin.now);
    if let Some(deadline) = conversation.timers.scheduled {
        tenant.deadlines.remove(&(deadline, place));
    }
    tenant.tell(origin, &event);
    Ok(Answer::Deleted)
}

/// Moves the conversation to `state` and tells of it. Closing frees its (address, proxy address) pairs.
pub(crate) fn enter_state(
    tenant: &mut Tenant,
    place: Place,
    origin: &Origin,
    state: ConversationState,
    reason: &'static str,
) -> Result<(), Refusal> {
    let conversation = tenant.conversation_mut(place)?;
    if conversation.state == state {
        return Ok(());
    }
    let from = std::mem::replace(&mut conversation.state, state);
    conversation.date_updated = origin.now;
    let event = conversation
        .event("onConversationStateUpdated", None)
        .with("MessagingServiceSid", &conversation.messaging_service_sid)
        .with_date("StateUpdated", origin.now)
        .with("StateFrom", from.as_str())
        .with("StateTo", state.as_str())
        .with("Reason", reason);
    if state == ConversationState::Closed {
        release_bindings(tenant, place)?;
    }
    schedule(tenant, place);
    tenant.tell(origin, &event);
    Ok(())
}

/// Puts the conversation's next end of a timer into the account's calendar.
pub(crate) fn schedule(tenant: &mut Tenant, place: Place) {
    let Ok(conversation) = tenant.conversation_mut(place) else { return };
    let next = match conversation.state {
        ConversationState::Active => conversation.timers.next_deadline(),
        ConversationState::Inactive => conversation.timers.date_closed(),
        ConversationState::Initializing | ConversationState::Closed => None,
    };
    let before = std::mem::replace(&mut conversation.timers.scheduled, next);
    if let Some(before) = before {
        tenant.deadlines.remove(&(before, place));
    }
    if let Some(next) = next {
        tenant.deadlines.insert((next, place));
    }
}

/// A timer of the conversation ended at `deadline`.
pub(crate) fn end_timer(tenant: &mut Tenant, place: Place, deadline: DateTime<Utc>) {
    let Ok(conversation) = tenant.conversation(place) else { return };
    let state = if conversation.timers.date_closed().is_some_and(|closed| closed <= deadline) {
        ConversationState::Closed
    } else {
        ConversationState::Inactive
    };
    // The conversation was there a line above, which is all that can fail here.
    let _ = enter_state(tenant, place, &Origin::timer(deadline), state, "TIMER");
}

fn release_bindings(tenant: &mut Tenant, place: Place) -> Result<(), Refusal> {
    let Tenant { services, bindings, .. } = tenant;
    let conversation = services
        .get(place.service_sid)
        .and_then(|service| service.conversations.get(&place.conversation_sid))
        .ok_or(error::NOT_FOUND)?;
    for pair in conversation.participants.values().filter_map(Participant::pair) {
        if bindings.get(&pair) == Some(&place) {
            bindings.remove(&pair);
        }
    }
    Ok(())
}

/// The parameters of create and update.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    pub(crate) friendly_name: Option<String>,
    pub(crate) unique_name: Option<String>,
    pub(crate) attributes: Option<String>,
    pub(crate) messaging_service_sid: Option<String>,
    pub(crate) state: Option<ConversationState>,
    pub(crate) inactive_timer: Option<chrono::TimeDelta>,
    pub(crate) closed_timer: Option<chrono::TimeDelta>,
    pub(crate) email: Option<(String, Option<String>)>,
    pub(crate) date_created: Option<DateTime<Utc>>,
    pub(crate) date_updated: Option<DateTime<Utc>>,
}

impl Changes {
    fn read(form: &Form) -> Result<Self, Refusal> {
        let friendly_name = form.text_up_to("FriendlyName", MOST_NAME, error::FRIENDLY_NAME_TOO_LONG)?;
        let unique_name = form
            .text_up_to("UniqueName", MOST_NAME, error::UNIQUE_NAME_TOO_LONG)?
            .filter(|name| !name.is_empty());
        if unique_name.is_some_and(|name| Sid::parse(prefix::CONVERSATION, name).is_some()) {
            return Err(error::UNIQUE_NAME_LIKE_A_SID);
        }
        let messaging_service_sid = form.text("MessagingServiceSid")?;
        if messaging_service_sid.is_some_and(|sid| Sid::parse("MG", sid).is_none()) {
            return Err(error::MESSAGING_SERVICE_INVALID);
        }
        let (inactive_timer, closed_timer) = Timers::read(form)?;
        let (date_created, date_updated) = form.dates()?;
        let email_name = form.text("Bindings.Email.Name")?.map(str::to_owned);
        Ok(Self {
            friendly_name: friendly_name.map(str::to_owned),
            unique_name: unique_name.map(str::to_owned),
            attributes: form.attributes(MOST_ATTRIBUTES)?,
            messaging_service_sid: messaging_service_sid.map(str::to_owned),
            state: form.text("State")?.map(ConversationState::parse).transpose()?,
            inactive_timer,
            closed_timer,
            email: form.text("Bindings.Email.Address")?.map(|address| (address.to_owned(), email_name)),
            date_created,
            date_updated,
        })
    }
}
