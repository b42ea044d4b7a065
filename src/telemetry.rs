//! Logs, metrics, and the count of Twilio calls behind each request.
