-- A creator's documents. A document's row keeps its id through every version; what belongs to the version being read in
-- stands in staged_* until one transaction puts it in the place of the old.
CREATE TABLE document (
    id           TEXT    PRIMARY KEY,
    title        TEXT    NOT NULL,
    filename     TEXT    NOT NULL DEFAULT '',
    media_type   TEXT    NOT NULL,
    language     TEXT    NOT NULL DEFAULT '',
    content_type TEXT    NOT NULL DEFAULT 'document',
    user_id      TEXT    NOT NULL DEFAULT '',    -- '' shared by all users of the creator
    sha256       TEXT    NOT NULL,               -- of the bytes of the version that answers
    next_sha256  TEXT    NOT NULL DEFAULT '',    -- of the version being read in
    split        TEXT    NOT NULL,               -- unit:size:overlap
    metadata     TEXT    NOT NULL DEFAULT '{}',
    state        TEXT    NOT NULL,               -- queued ready failed
    job_id       TEXT    NOT NULL DEFAULT '',    -- the last ingest job
    error        TEXT,
    size_bytes   INTEGER NOT NULL,
    text_bytes   INTEGER NOT NULL DEFAULT 0,
    pages        INTEGER NOT NULL DEFAULT 0,
    chunks       INTEGER NOT NULL DEFAULT 0,
    version      INTEGER NOT NULL DEFAULT 0,     -- 0 until it was read in once
    created_at   INTEGER NOT NULL,               -- unix ms
    updated_at   INTEGER NOT NULL
);
CREATE INDEX document_bytes ON document (sha256);
CREATE INDEX document_next  ON document (next_sha256) WHERE next_sha256 <> '';
CREATE INDEX document_newest ON document (created_at);

-- The text read from it, exactly as chunks count it: the pages' texts one after the other.
CREATE TABLE document_page (
    document_id TEXT    NOT NULL REFERENCES document (id),
    page        INTEGER NOT NULL,                -- from 1; 0 the whole of a document without pages
    start_byte  INTEGER NOT NULL,
    text        TEXT    NOT NULL,
    PRIMARY KEY (document_id, page)
);

CREATE TABLE chunk (
    id           TEXT    PRIMARY KEY,
    document_id  TEXT    NOT NULL REFERENCES document (id),
    idx          INTEGER NOT NULL,               -- from 0
    text         TEXT    NOT NULL,
    heading      TEXT    NOT NULL DEFAULT '',    -- "Nutrition > Protein"
    page         INTEGER NOT NULL DEFAULT 0,
    start_byte   INTEGER NOT NULL,
    end_byte     INTEGER NOT NULL,
    user_id      TEXT    NOT NULL DEFAULT '',
    content_type TEXT    NOT NULL,
    language     TEXT    NOT NULL DEFAULT '',
    UNIQUE (document_id, idx)
);

CREATE TABLE staged_page (
    job_id      TEXT    NOT NULL,
    page        INTEGER NOT NULL,
    start_byte  INTEGER NOT NULL,
    text        TEXT    NOT NULL,
    PRIMARY KEY (job_id, page)
);

CREATE TABLE staged_chunk (
    job_id      TEXT    NOT NULL,
    idx         INTEGER NOT NULL,
    id          TEXT    NOT NULL,
    text        TEXT    NOT NULL,
    heading     TEXT    NOT NULL,
    page        INTEGER NOT NULL,
    start_byte  INTEGER NOT NULL,
    end_byte    INTEGER NOT NULL,
    language    TEXT    NOT NULL,
    dim         INTEGER NOT NULL,                -- 0: no encoder was there
    model       TEXT    NOT NULL,
    vector      BLOB,
    PRIMARY KEY (job_id, idx)
);
