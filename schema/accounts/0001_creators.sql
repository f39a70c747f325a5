-- Who has data here. A creator's own data is in a database of its own; this row says that it exists and where.
CREATE TABLE creator (
    id         TEXT    PRIMARY KEY,
    folder     TEXT    NOT NULL UNIQUE,          -- the id in lower case: file systems that fold case stay safe
    name       TEXT    NOT NULL,
    created_ms INTEGER NOT NULL                  -- unix
);
