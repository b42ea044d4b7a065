//! What a conversation service does, whichever dialect asks.
