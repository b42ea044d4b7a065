-- The index of support conversations, for the agents' list: what stands in their attributes at Twilio.
CREATE TABLE support_conversations (
    conversation_sid TEXT   PRIMARY KEY,
    user_id          TEXT,
    guest_id         TEXT,
    admin_id         TEXT,
    topic            TEXT   NOT NULL,
    subject          TEXT,
    status           TEXT   NOT NULL,
    priority         TEXT   NOT NULL,
    aside            BIGINT NOT NULL, -- 1: its owner has another one open about the same
    admin_read       BIGINT NOT NULL, -- index of the last message an agent has read; -1: none
    last_message_at  BIGINT NOT NULL, -- unix milliseconds; 0: no message yet
    activity_at      BIGINT NOT NULL, -- of the last message, else of the beginning: what the list is ordered by
    created_at       BIGINT NOT NULL,
    updated_at       BIGINT NOT NULL
);
CREATE INDEX support_conversations_by_activity ON support_conversations (activity_at);
CREATE INDEX support_conversations_by_user ON support_conversations (user_id);
CREATE INDEX support_conversations_by_guest ON support_conversations (guest_id);

-- One-time codes, by a keyed hash of the code and whom it is for. Gone when they expire.
CREATE TABLE auth_codes (
    code_hash        TEXT   PRIMARY KEY,
    code_id          TEXT   NOT NULL,
    user_id          TEXT,
    guest_id         TEXT,
    conversation_sid TEXT,
    issued_by        TEXT,
    device_info      TEXT,
    expires_at       BIGINT NOT NULL, -- unix milliseconds
    used_at          BIGINT NOT NULL  -- 0: not yet
);
CREATE INDEX auth_codes_by_expiry ON auth_codes (expires_at);

-- Tries of codes, by who tried and by whom they tried it for.
CREATE TABLE code_tries (
    tried_by TEXT   PRIMARY KEY,
    since    BIGINT NOT NULL, -- unix milliseconds
    tries    BIGINT NOT NULL
);
CREATE INDEX code_tries_by_age ON code_tries (since);
