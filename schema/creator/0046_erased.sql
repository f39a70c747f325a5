-- Users who were erased, as keyed hashes: a write of theirs that was on its way sees it in its own transaction and fails.
CREATE TABLE erased (
    mark  TEXT    PRIMARY KEY,
    at_ms INTEGER NOT NULL                       -- unix
);
