//! Participants: people by identity, phones by address; who may be added to what.
//!
//! Group MMS is known as far as single participants go; counting its bindings and telling equal groups apart is not done.
//! Source: <https://www.twilio.com/docs/conversations/api/conversation-participant-resource>

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use crate::mock::clock::in_rest;
use crate::mock::error::{self, Refusal};
use crate::mock::event::{Event, Origin};
use crate::mock::exchange::{Answer, Call, Outcome};
use crate::mock::form::Form;
use crate::mock::page::{self, List, Order};
use crate::mock::resources::binding::Binding;
use crate::mock::resources::conversations::{Conversation, ConversationState, find};
use crate::mock::resources::users;
use crate::mock::sid::{Sid, prefix};
use crate::mock::state::{Place, Service, Tenant};
use crate::mock::view::View;

/// Most characters of an identity.
pub(crate) const MOST_IDENTITY: usize = 256;

/// Most bytes of a participant's attributes.
const MOST_ATTRIBUTES: usize = 4 * 1024;

const MOST_PARTICIPANTS: usize = 1000;
const MOST_NON_CHAT: usize = 50;
const MOST_CONVERSATIONS: usize = 1000;

/// One participant.
#[derive(Debug, Clone)]
pub(crate) struct Participant {
    pub(crate) sid: Sid,
    pub(crate) identity: Option<String>,
    pub(crate) binding: Option<Binding>,
    pub(crate) attributes: String,
    pub(crate) role_sid: Option<Sid>,
    pub(crate) date_created: DateTime<Utc>,
    pub(crate) date_updated: DateTime<Utc>,
    pub(crate) last_read_message_index: Option<u64>,
    pub(crate) last_read_timestamp: Option<DateTime<Utc>>,
    pub(crate) muted: bool,
}

impl Participant {
    /// The (address, proxy address) pair that routes incoming messages here.
    pub(crate) fn pair(&self) -> Option<(String, String)> {
        let binding = self.binding.as_ref()?;
        Some((binding.address.clone()?, binding.proxy_address.clone()?))
    }

    /// How the participant is reached: `chat`, `sms`, `whatsapp`, ….
    pub(crate) fn channel(&self) -> &str {
        self.binding.as_ref().map_or("chat", Binding::channel)
    }

    /// The resource as `view` sees it.
    pub(crate) fn body(&self, view: &View, conversation_sid: Sid) -> Value {
        view.scoped(json!({
            "sid": self.sid,
            "account_sid": view.account_sid(),
            "conversation_sid": conversation_sid,
            "identity": self.identity,
            "attributes": self.attributes,
            "messaging_binding": self.binding.as_ref().map(Binding::body),
            "role_sid": self.role_sid,
            "date_created": in_rest(self.date_created),
            "date_updated": in_rest(self.date_updated),
            "last_read_message_index": self.last_read_message_index,
            "last_read_timestamp": self.last_read_timestamp.map(in_rest),
            "url": format!("{}/Conversations/{conversation_sid}/Participants/{}", view.root(), self.sid),
        }))
    }

    /// Takes over a read horizon: both members stay as they are when not given.
    pub(crate) fn read_up_to(&mut self, horizon: &Horizon, now: DateTime<Utc>) {
        if let Some(index) = horizon.index {
            self.last_read_message_index = index;
            self.last_read_timestamp = index.map(|_| now);
        }
        if let Some(timestamp) = horizon.timestamp {
            self.last_read_timestamp = Some(timestamp);
        }
    }

    fn event(&self, kind: &'static str, conversation: &Conversation) -> Event {
        let mut event = conversation
            .event(kind, None)
            .with("ParticipantSid", self.sid)
            .with_date("DateCreated", self.date_created)
            .with_some("Identity", self.identity.as_ref())
            .with("Attributes", &self.attributes)
            .with(
                "MessagingBinding.Type",
                self.binding.as_ref().map_or("CHAT".to_owned(), Binding::webhook_type),
            );
        if self.identity.is_some() {
            event = event.with_some("RoleSid", self.role_sid);
        }
        if let Some(binding) = &self.binding {
            event = event
                .with_some("MessagingBinding.Address", binding.address.as_ref())
                .with_some("MessagingBinding.ProxyAddress", binding.proxy_address.as_ref())
                .with_some("MessagingBinding.ProjectedAddress", binding.projected_address.as_ref());
        }
        event
    }
}

/// A read horizon to be set. The outer `None` leaves the index alone, the inner one clears it.
#[derive(Debug, Default)]
pub(crate) struct Horizon {
    index: Option<Option<u64>>,
    timestamp: Option<DateTime<Utc>>,
}

impl Horizon {
    /// `LastReadMessageIndex` (empty or `null` clears it) and `LastReadTimestamp`.
    ///
    /// # Errors
    /// 50421, 50405.
    pub(crate) fn read(form: &Form) -> Result<Self, Refusal> {
        let index = form.text("LastReadMessageIndex")?.map(|text| match text {
            "" | "null" => Ok(None),
            digits => digits.parse().map(Some).map_err(|_| error::LAST_READ_INDEX_INVALID),
        });
        Ok(Self {
            index: index.transpose()?,
            timestamp: form.date("LastReadTimestamp", error::LAST_READ_TIMESTAMP_INVALID)?,
        })
    }
}

/// Someone to be added.
#[derive(Debug)]
pub(crate) struct NewParticipant {
    pub(crate) identity: Option<String>,
    pub(crate) binding: Option<Binding>,
    pub(crate) attributes: Option<String>,
    pub(crate) role_sid: Option<Sid>,
    pub(crate) date_created: Option<DateTime<Utc>>,
    pub(crate) date_updated: Option<DateTime<Utc>>,
}

impl NewParticipant {
    fn read(form: &Form) -> Result<Self, Refusal> {
        let identity = identity(form)?;
        let binding = Binding::read(form)?;
        match (&identity, &binding) {
            (None, None) => return Err(error::IDENTITY_MISSING),
            (Some(_), Some(binding)) if binding.address.is_some() || binding.proxy_address.is_some() => {
                return Err(error::IDENTITY_NOT_ACCEPTABLE);
            }
            (None, Some(binding)) if binding.address.is_none() => return Err(error::ADDRESS_EMPTY),
            (Some(_), _) | (None, Some(_)) => {}
        }
        let (date_created, date_updated) = form.dates()?;
        Ok(Self {
            identity: identity.map(str::to_owned),
            binding,
            attributes: form.attributes(MOST_ATTRIBUTES)?,
            role_sid: role(form)?,
            date_created,
            date_updated,
        })
    }
}

fn identity(form: &Form) -> Result<Option<&str>, Refusal> {
    let identity = form.text_up_to("Identity", MOST_IDENTITY, error::IDENTITY_TOO_LONG)?;
    match identity.filter(|identity| !identity.is_empty()) {
        Some(identity) if Sid::parse(prefix::USER, identity).is_some() => Err(error::IDENTITY_LIKE_A_SID),
        identity => Ok(identity),
    }
}

fn role(form: &Form) -> Result<Option<Sid>, Refusal> {
    form.text("RoleSid")?
        .map(|text| Sid::parse(prefix::ROLE, text).ok_or(error::CONVERSATION_ROLE_NOT_FOUND))
        .transpose()
}

/// The participant a path names by SID or identity.
pub(crate) fn find_participant(call: &Call, tenant: &Tenant) -> Result<(Place, Sid), Refusal> {
    let place = find(call, tenant)?;
    let conversation = tenant.conversation(place)?;
    let id = call.segment("participant");
    let sid = Sid::parse(prefix::PARTICIPANT, id)
        .or_else(|| conversation.identities.get(id).copied())
        .filter(|sid| conversation.participants.get(*sid).is_some())
        .ok_or_else(|| call.not_found())?;
    Ok((place, sid))
}

/// `GET …/Participants`
pub(crate) fn list(call: &Call, tenant: &mut Tenant) -> Outcome {
    const LIST: List = List { key: "participants", size: 50, most: 100, filters: &[] };
    let conversation = tenant.conversation(find(call, tenant)?)?;
    let view = call.view(tenant);
    page::page(call, &LIST, conversation.participants.rows(), Order::Ascending, |_, participant| {
        Some(participant.body(&view, conversation.sid))
    })
    .map(Answer::Ok)
}

/// `POST …/Participants`
pub(crate) fn create(call: &Call, tenant: &mut Tenant) -> Outcome {
    let place = find(call, tenant)?;
    let new = NewParticipant::read(call.form())?;
    let sid = add(tenant, place, call.origin(), new)?;
    Ok(Answer::Created(shown(call, tenant, place, sid)?))
}

fn shown(call: &Call, tenant: &Tenant, place: Place, sid: Sid) -> Result<Value, Refusal> {
    let participant = tenant.conversation(place)?.participants.get(sid).ok_or_else(|| call.not_found())?;
    Ok(participant.body(&call.view(tenant), place.conversation_sid))
}

/// Adds a participant, and the user of a new identity, and tells of both.
pub(crate) fn add(
    tenant: &mut Tenant,
    place: Place,
    origin: &Origin,
    new: NewParticipant,
) -> Result<Sid, Refusal> {
    let conversation = tenant.conversation(place)?;
    let service = tenant.service(place.service_sid)?;
    conversation.still_open()?;
    if let Some(role) = new.role_sid
        && service.roles.get(role).is_none()
    {
        return Err(error::CONVERSATION_ROLE_NOT_FOUND);
    }
    if let Some(identity) = &new.identity {
        if conversation.identities.contains_key(identity) {
            return Err(error::PARTICIPANT_EXISTS);
        }
        if open_conversations(service, identity) >= MOST_CONVERSATIONS {
            return Err(error::TOO_MANY_CONVERSATIONS);
        }
    }
    if let Some(binding) = &new.binding {
        let group = conversation.participants.values().any(|participant| {
            participant.binding.as_ref().is_some_and(|binding| binding.projected_address.is_some())
        });
        binding.check(&tenant.numbers, group)?;
        if let (Some(address), Some(proxy)) = (&binding.address, &binding.proxy_address)
            && let Some(holder) = tenant.bindings.get(&(address.clone(), proxy.clone()))
        {
            return Err(Refusal::binding_in_use(holder.conversation_sid));
        }
    }
    if conversation.participants.len() >= MOST_PARTICIPANTS {
        return Err(error::TOO_MANY_PARTICIPANTS);
    }
    if new.identity.is_none() && conversation.non_chat.len() >= MOST_NON_CHAT {
        return Err(error::TOO_MANY_NON_CHAT_PARTICIPANTS);
    }

    // The far side of a group text has no role; everybody else has at least the service's default one.
    let default_role = new
        .binding
        .as_ref()
        .is_none_or(|binding| binding.proxy_address.is_some() || binding.projected_address.is_some())
        .then_some(service.configuration.default_conversation_role_sid);
    if let Some(identity) = &new.identity {
        users::ensure(tenant, place.service_sid, identity, origin)?;
    }
    let date_created = new.date_created.unwrap_or(origin.now);
    let participant = Participant {
        sid: Sid::random(prefix::PARTICIPANT),
        identity: new.identity,
        binding: new.binding,
        attributes: new.attributes.unwrap_or_else(|| "{}".to_owned()),
        role_sid: new.role_sid.or(default_role),
        date_created,
        date_updated: new.date_updated.unwrap_or(date_created),
        last_read_message_index: None,
        last_read_timestamp: None,
        muted: false,
    };
    let sid = participant.sid;
    if let Some(pair) = participant.pair() {
        tenant.bindings.insert(pair, place);
    }
    let service = tenant.service_mut(place.service_sid)?;
    service.note_membership(place.conversation_sid, &participant);
    let conversation = tenant.conversation_mut(place)?;
    match &participant.identity {
        Some(identity) => {
            conversation.identities.insert(identity.clone(), sid);
        }
        None => conversation.non_chat.push(sid),
    }
    let event = participant.event("onParticipantAdded", conversation);
    conversation.participants.insert(sid, participant);
    tenant.tell(origin, &event);
    Ok(sid)
}

/// How many conversations count towards an identity's limit: closed ones do not.
fn open_conversations(service: &Service, identity: &str) -> usize {
    let Some(memberships) = service.memberships.get(identity) else { return 0 };
    if memberships.len() < MOST_CONVERSATIONS {
        return memberships.len();
    }
    let open = |sid: &&Sid| {
        service
            .conversations
            .get(sid)
            .is_some_and(|conversation| conversation.state != ConversationState::Closed)
    };
    memberships.keys().filter(open).count()
}

/// `GET …/Participants/{participant}`
pub(crate) fn fetch(call: &Call, tenant: &mut Tenant) -> Outcome {
    let (place, sid) = find_participant(call, tenant)?;
    Ok(Answer::Ok(shown(call, tenant, place, sid)?))
}

/// `POST …/Participants/{participant}`
pub(crate) fn update(call: &Call, tenant: &mut Tenant) -> Outcome {
    let (place, sid) = find_participant(call, tenant)?;
    let form = call.form();
    let origin = call.origin();
    let new_identity = identity(form)?;
    let attributes = form.attributes(MOST_ATTRIBUTES)?;
    let role_sid = role(form)?;
    let horizon = Horizon::read(form)?;
    let (date_created, date_updated) = form.dates()?;
    let proxy_address = form.text("MessagingBinding.ProxyAddress")?;
    let projected_address = form.text("MessagingBinding.ProjectedAddress")?;

    tenant.conversation(place)?.still_open()?;
    if let Some(role) = role_sid
        && tenant.service(place.service_sid)?.roles.get(role).is_none()
    {
        return Err(error::CONVERSATION_ROLE_NOT_FOUND);
    }
    let mut participant =
        tenant.conversation(place)?.participants.get(sid).cloned().ok_or_else(|| call.not_found())?;
    if let Some(identity) = new_identity
        && participant.identity.as_deref() != Some(identity)
    {
        // An identity may be given once, to a participant who has none; it is not taken back or exchanged.
        return Err(error::IDENTITY_NOT_ADDED);
    }
    if let Some(binding) = &mut participant.binding {
        binding.change(proxy_address, projected_address, &tenant.numbers)?;
    } else if proxy_address.is_some_and(|address| address != "null") {
        return Err(error::PROXY_ADDRESS_NOT_ADDED);
    } else if let Some(projected) = projected_address.filter(|address| *address != "null") {
        participant.binding = Some(Binding::projecting(projected, &tenant.numbers)?);
    }
    let old = tenant.conversation(place)?.participants.get(sid).and_then(Participant::pair);
    let new = participant.pair();
    if old != new {
        if let Some(pair) = &new
            && let Some(holder) = tenant.bindings.get(pair)
        {
            return Err(Refusal::binding_in_use(holder.conversation_sid));
        }
        old.map(|pair| tenant.bindings.remove(&pair));
        new.map(|pair| tenant.bindings.insert(pair, place));
    }
    if let Some(attributes) = attributes {
        participant.attributes = attributes;
    }
    participant.role_sid = role_sid.or(participant.role_sid);
    participant.date_created = date_created.unwrap_or(participant.date_created);
    participant.date_updated = date_updated.unwrap_or(origin.now);
    participant.read_up_to(&horizon, origin.now);
    let conversation = tenant.conversation_mut(place)?;
    let event = participant
        .event("onParticipantUpdated", conversation)
        .with_date("DateUpdated", participant.date_updated)
        .with_some("LastReadMessageIndex", participant.last_read_message_index);
    if let Some(kept) = conversation.participants.get_mut(sid) {
        *kept = participant;
    }
    tenant.tell(origin, &event);
    Ok(Answer::Ok(shown(call, tenant, place, sid)?))
}

/// `DELETE …/Participants/{participant}`
pub(crate) fn delete(call: &Call, tenant: &mut Tenant) -> Outcome {
    let (place, sid) = find_participant(call, tenant)?;
    remove(tenant, place, sid, call.origin())?;
    Ok(Answer::Deleted)
}

/// Removes a participant and tells of it. Their messages stay.
pub(crate) fn remove(tenant: &mut Tenant, place: Place, sid: Sid, origin: &Origin) -> Result<(), Refusal> {
    let conversation = tenant.conversation_mut(place)?;
    conversation.still_open()?;
    let participant = conversation.participants.remove(sid).ok_or(error::NOT_FOUND)?;
    conversation.non_chat.retain(|other| *other != sid);
    if let Some(identity) = &participant.identity {
        conversation.identities.remove(identity);
    }
    let event = participant
        .event("onParticipantRemoved", conversation)
        .with_date("DateUpdated", origin.now)
        .with_date("DateRemoved", origin.now);
    if let Some(pair) = participant.pair() {
        tenant.bindings.remove(&pair);
    }
    tenant.service_mut(place.service_sid)?.forget_membership(place.conversation_sid, &participant);
    tenant.tell(origin, &event);
    Ok(())
}

impl Service {
    fn note_membership(&mut self, conversation_sid: Sid, participant: &Participant) {
        if let Some(identity) = &participant.identity {
            self.memberships.entry(identity.clone()).or_default().insert(conversation_sid, participant.sid);
        }
        if let Some(address) = participant.binding.as_ref().and_then(|binding| binding.address.as_ref()) {
            self.addresses
                .entry(address.clone())
                .or_default()
                .insert((conversation_sid, participant.sid), ());
        }
    }

    /// Takes the participant out of what is known by identity and by address.
    pub(crate) fn forget_membership(&mut self, conversation_sid: Sid, participant: &Participant) {
        if let Some(identity) = &participant.identity
            && let Some(conversations) = self.memberships.get_mut(identity)
        {
            conversations.remove(&conversation_sid);
            if conversations.is_empty() {
                self.memberships.remove(identity);
            }
        }
        if let Some(address) = participant.binding.as_ref().and_then(|binding| binding.address.as_ref())
            && let Some(places) = self.addresses.get_mut(address)
        {
            places.remove(&(conversation_sid, participant.sid));
            if places.is_empty() {
                self.addresses.remove(address);
            }
        }
    }
}
