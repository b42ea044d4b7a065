//! A stateful Twilio, in memory.
