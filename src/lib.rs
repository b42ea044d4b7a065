//! Switchboard: one service between chat apps and Twilio Conversations.
//!
//! Modules stand in reading order. Which may use which is in ARCHITECTURE.md and held by `tests/it/arrows.rs`.

pub mod clock;
pub mod config;

pub mod commands;
pub mod server;

pub mod auth;
pub mod limits;
pub mod telemetry;
pub mod webhooks;

pub mod dialects;
pub mod realtime;

pub mod core;

pub mod fetch;
pub mod store;
pub mod twilio;

pub mod mock;
