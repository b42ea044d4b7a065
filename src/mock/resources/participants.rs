//! Participants: people by identity, phones by address; who may be added to what.
//!
//! What is particular to group texts is in `groups.rs`.
//! Source: <https://www.twilio.com/docs/conversations/api/conversation-participant-resource>

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::mock::clock::in_rest;
use crate::mock::error::{self, Refusal};
use crate::mock::event::{Event, Origin};
use crate::mock::exchange::{Answer, Call, Outcome};
use crate::mock::form::Form;
use crate::mock::page::{self, List, Order};
use crate::mock::resources::binding::Binding;
use crate::mock::resources::conversations::{Conversation, find};
use crate::mock::resources::roles::RoleType;
use crate::mock::resources::{groups, users};
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
#[derive(Debug, Clone, Serialize, Deserialize)]
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
    /// A participant as `new` describes them; the role is the service's default one unless they bring their own.
    fn new(new: NewParticipant, default_role: Sid, now: DateTime<Utc>) -> Self {
        // A phone in a group text has no role; everybody else has one.
        let has_role = new
            .binding
            .as_ref()
            .is_none_or(|binding| binding.proxy_address.is_some() || binding.projected_address.is_some());
        let date_created = new.date_created.unwrap_or(now);
        Self {
            sid: Sid::random(prefix::PARTICIPANT),
            identity: new.identity,
            binding: new.binding,
            attributes: new.attributes.unwrap_or_else(|| "{}".to_owned()),
            role_sid: new.role_sid.or(has_role.then_some(default_role)),
            date_created,
            date_updated: new.date_updated.unwrap_or(date_created),
            last_read_message_index: None,
            last_read_timestamp: None,
            muted: false,
        }
    }

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

    /// Somebody read a message on their phone. WhatsApp tells, and only there the horizon moves by itself.
    pub(crate) fn has_read(&mut self, index: u64, now: DateTime<Utc>) {
        if self.channel() == "whatsapp" && self.last_read_message_index.is_none_or(|read| read < index) {
            self.last_read_message_index = Some(index);
            self.last_read_timestamp = Some(now);
        }
    }

    fn event(&self, kind: &'static str, conversation: &Conversation) -> Event {
        let event = conversation
            .event(kind, None)
            .with("ParticipantSid", self.sid)
            .with_date("DateCreated", self.date_created);
        self.described(event)
    }

    fn described(&self, event: Event) -> Event {
        let mut event =
            event.with_some("Identity", self.identity.as_ref()).with("Attributes", &self.attributes).with(
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
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct NewParticipant {
    pub(crate) identity: Option<String>,
    pub(crate) binding: Option<Binding>,
    pub(crate) attributes: Option<String>,
    pub(crate) role_sid: Option<Sid>,
    pub(crate) date_created: Option<DateTime<Utc>>,
    pub(crate) date_updated: Option<DateTime<Utc>>,
}

impl NewParticipant {
    /// The parameters of `POST …/Participants`.
    ///
    /// # Errors
    /// 50204 when they name nobody, 50211 for a phone with an identity, 50411 for one without a number, and what single
    /// parameters are refused for.
    pub(crate) fn read(form: &Form) -> Result<Self, Refusal> {
        let identity = identity(form)?;
        let binding = Binding::read(form)?;
        match (&identity, &binding) {
            (None, None) => return Err(error::IDENTITY_MISSING),
            (Some(_), Some(binding)) if binding.address.is_some() || binding.proxy_address.is_some() => {
                return Err(error::IDENTITY_NOT_ACCEPTABLE);
            }
            (None, Some(binding)) if binding.own_address().is_none() => return Err(error::ADDRESS_EMPTY),
            (_, Some(binding)) if binding.address.is_some() && binding.projected_address.is_some() => {
                return Err(error::ADDRESS_INVALID);
            }
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
    page::page(call, tenant, &LIST, conversation.participants.rows(), Order::Ascending, |_, participant| {
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
///
/// # Errors
/// 50377 and 50391 when the conversation takes nobody now, and as [`admit`].
pub(crate) fn add(
    tenant: &mut Tenant,
    place: Place,
    origin: &Origin,
    new: NewParticipant,
) -> Result<Sid, Refusal> {
    let conversation = tenant.conversation(place)?;
    conversation.still_open()?;
    if origin.announced {
        let service = tenant.service(place.service_sid)?;
        check(tenant, service, conversation, &new)?;
        tenant.ask(origin, "onParticipantAdd", place.service_sid, || {
            let default_role = service.configuration.default_conversation_role_sid;
            let participant = Participant::new(new.clone(), default_role, origin.now);
            participant.described(conversation.event("onParticipantAdd", None))
        })?;
    }
    admit(tenant, place, origin, new)
}

/// [`add`], whatever state the conversation is in, and without a pre-webhook being asked.
///
/// # Errors
/// 50109, 50214, 50412 to 50414, 50409, 50416, 50417, 50422, 50433 and those of group texts.
pub(crate) fn admit(
    tenant: &mut Tenant,
    place: Place,
    origin: &Origin,
    new: NewParticipant,
) -> Result<Sid, Refusal> {
    let service = tenant.service(place.service_sid)?;
    check(tenant, service, tenant.conversation(place)?, &new)?;
    let default_role = service.configuration.default_conversation_role_sid;
    if let Some(identity) = &new.identity
        && tenant.switches.users_by_joining
    {
        users::ensure(tenant, place.service_sid, identity, origin)?;
    }
    let participant = Participant::new(new, default_role, origin.now);
    let sid = participant.sid;
    if let Some(pair) = participant.pair() {
        tenant.bindings.insert(pair, place);
    }
    let state = tenant.conversation(place)?.state;
    let service = tenant.service_mut(place.service_sid)?;
    service.note_membership(place.conversation_sid, state, &participant);
    service.hide(participant.sid);
    let conversation = tenant.conversation_mut(place)?;
    let event = participant.event("onParticipantAdded", conversation);
    conversation.enrol(participant);
    groups::note(tenant, place);
    tenant.tell(origin, &event);
    Ok(sid)
}

/// Refuses newcomers of whom one could not be added to `draft`, a conversation that nobody is in yet. It is as before
/// afterwards.
///
/// # Errors
/// As [`admit`], and 50435 when they make a group text that is not complete.
pub(crate) fn rehearse(
    tenant: &Tenant,
    draft: &mut Conversation,
    newcomers: &[NewParticipant],
    now: DateTime<Utc>,
) -> Result<(), Refusal> {
    let service = tenant.service(draft.service_sid)?;
    let mut added = Vec::new();
    let outcome = newcomers.iter().try_for_each(|new| {
        check(tenant, service, draft, new)?;
        let participant =
            Participant::new(new.clone(), service.configuration.default_conversation_role_sid, now);
        let pair = participant.pair();
        if pair.is_some() && draft.participants.values().any(|other| other.pair() == pair) {
            return Err(error::BINDING_IN_USE);
        }
        added.push(participant.sid);
        draft.enrol(participant);
        Ok(())
    });
    let outcome = outcome.and_then(|()| if draft.is_group() { draft.complete_group() } else { Ok(()) });
    for sid in added {
        draft.strike(sid);
    }
    outcome
}

/// Whether `new` may be in `conversation`.
fn check(
    tenant: &Tenant,
    service: &Service,
    conversation: &Conversation,
    new: &NewParticipant,
) -> Result<(), Refusal> {
    if let Some(role) = new.role_sid
        && !service.has_role(role, RoleType::Conversation)
    {
        return Err(error::CONVERSATION_ROLE_NOT_FOUND);
    }
    if let Some(identity) = &new.identity {
        check_identity(service, conversation, identity)?;
    }
    if let Some(binding) = &new.binding {
        binding.check(&tenant.numbers, conversation.takes_plain_phones())?;
    }
    groups::check(tenant, conversation, new)?;
    if let Some(binding) = &new.binding
        && let (Some(address), Some(proxy)) = (&binding.address, &binding.proxy_address)
        && let Some(holder) = tenant.bindings.get(&(address.clone(), proxy.clone()))
    {
        return Err(Refusal::binding_in_use(holder.conversation_sid));
    }
    if conversation.participants.len() >= MOST_PARTICIPANTS {
        return Err(error::TOO_MANY_PARTICIPANTS);
    }
    if new.identity.is_none() && conversation.non_chat.len() >= MOST_NON_CHAT {
        return Err(error::TOO_MANY_NON_CHAT_PARTICIPANTS);
    }
    Ok(())
}

fn check_identity(service: &Service, conversation: &Conversation, identity: &str) -> Result<(), Refusal> {
    if conversation.identities.contains_key(identity) {
        return Err(error::PARTICIPANT_EXISTS);
    }
    if service.memberships.get(identity).is_some_and(|all| all.open() >= MOST_CONVERSATIONS) {
        return Err(error::TOO_MANY_CONVERSATIONS);
    }
    Ok(())
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

    let service = tenant.service(place.service_sid)?;
    let conversation = tenant.conversation(place)?;
    conversation.still_open()?;
    if let Some(role) = role_sid
        && !service.has_role(role, RoleType::Conversation)
    {
        return Err(error::CONVERSATION_ROLE_NOT_FOUND);
    }
    let old = conversation.participants.get(sid).cloned().ok_or_else(|| call.not_found())?;
    let mut participant = old.clone();
    if let Some(identity) = new_identity
        && participant.identity.as_deref() != Some(identity)
    {
        // Only a projected address that is nobody's yet may become somebody's. Identities are not exchanged.
        let free = participant.identity.is_none()
            && participant.binding.as_ref().is_some_and(|binding| binding.address.is_none());
        if !free {
            return Err(error::IDENTITY_NOT_ADDED);
        }
        check_identity(service, conversation, identity)?;
        participant.identity = Some(identity.to_owned());
    }
    participant.binding = Binding::changed(old.binding.as_ref(), proxy_address, projected_address)?;
    if participant.binding.is_none() && participant.identity.is_none() {
        return Err(error::PROJECTED_ADDRESS_NOT_REMOVED);
    }
    if participant.binding != old.binding {
        groups::check_change(tenant, conversation, &participant)?;
    }
    if participant.pair() != old.pair()
        && let Some(holder) = participant.pair().and_then(|pair| tenant.bindings.get(&pair))
    {
        return Err(Refusal::binding_in_use(holder.conversation_sid));
    }

    if let Some(attributes) = attributes {
        participant.attributes = attributes;
    }
    participant.role_sid = role_sid.or(participant.role_sid);
    participant.date_created = date_created.unwrap_or(participant.date_created);
    participant.date_updated = date_updated.unwrap_or(origin.now);
    participant.read_up_to(&horizon, origin.now);
    let conversation = tenant.conversation(place)?;
    tenant.ask(origin, "onParticipantUpdate", place.service_sid, || {
        let event = participant.event("onParticipantUpdate", conversation);
        event.with_date("DateUpdated", participant.date_updated)
    })?;
    if participant.identity != old.identity || participant.binding != old.binding {
        rebind(tenant, place, &old, &participant, origin)?;
    }
    let conversation = tenant.conversation_mut(place)?;
    let event = participant
        .event("onParticipantUpdated", conversation)
        .with_date("DateUpdated", participant.date_updated)
        .with_some("LastReadMessageIndex", participant.last_read_message_index);
    conversation.replace(participant);
    groups::note(tenant, place);
    tenant.tell(origin, &event);
    Ok(Answer::Ok(shown(call, tenant, place, sid)?))
}

/// Has whatever is known by identity or address follow a participant's change.
fn rebind(
    tenant: &mut Tenant,
    place: Place,
    old: &Participant,
    new: &Participant,
    origin: &Origin,
) -> Result<(), Refusal> {
    old.pair().map(|pair| tenant.bindings.remove(&pair));
    new.pair().map(|pair| tenant.bindings.insert(pair, place));
    if let Some(identity) = &new.identity
        && tenant.switches.users_by_joining
    {
        users::ensure(tenant, place.service_sid, identity, origin)?;
    }
    let state = tenant.conversation(place)?.state;
    let service = tenant.service_mut(place.service_sid)?;
    service.forget_membership(place.conversation_sid, state, old);
    service.note_membership(place.conversation_sid, state, new);
    Ok(())
}

/// `DELETE …/Participants/{participant}`
pub(crate) fn delete(call: &Call, tenant: &mut Tenant) -> Outcome {
    let (place, sid) = find_participant(call, tenant)?;
    let conversation = tenant.conversation(place)?;
    conversation.still_open()?;
    let participant = conversation.participants.get(sid).ok_or_else(|| call.not_found())?;
    tenant.ask(call.origin(), "onParticipantRemove", place.service_sid, || {
        let event = participant.event("onParticipantRemove", conversation);
        event.with_date("DateUpdated", participant.date_updated)
    })?;
    remove(tenant, place, sid, call.origin())?;
    Ok(Answer::Deleted)
}

/// Removes a participant and tells of it. Their messages stay.
pub(crate) fn remove(tenant: &mut Tenant, place: Place, sid: Sid, origin: &Origin) -> Result<(), Refusal> {
    let conversation = tenant.conversation(place)?;
    conversation.still_open()?;
    let state = conversation.state;
    let participant = tenant.conversation_mut(place)?.strike(sid).ok_or(error::NOT_FOUND)?;
    let conversation = tenant.conversation(place)?;
    let event = participant
        .event("onParticipantRemoved", conversation)
        .with_date("DateUpdated", origin.now)
        .with_date("DateRemoved", origin.now);
    if let Some(pair) = participant.pair() {
        tenant.bindings.remove(&pair);
    }
    tenant.service_mut(place.service_sid)?.forget_membership(place.conversation_sid, state, &participant);
    groups::note(tenant, place);
    tenant.tell(origin, &event);
    Ok(())
}
