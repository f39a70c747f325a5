-- What was done to the instance and to accounts; what is done inside a creator is in the creator's database, in the same form.
-- Rows are only ever added. Each holds the hash of the one before, so a changed or missing row shows.
CREATE TABLE audit (
    seq        INTEGER PRIMARY KEY,
    at_ms      INTEGER NOT NULL,                 -- unix
    actor_kind TEXT    NOT NULL,                 -- account user key system nobody
    actor      TEXT    NOT NULL,                 -- an account or key id, or a reference that person_ref resolves
    action     TEXT    NOT NULL,                 -- "account.login"
    target     TEXT    NOT NULL,
    outcome    TEXT    NOT NULL,                 -- done refused failed
    address    TEXT    NOT NULL,                 -- network of the client, shortened
    request_id TEXT    NOT NULL,
    details    TEXT    NOT NULL,                 -- JSON object without personal data
    previous   TEXT    NOT NULL,                 -- hash of the row before, "" for the first
    hash       TEXT    NOT NULL
);
