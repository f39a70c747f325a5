-- Work that outlives the process.
CREATE TABLE job (
    id         TEXT    PRIMARY KEY,
    kind       TEXT    NOT NULL,
    payload    TEXT    NOT NULL,                 -- JSON object
    state      TEXT    NOT NULL,                 -- queued running done failed cancelled
    progress   TEXT    NOT NULL DEFAULT '{}',    -- JSON object
    error      TEXT,
    error_code TEXT,
    attempt    INTEGER NOT NULL DEFAULT 0,
    owner      TEXT,                             -- the process that runs it
    cancel     INTEGER NOT NULL DEFAULT 0,       -- 1: asked to stop
    created_ms INTEGER NOT NULL,                 -- unix
    updated_ms INTEGER NOT NULL
);
CREATE INDEX job_newest ON job (created_ms, id);
CREATE INDEX job_open ON job (state, created_ms) WHERE state IN ('queued', 'running');
