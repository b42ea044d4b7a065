-- What else is known of people, and who said it. One text for SQLite and PostgreSQL.

ALTER TABLE people ADD COLUMN bio TEXT;
ALTER TABLE people ADD COLUMN kind TEXT; -- premium, male, female or vip
ALTER TABLE people ADD COLUMN email TEXT;
ALTER TABLE people ADD COLUMN phone TEXT; -- digits of E.164, without +
ALTER TABLE people ADD COLUMN phone_at BIGINT NOT NULL DEFAULT 0; -- when `phone` was registered, unix milliseconds
ALTER TABLE people ADD COLUMN created_at BIGINT NOT NULL DEFAULT 0; -- unix seconds

-- Which fields the person's token told, and which they set themselves; one bit each, see src/store/people.rs.
ALTER TABLE people ADD COLUMN vouched BIGINT NOT NULL DEFAULT 0;
ALTER TABLE people ADD COLUMN edited BIGINT NOT NULL DEFAULT 0;

-- `name` and `bio` as they are searched: lower case, without accents.
ALTER TABLE people ADD COLUMN nickname_key TEXT;
ALTER TABLE people ADD COLUMN bio_key TEXT;

-- Accents come off once the name is told again.
UPDATE people SET created_at = updated_at, nickname_key = LOWER(name);

CREATE INDEX people_by_phone ON people (phone);
CREATE INDEX people_by_change ON people (updated_at);

-- Whom people keep as contacts, by phone.
CREATE TABLE contacts (
    contact_id TEXT   PRIMARY KEY, -- a UUID
    owner      TEXT   NOT NULL, -- whose contact it is
    phone      TEXT   NOT NULL, -- as in people
    first_name TEXT   NOT NULL,
    last_name  TEXT   NOT NULL,
    customer   TEXT, -- who registered that phone, if anybody did
    created_at BIGINT NOT NULL, -- unix seconds
    updated_at BIGINT NOT NULL -- unix seconds
);
CREATE UNIQUE INDEX contacts_by_owner ON contacts (owner, phone);
CREATE INDEX contacts_by_phone ON contacts (phone);
CREATE INDEX contacts_by_customer ON contacts (customer);
CREATE INDEX contacts_by_change ON contacts (updated_at);
