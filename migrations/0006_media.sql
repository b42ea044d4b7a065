-- Files at Twilio: who uploaded them, and the conversation that shows them.
CREATE TABLE media (
    media_sid        TEXT   PRIMARY KEY,
    owner            TEXT,
    conversation_sid TEXT,
    created_at       BIGINT NOT NULL -- unix seconds
);
