-- What makes content findable: one search_item per chunk or stored embedding, its terms, its vectors.
-- An item's number is never used again, so a process that holds an index in memory can follow by number alone.
CREATE TABLE search_item (
    item         INTEGER PRIMARY KEY AUTOINCREMENT,
    kind         INTEGER NOT NULL,               -- 0 chunk, 1 embedding
    ref          TEXT    NOT NULL,               -- chunk.id or embedding.id
    source       TEXT    NOT NULL,               -- document.id or embedding.id
    user_id      TEXT    NOT NULL DEFAULT '',    -- '' shared
    content_type TEXT    NOT NULL,
    UNIQUE (kind, ref)
);
CREATE INDEX search_item_source ON search_item (kind, source);

-- Terms as the analyser left them, space-separated: postings in memory are read from here.
CREATE TABLE search_term (
    item    INTEGER PRIMARY KEY REFERENCES search_item (item),
    title   TEXT NOT NULL,
    heading TEXT NOT NULL,
    body    TEXT NOT NULL
);

-- The same text may have one vector per model; vectors of different models are never compared.
CREATE TABLE chunk_vector (
    seq      INTEGER PRIMARY KEY AUTOINCREMENT,
    chunk_id TEXT    NOT NULL,
    model    TEXT    NOT NULL,
    dim      INTEGER NOT NULL,
    vector   BLOB    NOT NULL,                   -- dim little-endian f32
    UNIQUE (chunk_id, model)
);

CREATE TABLE embedding (
    id               TEXT PRIMARY KEY,
    user_id          TEXT    NOT NULL,
    content          TEXT    NOT NULL,
    content_type     TEXT    NOT NULL,
    embedding_vector BLOB    NOT NULL,
    model_name       TEXT    NOT NULL,
    dimension        INTEGER NOT NULL,
    metadata         TEXT    NOT NULL DEFAULT '{}',
    created_at       INTEGER NOT NULL,           -- unix ms
    language         TEXT    NOT NULL DEFAULT ''
);
CREATE INDEX embedding_user ON embedding (user_id);

-- Items taken out, for those who follow; old rows are pruned and a follower that missed some reads all again.
CREATE TABLE search_gone (
    seq  INTEGER PRIMARY KEY AUTOINCREMENT,
    item INTEGER NOT NULL
);

CREATE TABLE search_state (
    id         INTEGER PRIMARY KEY CHECK (id = 1),
    generation INTEGER NOT NULL
);
INSERT INTO search_state (id, generation) VALUES (1, 1);

CREATE TABLE search_feedback (
    event TEXT    PRIMARY KEY,                   -- click, impression, dismiss
    total INTEGER NOT NULL
);
