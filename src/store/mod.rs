//! SQL for what Twilio has no home for.
