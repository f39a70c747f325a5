-- When what is older than it may be was last removed from a creator's data. No row: never yet.
CREATE TABLE retention_run (
    creator_id TEXT    PRIMARY KEY REFERENCES creator(id) ON DELETE CASCADE,
    begun_ms   INTEGER NOT NULL                  -- unix
);
