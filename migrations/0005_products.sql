-- What each conversation is about: the last product that one of its messages named, and that message's place
-- (-1 and NULL: none of them named one).
CREATE TABLE products (
    conversation_sid TEXT   PRIMARY KEY,
    message_index    BIGINT NOT NULL,
    product_id       TEXT
);
