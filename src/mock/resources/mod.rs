//! Twilio's resources, one file each, and the table of which path reaches which.
//!
//! Every path exists twice: for the account's default service, and under `/Services/{service}`. The resources do not know
//! the difference; [`View`](crate::mock::view::View) and [`Call`](crate::mock::exchange::Call) do.

pub(crate) mod addresses;
pub(crate) mod binding;
pub(crate) mod bindings;
pub(crate) mod chat_services;
pub(crate) mod configuration;
pub(crate) mod content;
pub(crate) mod conversation_with_participants;
pub(crate) mod conversations;
pub(crate) mod credentials;
pub(crate) mod groups;
pub(crate) mod media;
pub(crate) mod messages;
pub(crate) mod notifications;
pub(crate) mod participant_conversations;
pub(crate) mod participants;
pub(crate) mod receipts;
pub(crate) mod roles;
pub(crate) mod roster;
pub(crate) mod services;
pub(crate) mod states;
pub(crate) mod timers;
pub(crate) mod user_conversations;
pub(crate) mod users;
pub(crate) mod webhooks;

use std::sync::Arc;

use axum::Router;
use axum::extract::rejection::RawPathParamsRejection;
use axum::extract::{Extension, RawPathParams};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use futures::future::BoxFuture;

use crate::mock::exchange::{self, Operation, Received};
use crate::mock::state::State;

/// All of Twilio's paths.
pub(crate) fn router() -> Router<State> {
    let service = of_a_service()
        .route(
            "/Configuration",
            get(on(configuration::fetch_service)).post(on(configuration::update_service)),
        )
        .route(
            "/Configuration/Webhooks",
            get(on(configuration::fetch_service_webhooks)).post(on(configuration::update_service_webhooks)),
        )
        .route("/Configuration/Notifications", get(on(notifications::fetch)).post(on(notifications::update)))
        .route("/Bindings", get(on(bindings::list)))
        .route("/Bindings/{binding}", get(on(bindings::fetch)).delete(on(bindings::delete)))
        .route("/Media", post(on(media::upload)))
        .route("/Media/{media}", get(on(media::fetch)).delete(on(media::delete)))
        .route("/Media/{media}/Content", get(on(media::content)))
        .route("/MediaSet", post(on(media::set)));
    let account = of_a_service()
        .route(
            "/Configuration",
            get(on(configuration::fetch_account)).post(on(configuration::update_account)),
        )
        .route(
            "/Configuration/Webhooks",
            get(on(configuration::fetch_account_webhooks)).post(on(configuration::update_account_webhooks)),
        )
        .route("/Configuration/Addresses", get(on(addresses::list)).post(on(addresses::create)))
        .route(
            "/Configuration/Addresses/{address}",
            get(on(addresses::fetch)).post(on(addresses::update)).delete(on(addresses::delete)),
        )
        .route("/Credentials", get(on(credentials::list)).post(on(credentials::create)))
        .route(
            "/Credentials/{credential}",
            get(on(credentials::fetch)).post(on(credentials::update)).delete(on(credentials::delete)),
        )
        .route("/Services", get(on(services::list)).post(on(services::create)))
        .route("/Services/{service}", get(on(services::fetch)).delete(on(services::delete)))
        .nest("/Services/{service}", service);
    Router::new()
        .nest("/v1", account)
        .route("/v2/Services/{service}", get(on(chat_services::fetch)).post(on(chat_services::update)))
        .fallback(exchange::unknown_path)
        .method_not_allowed_fallback(exchange::wrong_method)
}

/// The tree that the default service and every other one have alike.
fn of_a_service() -> Router<State> {
    Router::new()
        .route("/Conversations", get(on(conversations::list)).post(on(conversations::create)))
        .route(
            "/Conversations/{conversation}",
            get(on(conversations::fetch)).post(on(conversations::update)).delete(on(conversations::delete)),
        )
        .route("/ConversationWithParticipants", post(on(conversation_with_participants::create)))
        .route(
            "/Conversations/{conversation}/Participants",
            get(on(participants::list)).post(on(participants::create)),
        )
        .route(
            "/Conversations/{conversation}/Participants/{participant}",
            get(on(participants::fetch)).post(on(participants::update)).delete(on(participants::delete)),
        )
        .route("/Conversations/{conversation}/Messages", get(on(messages::list)).post(on(messages::create)))
        .route(
            "/Conversations/{conversation}/Messages/{message}",
            get(on(messages::fetch)).post(on(messages::update)).delete(on(messages::delete)),
        )
        .route("/Conversations/{conversation}/Messages/{message}/Receipts", get(on(receipts::list)))
        .route(
            "/Conversations/{conversation}/Messages/{message}/Receipts/{receipt}",
            get(on(receipts::fetch)),
        )
        .route(
            "/Conversations/{conversation}/Messages/{message}/ChannelMetadata",
            get(on(messages::channel_metadata)),
        )
        .route("/Conversations/{conversation}/Webhooks", get(on(webhooks::list)).post(on(webhooks::create)))
        .route(
            "/Conversations/{conversation}/Webhooks/{webhook}",
            get(on(webhooks::fetch)).post(on(webhooks::update)).delete(on(webhooks::delete)),
        )
        .route("/Users", get(on(users::list)).post(on(users::create)))
        .route("/Users/{user}", get(on(users::fetch)).post(on(users::update)).delete(on(users::delete)))
        .route("/Users/{user}/Conversations", get(on(user_conversations::list)))
        .route(
            "/Users/{user}/Conversations/{conversation}",
            get(on(user_conversations::fetch))
                .post(on(user_conversations::update))
                .delete(on(user_conversations::delete)),
        )
        .route("/ParticipantConversations", get(on(participant_conversations::list)))
        .route("/Roles", get(on(roles::list)).post(on(roles::create)))
        .route("/Roles/{role}", get(on(roles::fetch)).post(on(roles::update)).delete(on(roles::delete)))
}

/// What axum knows about a path's parameters: they may not be UTF-8 once decoded.
type Segments = Result<RawPathParams, RawPathParamsRejection>;

/// An operation as an axum handler: parsed and locked on the way in, turned into a response on the way out.
fn on(
    operation: Operation,
) -> impl Fn(Extension<Arc<Received>>, Segments) -> BoxFuture<'static, Response> + Clone + Send + Sync + 'static
{
    move |Extension(received), segments| {
        Box::pin(async move {
            match segments {
                Ok(segments) => {
                    let segments = segments.iter().map(|(name, value)| (name.to_owned(), value.to_owned()));
                    let segments = segments.collect();
                    exchange::answer(received, segments, operation).await
                }
                Err(_) => received.not_found().into_response(),
            }
        })
    }
}
