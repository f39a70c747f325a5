-- The people being coached here. Ids come from outside or are made; nothing of a person is known by the id alone.
CREATE TABLE person (
    id         TEXT    PRIMARY KEY,              -- the user_id that every other row about them carries
    kind       TEXT    NOT NULL,                 -- visitor email external
    email      TEXT,                             -- as it is compared; NULL: none known
    name       TEXT    NOT NULL DEFAULT '',
    plan       TEXT    NOT NULL DEFAULT 'free',  -- free premium
    attributes TEXT    NOT NULL DEFAULT '{}',    -- JSON object
    created_ms INTEGER NOT NULL,
    updated_ms INTEGER NOT NULL,
    seen_ms    INTEGER
);
CREATE UNIQUE INDEX person_email ON person (email) WHERE email IS NOT NULL;
-- Names of one person on several channels.
CREATE TABLE person_identity (
    kind       TEXT    NOT NULL,                 -- email visitor external telegram whatsapp …
    value      TEXT    NOT NULL,
    user_id    TEXT    NOT NULL REFERENCES person(id) ON DELETE CASCADE,
    created_ms INTEGER NOT NULL,
    PRIMARY KEY (kind, value)
);
CREATE INDEX person_identity_user ON person_identity (user_id);
