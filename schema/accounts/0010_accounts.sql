-- The set-up link of a new instance. Only the nonce is kept: the secret in the link is derived from it and the signing key,
-- so that a copy of this database alone does not open the door.
CREATE TABLE setup_link(
    id         INTEGER PRIMARY KEY CHECK (id = 1),
    nonce      TEXT    NOT NULL,
    created_ms INTEGER NOT NULL,
    used_ms    INTEGER
);
