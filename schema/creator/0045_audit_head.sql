-- Where the log begins and ends, under a keyed hash that only this instance can make: rows cut off either end show.
CREATE TABLE audit_head (
    id             INTEGER PRIMARY KEY CHECK (id = 1),
    first_seq      INTEGER NOT NULL,             -- oldest row kept; older ones went by their age
    first_previous TEXT    NOT NULL,             -- what that row holds as the hash before it
    seq            INTEGER NOT NULL,             -- newest row
    hash           TEXT    NOT NULL,
    broken_seq     INTEGER NOT NULL DEFAULT 0,   -- where an addition found the log not as it was left; 0 nowhere
    mac            TEXT    NOT NULL
);
