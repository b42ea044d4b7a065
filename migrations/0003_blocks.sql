-- Who does not want to hear from whom.
CREATE TABLE blocks (
    blocker    TEXT   NOT NULL,
    blocked    TEXT   NOT NULL,
    created_at BIGINT NOT NULL, -- unix seconds
    PRIMARY KEY (blocker, blocked)
);
CREATE INDEX blocks_by_blocked ON blocks (blocked);

-- The two people of a pair's conversation, in order; NULL where more than two share it, or nobody asked since.
ALTER TABLE direct_conversations ADD COLUMN person_a TEXT;
ALTER TABLE direct_conversations ADD COLUMN person_b TEXT;
CREATE INDEX direct_conversations_by_a ON direct_conversations (person_a);
CREATE INDEX direct_conversations_by_b ON direct_conversations (person_b);

-- When somebody who is not here was last heard of, in unix seconds.
ALTER TABLE people ADD COLUMN last_seen BIGINT;
CREATE INDEX people_by_last_seen ON people (last_seen);

-- Who has whom as a contact, counted for two people at a time without reading a row.
CREATE INDEX contacts_by_customer_and_owner ON contacts (customer, owner);
CREATE INDEX contacts_by_owner_and_customer ON contacts (owner, customer);
