//! Twilio's REST API and webhooks as Rust.
