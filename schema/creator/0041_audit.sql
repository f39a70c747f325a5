-- What was done inside this creator, in the form of the instance's own log: added to, never changed.
CREATE TABLE audit (
    seq        INTEGER PRIMARY KEY,
    at_ms      INTEGER NOT NULL,                 -- unix
    actor_kind TEXT    NOT NULL,                 -- account user key system nobody
    actor      TEXT    NOT NULL,                 -- an account or key id, or a reference that person_ref resolves
    action     TEXT    NOT NULL,                 -- "document.delete"
    target     TEXT    NOT NULL,
    outcome    TEXT    NOT NULL,                 -- done refused failed
    address    TEXT    NOT NULL,                 -- network of the client, shortened
    request_id TEXT    NOT NULL,
    details    TEXT    NOT NULL,                 -- JSON object without personal data
    previous   TEXT    NOT NULL,                 -- hash of the row before, "" for the first
    hash       TEXT    NOT NULL
);
-- The log names people by these references; without its row a reference leads nowhere, which is how a person is forgotten
-- while the log stays whole.
CREATE TABLE person_ref (
    ref     TEXT PRIMARY KEY,                    -- random
    user_id TEXT NOT NULL UNIQUE
);
