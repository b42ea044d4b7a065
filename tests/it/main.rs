//! The service as its neighbours see it: one binary, one module for each story.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so by panicking, in its helpers too")]

mod support;

mod arrows;
mod auth;
mod chat;
mod connections;
mod contacts;
mod contracts;
mod conversations;
mod corpora;
mod database_loss;
mod directory;
mod env_example;
mod every_dialect;
mod files;
mod hostile_sockets;
mod late_webhooks;
mod limits;
mod lost_webhooks;
mod mass_assignment;
mod membership;
mod messaging;
mod mock;
mod openapi;
mod phones;
mod postgres;
mod reindex;
mod secrets;
mod security;
mod sign_outs;
mod signatures;
mod start_page;
mod stores;
mod strangers;
mod support_dialect;
mod twilio_bodies;
mod twilio_calls;
mod twilio_client;
mod twilio_faults;
mod twilio_pages;
mod twilio_webhooks;
mod webhooks;
mod wiremock;
