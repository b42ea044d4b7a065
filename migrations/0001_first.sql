-- One text for SQLite and PostgreSQL: text, integers, no defaults that differ between them.

-- One logical send, by the client's own id: open while `message` is NULL, else what Twilio stored (JSON).
CREATE TABLE send_keys (
    sender            TEXT   NOT NULL,
    conversation_sid  TEXT   NOT NULL,
    client_message_id TEXT   NOT NULL,
    fingerprint       TEXT   NOT NULL,
    message           TEXT,
    created_at        BIGINT NOT NULL, -- unix seconds
    PRIMARY KEY (sender, conversation_sid, client_message_id)
);
CREATE INDEX send_keys_by_age ON send_keys (created_at);

-- Which conversation a set of people has, by its UniqueName at Twilio.
CREATE TABLE direct_conversations (
    unique_name      TEXT PRIMARY KEY,
    conversation_sid TEXT NOT NULL,
    friendly_name    TEXT
);
CREATE INDEX direct_conversations_by_sid ON direct_conversations (conversation_sid);

-- The message index: where every message stands and who wrote it, never what it says.
CREATE TABLE messages (
    message_sid      TEXT   PRIMARY KEY,
    conversation_sid TEXT   NOT NULL,
    message_index    BIGINT NOT NULL,
    author           TEXT   NOT NULL
);
CREATE INDEX messages_by_place ON messages (conversation_sid, message_index);

-- The newest message of each conversation (JSON; NULL: none yet), so that a list of conversations costs one Twilio
-- call after a restart. From index `known_from` on, `messages` is complete.
CREATE TABLE last_messages (
    conversation_sid TEXT   PRIMARY KEY,
    message_index    BIGINT NOT NULL,
    message          TEXT,
    known_from       BIGINT NOT NULL
);

-- What people are called, as last told by whoever added them.
CREATE TABLE people (
    identity   TEXT   PRIMARY KEY,
    name       TEXT,
    image      TEXT,
    updated_at BIGINT NOT NULL -- unix seconds
);
