-- As in a creator: of accounts that work for no creator.
-- Requests that came with an Idempotency-Key, and the reply for whoever asks the same again within a day.
CREATE TABLE idempotency (
    id          TEXT    PRIMARY KEY,             -- hash of the caller and the key
    user_id     TEXT    NOT NULL,                -- "" for callers that are no user
    account_id  TEXT    NOT NULL,
    fingerprint TEXT    NOT NULL,                -- keyed hash of method, path, query and body
    owner       TEXT    NOT NULL,                -- the process that ran it
    kept        TEXT    NOT NULL,                -- running whole stream large
    status      INTEGER NOT NULL,                -- of the reply; 0 while running
    sealed      BLOB,                            -- headers and body, unreadable without the key and the instance's secret
    created_ms  INTEGER NOT NULL,
    expires_ms  INTEGER NOT NULL
);
CREATE INDEX idempotency_expires ON idempotency (expires_ms);
CREATE INDEX idempotency_user ON idempotency (user_id);
