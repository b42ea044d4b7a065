-- Conversations that somebody began with a phone nobody had registered. Gone once whoever registers it is in them.
CREATE TABLE phone_conversations (
    conversation_sid TEXT   PRIMARY KEY,
    owner            TEXT   NOT NULL, -- who began it
    phone            TEXT   NOT NULL, -- as in people
    kind             TEXT   NOT NULL, -- private or group
    created_at       BIGINT NOT NULL -- unix seconds
);
CREATE INDEX phone_conversations_by_owner ON phone_conversations (owner, phone);
CREATE INDEX phone_conversations_by_phone ON phone_conversations (phone);

-- How many new phones somebody has brought into conversations since when, for a day.
CREATE TABLE phone_counts (
    owner  TEXT   PRIMARY KEY, -- empty: those who did not say who they are
    since  BIGINT NOT NULL, -- unix milliseconds
    phones BIGINT NOT NULL
);
CREATE INDEX phone_counts_by_age ON phone_counts (since);
