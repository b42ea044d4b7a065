//! `POST /webhooks/twilio`.
