//! Texts from outside: which conversation one belongs to, and what happens when it belongs to none.
//!
//! A text goes to the conversation that holds the pair of addresses, else to the group text the phone takes part in, else
//! to one that is made for it when the number has an address configuration that says so.
//! Source: <https://www.twilio.com/docs/conversations/inbound-autocreation>

use axum::http::StatusCode;
use serde_json::Value;

use crate::mock::account::Account;
use crate::mock::control::Problem;
use crate::mock::event::Origin;
use crate::mock::form::Form;
use crate::mock::phones::{Direction, Text};
use crate::mock::resources::addresses::{AddressConfiguration, AutoCreation, AutoCreationType};
use crate::mock::resources::binding::channel_of;
use crate::mock::resources::conversations::{self, Arrival, Changes};
use crate::mock::resources::media::NewMedia;
use crate::mock::resources::messages::{self, NewMessage};
use crate::mock::resources::participants::{self, NewParticipant};
use crate::mock::resources::states::ConversationState;
use crate::mock::resources::webhooks;
use crate::mock::sid::Sid;
use crate::mock::state::{Place, Tenant};

/// A text as it comes from outside.
#[derive(Debug)]
pub(crate) struct Inbound {
    pub(crate) from: String,
    pub(crate) to: String,
    pub(crate) body: Option<String>,
    pub(crate) files: Vec<NewMedia>,
}

/// Where a message ended up.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Arrived {
    pub(crate) place: Place,
    pub(crate) message_sid: Sid,
    pub(crate) index: u64,
}

/// Where a text goes.
enum Route {
    Conversation(Place),
    /// To a conversation that is to be made for it in this service.
    New(Sid, AutoCreation),
}

impl Route {
    fn service_sid(&self) -> Sid {
        match self {
            Self::Conversation(place) => place.service_sid,
            Self::New(service_sid, _) => *service_sid,
        }
    }
}

/// Brings a text to its conversation, which is made when there is none and the number's configuration says so.
///
/// # Errors
/// 404 when it belongs to none; what Twilio's rules or a pre-webhook refuse. A conversation made for it stays.
pub(crate) async fn arrive(account: &Account, inbound: Inbound) -> Result<Arrived, Problem> {
    let Inbound { from, to, body, files } = inbound;
    let origin = || Origin::channel(account.clock().now(), channel_of(&from));
    let route = account.look(|tenant| route(tenant, &from, &to))?;
    let media = store(account, route.service_sid(), files)?;
    let body = body.filter(|body| !body.is_empty());
    let place = match route {
        Route::Conversation(place) => place,
        Route::New(service_sid, creation) => {
            let arrival =
                account.look(|tenant| arrival(tenant, service_sid, &from, &to, body.as_deref(), &media));
            let make = |tenant: &mut Tenant, origin: &Origin| {
                make(tenant, origin, service_sid, &creation, (&from, &to), &arrival)
            };
            account.act(&mut origin(), make).await?
        }
    };
    let new = NewMessage { author: from.clone(), body, media, ..NewMessage::default() };
    let arrived = add(account, &mut origin(), place, new).await?;
    account.change(|tenant| {
        let message = tenant
            .conversation(place)
            .ok()
            .and_then(|conversation| conversation.messages.get(&arrived.index));
        let Some(message) = message else { return };
        let text = Text {
            direction: Direction::Sent,
            from: from.clone(),
            to,
            body: message.body.clone(),
            media: message.media.clone(),
            service_sid: place.service_sid,
            conversation_sid: place.conversation_sid,
            message_sid: arrived.message_sid,
            channel_message_sid: None,
            time: message.date_created,
        };
        tenant.phones.note(&from, text);
    });
    Ok(arrived)
}

fn route(tenant: &Tenant, from: &str, to: &str) -> Result<Route, Problem> {
    if let Some(place) = find(tenant, from, to) {
        return Ok(Route::Conversation(place));
    }
    let configured = |configuration: &&AddressConfiguration| {
        configuration.address == to && configuration.auto_creation.enabled
    };
    let creation = tenant
        .address_configurations
        .values()
        .find(configured)
        .map(|configuration| configuration.auto_creation.clone())
        .ok_or_else(|| {
            Problem::not_found(
                "no conversation that is not closed has this pair of numbers, and no address configuration makes one",
            )
        })?;
    let service_sid = creation.conversation_service_sid.unwrap_or(tenant.default_service_sid);
    tenant.service(service_sid)?;
    Ok(Route::New(service_sid, creation))
}

/// What the events of a conversation say of the text that it is made for.
fn arrival(
    tenant: &Tenant,
    service_sid: Sid,
    from: &str,
    to: &str,
    body: Option<&str>,
    media: &[Sid],
) -> Arrival {
    let mut arrival =
        vec![("MessagingBinding.Address", from.to_owned()), ("MessagingBinding.ProxyAddress", to.to_owned())];
    arrival.extend(body.map(|body| ("MessageBody", body.to_owned())));
    let files: Vec<Value> = tenant.service(service_sid).map_or(Vec::new(), |service| {
        let files = media.iter().filter_map(|sid| service.media.get(sid));
        files.map(|file| file.attachment().webhook_body()).collect()
    });
    if !files.is_empty() {
        arrival.push(("Media", Value::Array(files).to_string()));
    }
    arrival
}

/// Makes the conversation with the phone in it, unless another text of the same phone just did.
fn make(
    tenant: &mut Tenant,
    origin: &Origin,
    service_sid: Sid,
    creation: &AutoCreation,
    (from, to): (&str, &str),
    arrival: &Arrival,
) -> Result<Place, Problem> {
    if let Some(place) = find(tenant, from, to) {
        return Ok(place);
    }
    let pair = [("MessagingBinding.Address", from), ("MessagingBinding.ProxyAddress", to)];
    let pair = pair.map(|(name, address)| (name.to_owned(), address.to_owned()));
    let new = NewParticipant::read(&Form::of(pair.to_vec()))?;
    if let Some(binding) = &new.binding {
        binding.check(&tenant.numbers, false)?;
    }
    let conversation_sid = conversations::add_for(tenant, service_sid, origin, Changes::default(), arrival)?;
    let place = Place { service_sid, conversation_sid };
    if let (AutoCreationType::Webhook, Some(url)) = (creation.kind, &creation.webhook_url) {
        let (method, filters) = (creation.webhook_method, creation.webhook_filters.clone());
        webhooks::add(tenant, place, url.clone(), method, filters, origin.now)?;
    }
    participants::admit(tenant, place, origin, new)?;
    Ok(place)
}

/// The conversation of a pair of addresses.
fn find(tenant: &Tenant, from: &str, to: &str) -> Option<Place> {
    let pair = (from.to_owned(), to.to_owned());
    tenant.bindings.get(&pair).copied().or_else(|| group(tenant, from, to))
}

/// The group text in which the phone `from` and our number `to` take part.
fn group(tenant: &Tenant, from: &str, to: &str) -> Option<Place> {
    tenant.services.values().find_map(|service| {
        service.addresses.get(from)?.keys().find_map(|(conversation_sid, _)| {
            let conversation = service.conversations.get(conversation_sid)?;
            let ours = conversation.participants.values().any(|participant| {
                participant
                    .binding
                    .as_ref()
                    .is_some_and(|binding| binding.projected_address.as_deref() == Some(to))
            });
            (ours && conversation.state != ConversationState::Closed)
                .then_some(Place { service_sid: service.sid, conversation_sid: *conversation_sid })
        })
    })
}

/// Stores the files of a message that is on its way.
///
/// # Errors
/// 404 when there is no such service any more.
pub(crate) fn store(account: &Account, service_sid: Sid, files: Vec<NewMedia>) -> Result<Vec<Sid>, Problem> {
    account.touch();
    let now = account.clock().now();
    account.change(|tenant| {
        let service = tenant.service_mut(service_sid)?;
        Ok(files.into_iter().map(|file| service.add_media(file, now)).collect())
    })
}

/// Adds a message, whose pre-webhooks are asked.
///
/// # Errors
/// What Twilio's rules or a pre-webhook refuse. Its files stay, as those that were uploaded and never sent.
pub(crate) async fn add(
    account: &Account,
    origin: &mut Origin,
    place: Place,
    new: NewMessage,
) -> Result<Arrived, Problem> {
    account.touch();
    let add = |tenant: &mut Tenant, origin: &Origin| {
        let index = messages::add(tenant, place, origin, new.clone())?;
        let message = tenant.conversation(place)?.messages.get(&index);
        let gone = || Problem::new(StatusCode::CONFLICT, "the message is gone already");
        let message_sid = message.ok_or_else(gone)?.sid;
        Ok(Arrived { place, message_sid, index })
    };
    account.act(origin, add).await
}
