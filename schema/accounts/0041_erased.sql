-- Users of creators who were erased, as keyed hashes: what they left behind (tokens, requests on their way) is refused, and
-- nothing here says who they were.
CREATE TABLE erased (
    mark       TEXT    PRIMARY KEY,
    creator_id TEXT    NOT NULL,
    at_ms      INTEGER NOT NULL                  -- unix
);
