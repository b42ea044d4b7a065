//! The service as its neighbours see it: one binary, one module for each story.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so by panicking, in its helpers too")]

mod support;

mod arrows;
mod auth;
mod connections;
mod contracts;
mod conversations;
mod env_example;
mod mock;
mod signatures;
mod start_page;
mod twilio_bodies;
mod twilio_calls;
mod twilio_client;
mod twilio_faults;
mod twilio_pages;
mod twilio_webhooks;
mod webhooks;
mod wiremock;
