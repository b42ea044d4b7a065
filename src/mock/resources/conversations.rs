//! Conversations: names, state, timers, and what happens to everything inside when one closes or goes.
//!
//! Source: <https://www.twilio.com/docs/conversations/api/conversation-resource>,
//! <https://www.twilio.com/docs/conversations/states-timers>

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound::{Excluded, Included, Unbounded};

use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::mock::clock::in_rest;
use crate::mock::error::{self, Refusal};
use crate::mock::event::{Amendment, Event, Origin};
use crate::mock::exchange::{Answer, Call, Outcome};
use crate::mock::form::{Form, parse_date};
use crate::mock::page::{self, List, Order, Rows};
use crate::mock::resources::conversation_with_participants::Populating;
use crate::mock::resources::groups;
use crate::mock::resources::messages::Message;
use crate::mock::resources::participants::Participant;
use crate::mock::resources::states::{ConversationState, enter_state, release_bindings, schedule};
use crate::mock::resources::timers::Timers;
use crate::mock::resources::webhooks::ScopedWebhook;
use crate::mock::sid::{Sid, prefix};
use crate::mock::state::{Place, Tenant};
use crate::mock::table::Table;
use crate::mock::view::View;

/// Most characters of a friendly name.
const MOST_NAME: usize = 256;

/// Most bytes of a conversation's attributes.
const MOST_ATTRIBUTES: usize = 16 * 1024;

/// Where Twilio stops counting unread messages.
const MOST_UNREAD: usize = 1000;

/// One conversation and all that is in it.
#[derive(Debug, Serialize, Deserialize)]
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
    #[serde(skip)]
    pub(crate) identities: HashMap<String, Sid>,
    /// The participants who are reached by SMS, WhatsApp and the like.
    #[serde(skip)]
    pub(crate) non_chat: Vec<Sid>,
    /// The participants on chat who have a projected address.
    #[serde(skip)]
    pub(crate) projecting: Vec<Sid>,
    /// Its numbers as the account knows them, if it is a group text.
    pub(crate) group: Option<String>,
    /// Who is still to be added.
    pub(crate) populating: Option<Populating>,
    /// By index, which may skip numbers.
    pub(crate) messages: BTreeMap<u64, Message>,
    #[serde(skip)]
    pub(crate) message_indexes: HashMap<Sid, u64>,
    pub(crate) next_index: u64,
    /// How many messages there ever were.
    pub(crate) next_ordinal: u64,
    /// The greatest ordinal of a message that was deleted.
    pub(crate) last_deleted: Option<u64>,
    pub(crate) webhooks: Table<ScopedWebhook>,
    /// Its place in the service's list.
    pub(crate) activity: u64,
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
        let event = self
            .event(kind, None)
            .with_date("DateCreated", self.date_created)
            .with_date("DateUpdated", self.date_updated);
        self.described(event)
    }

    fn described(&self, event: Event) -> Event {
        event
            .with_some("FriendlyName", self.friendly_name.as_ref())
            .with_some("UniqueName", self.unique_name.as_ref())
            .with("Attributes", &self.attributes)
            .with("MessagingServiceSid", &self.messaging_service_sid)
            .with("State", self.state.as_str())
    }

    /// The conversation as `changes` would make it, as a pre-webhook is told of it.
    fn proposal(&self, form: &Form, changes: &Changes, now: DateTime<Utc>) -> Event {
        let proposed = |new: &Option<String>, old: &Option<String>| new.clone().or_else(|| old.clone());
        let unique_name =
            if form.has("UniqueName") { changes.unique_name.clone() } else { self.unique_name.clone() };
        self.event("onConversationUpdate", None)
            .with_date("DateCreated", self.date_created)
            .with_date("DateUpdated", changes.date_updated.unwrap_or(now))
            .with_some("FriendlyName", proposed(&changes.friendly_name, &self.friendly_name))
            .with_some("UniqueName", unique_name)
            .with("Attributes", changes.attributes.as_ref().unwrap_or(&self.attributes))
            .with(
                "MessagingServiceSid",
                changes.messaging_service_sid.as_ref().unwrap_or(&self.messaging_service_sid),
            )
            .with("State", changes.state.unwrap_or(self.state).as_str())
    }

    /// How many messages come after `index`, as far as Twilio counts; those of `own` are left out.
    pub(crate) fn unread_after(&self, index: u64, own: Option<&str>) -> usize {
        let mut after = self.messages.range((Excluded(index), Unbounded)).map(|(_, message)| message);
        if let Some(own) = own {
            return after.filter(|message| message.author != own).take(MOST_UNREAD).count();
        }
        let Some(first) = after.next() else { return 0 };
        if self.last_deleted.is_none_or(|deleted| deleted < first.ordinal) {
            let unread = self.next_ordinal.saturating_sub(first.ordinal);
            return usize::try_from(unread).map_or(MOST_UNREAD, |unread| unread.min(MOST_UNREAD));
        }
        after.take(MOST_UNREAD - 1).count() + 1
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
    let show = |sid: &Sid| Some(service.conversations.get(sid)?.body(&view));
    let in_state = |sid: &Sid| {
        let found = service.conversations.get(sid);
        state.is_none_or(|state| found.is_some_and(|conversation| conversation.state == state))
    };
    let page = if from.is_some() || to.is_some() {
        let edge = |date| (date, Sid::least(prefix::CONVERSATION));
        let (from, to) = (from.map(edge), to.map(edge));
        let rows = Rows {
            all: &service.by_creation,
            from: from.as_ref().map_or(Unbounded, Included),
            to: to.as_ref().map_or(Unbounded, Excluded),
        };
        page::page_within(call, tenant, &LIST, rows, Order::Descending, |(_, sid), ()| {
            in_state(sid).then(|| show(sid)).flatten()
        })
    } else {
        let none = BTreeMap::new();
        let rows = match state {
            None => &service.by_activity,
            Some(state) => service.by_state.get(&state).unwrap_or(&none),
        };
        page::page(call, tenant, &LIST, rows, Order::Descending, |_, sid| show(sid))
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
    let changes = Changes::of_new(call, tenant)?;
    let conversation_sid = add(tenant, service_sid, call.origin(), changes)?;
    let place = Place { service_sid, conversation_sid };
    Ok(Answer::Created(tenant.conversation(place)?.body(&call.view(tenant))))
}

/// What a pre-webhook may change of a conversation, checked as if the originator had sent it.
fn amended(amendment: &Amendment) -> Result<(), Refusal> {
    match &amendment.friendly_name {
        Some(name) if name.chars().count() > MOST_NAME => Err(error::FRIENDLY_NAME_TOO_LONG),
        Some(_) | None => Ok(()),
    }
}

/// Adds a conversation and tells of it.
pub(crate) fn add(
    tenant: &mut Tenant,
    service_sid: Sid,
    origin: &Origin,
    changes: Changes,
) -> Result<Sid, Refusal> {
    add_for(tenant, service_sid, origin, changes, &Arrival::new())
}

/// Adds a conversation because a text arrived that belongs to none; `arrival` is what its events say of the text.
pub(crate) fn add_for(
    tenant: &mut Tenant,
    service_sid: Sid,
    origin: &Origin,
    changes: Changes,
    arrival: &Arrival,
) -> Result<Sid, Refusal> {
    let mut conversation = draft(tenant, service_sid, origin, changes)?;
    propose(tenant, &mut conversation, origin, arrival)?;
    insert(tenant, conversation, origin, arrival)
}

/// What a conversation's events say of the text it is made for; empty when it is made for none.
pub(crate) type Arrival = Vec<(&'static str, String)>;

/// Asks the pre-webhooks whether the conversation may be, and under which name.
///
/// # Errors
/// 50056 when one refuses, 50003 when the name one wants is too long.
pub(crate) fn propose(
    tenant: &Tenant,
    conversation: &mut Conversation,
    origin: &Origin,
    arrival: &Arrival,
) -> Result<(), Refusal> {
    let Conversation { sid, service_sid, .. } = *conversation;
    let amendment = tenant.ask(origin, "onConversationAdd", service_sid, || {
        let event = conversation.described(Event::new("onConversationAdd", service_sid, sid));
        arrival.iter().fold(event, |event, (name, value)| event.with(name, value))
    })?;
    amended(&amendment)?;
    conversation.friendly_name = amendment.friendly_name.or(conversation.friendly_name.take());
    Ok(())
}

/// A conversation that is not in its service yet.
///
/// # Errors
/// 50353 when its name is taken.
pub(crate) fn draft(
    tenant: &Tenant,
    service_sid: Sid,
    origin: &Origin,
    changes: Changes,
) -> Result<Conversation, Refusal> {
    let default_timers = tenant.configuration.default_timers();
    let messaging_service_sid = changes
        .messaging_service_sid
        .unwrap_or_else(|| tenant.configuration.default_messaging_service_sid.clone());
    let service = tenant.service(service_sid)?;
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
    Ok(Conversation {
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
        projecting: Vec::new(),
        group: None,
        populating: changes.populating,
        messages: BTreeMap::new(),
        message_indexes: HashMap::new(),
        next_index: 0,
        next_ordinal: 0,
        last_deleted: None,
        webhooks: Table::default(),
        activity: service.next_activity,
    })
}

/// Puts a new conversation into its service and tells of it.
pub(crate) fn insert(
    tenant: &mut Tenant,
    conversation: Conversation,
    origin: &Origin,
    arrival: &Arrival,
) -> Result<Sid, Refusal> {
    let Conversation { sid, service_sid, .. } = conversation;
    let service = tenant.service_mut(service_sid)?;
    if let Some(name) = &conversation.unique_name {
        service.unique_names.insert(name.clone(), sid);
    }
    service.by_creation.insert((conversation.date_created, sid), ());
    let event = conversation.own_event("onConversationAdded");
    let binding = arrival.iter().filter(|(name, _)| name.starts_with("MessagingBinding."));
    let event = binding.fold(event, |event, (name, value)| event.with(name, value));
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
    let mut changes = Changes::read(call.form(), tenant)?;
    let origin = call.origin();
    let conversation = tenant.conversation(place)?;
    conversation.still_open()?;
    if changes.state == Some(ConversationState::Initializing)
        && conversation.state != ConversationState::Initializing
    {
        return Err(error::STATE_INVALID);
    }
    if let Some(name) = &changes.unique_name
        && tenant
            .service(place.service_sid)?
            .unique_names
            .get(name)
            .is_some_and(|sid| *sid != conversation.sid)
    {
        return Err(error::UNIQUE_NAME_EXISTS);
    }
    let amendment = tenant.ask(origin, "onConversationUpdate", place.service_sid, || {
        conversation.proposal(call.form(), &changes, origin.now)
    })?;
    amended(&amendment)?;
    changes.friendly_name = amendment.friendly_name.or(changes.friendly_name);

    let service = tenant.service_mut(place.service_sid)?;
    let conversation = service.conversations.get_mut(&place.conversation_sid).ok_or(error::NOT_FOUND)?;
    if call.form().has("UniqueName") && changes.unique_name != conversation.unique_name {
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
    let conversation = tenant.conversation(place)?;
    tenant.ask(origin, "onConversationRemove", place.service_sid, || {
        conversation.own_event("onConversationRemove")
    })?;
    release_bindings(tenant, place)?;
    let media_goes = tenant.switches.media_deleted_with_conversation;
    let service = tenant.service_mut(place.service_sid)?;
    let Some(conversation) = service.conversations.remove(&place.conversation_sid) else {
        return Err(call.not_found());
    };
    service.forget_activity(&conversation);
    service.by_creation.remove(&(conversation.date_created, conversation.sid));
    if let Some(name) = &conversation.unique_name {
        service.unique_names.remove(name);
    }
    for participant in conversation.participants.values() {
        service.forget_membership(conversation.sid, conversation.state, participant);
    }
    if media_goes {
        let sent = conversation.messages.values().flat_map(|message| &message.media);
        sent.for_each(|attachment| drop(service.media.remove(&attachment.sid)));
    }
    let event = conversation.own_event("onConversationRemoved").with_date("DateRemoved", origin.now);
    if let Some(deadline) = conversation.timers.scheduled {
        tenant.deadlines.remove(&(deadline, place));
    }
    groups::forget(tenant, place, conversation.group);
    tenant.tell(origin, &event);
    Ok(Answer::Deleted)
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
    pub(crate) populating: Option<Populating>,
}

impl Changes {
    /// The parameters of a conversation that is to be made.
    ///
    /// # Errors
    /// 50384 when it is to be closed from the start, 50382 when timers need a state, and as [`Changes::read`].
    pub(crate) fn of_new(call: &Call, tenant: &Tenant) -> Result<Self, Refusal> {
        let changes = Self::read(call.form(), tenant)?;
        let timed = changes.inactive_timer.is_some() || changes.closed_timer.is_some();
        if timed && changes.state.is_none() && tenant.switches.timers_need_state {
            return Err(error::TIMER_WITHOUT_STATE);
        }
        if changes.state == Some(ConversationState::Closed) {
            return Err(error::INITIALLY_CLOSED);
        }
        Ok(changes)
    }

    fn read(form: &Form, tenant: &Tenant) -> Result<Self, Refusal> {
        let friendly_name = form.text_up_to("FriendlyName", MOST_NAME, error::FRIENDLY_NAME_TOO_LONG)?;
        let unique_name = form
            .text_up_to("UniqueName", tenant.switches.most_unique_name, error::UNIQUE_NAME_TOO_LONG)?
            .filter(|name| !name.is_empty());
        if unique_name.is_some_and(|name| Sid::parse(prefix::CONVERSATION, name).is_some()) {
            return Err(error::UNIQUE_NAME_LIKE_A_SID);
        }
        let messaging_service_sid = form.text("MessagingServiceSid")?;
        if messaging_service_sid.is_some_and(|sid| Sid::parse(prefix::MESSAGING_SERVICE, sid).is_none()) {
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
            populating: None,
        })
    }
}
