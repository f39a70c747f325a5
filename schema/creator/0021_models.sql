-- The models of a creator's vectors. One is active: it answers. While another takes its place its vectors are made beside
-- those of the active one (next), until one transaction makes it active. What is neither (aside) is taken out in time.
CREATE TABLE search_model (
    label  TEXT    PRIMARY KEY,               -- what vectors are marked with: the name, name#… for another model of that name
    name   TEXT    NOT NULL,                  -- of its folder, or as its provider calls it
    print  TEXT    NOT NULL DEFAULT '',       -- SHA-256 over its files; '' not known: a provider's, or older than this table
    stamp  TEXT    NOT NULL DEFAULT '',       -- sizes and times of its files when they had that hash
    dim    INTEGER NOT NULL,
    remote INTEGER NOT NULL DEFAULT 0,        -- 1: a provider's
    state  TEXT    NOT NULL                   -- active next declined aside
);

ALTER TABLE search_state ADD COLUMN lacking INTEGER NOT NULL DEFAULT 0;        -- 1: something may lack the active model's vector
ALTER TABLE search_state ADD COLUMN reindex_job TEXT NOT NULL DEFAULT '';      -- the last one
UPDATE search_state SET lacking = 1;

-- What was embedded, as the first 16 bytes of its SHA-256: the same text is not embedded again while a row has it.
ALTER TABLE chunk_vector ADD COLUMN text_hash BLOB;
CREATE INDEX chunk_vector_text ON chunk_vector (text_hash, model) WHERE text_hash IS NOT NULL;
ALTER TABLE embedding ADD COLUMN text_hash BLOB;
CREATE INDEX embedding_text ON embedding (text_hash, model_name) WHERE text_hash IS NOT NULL;

ALTER TABLE staged_chunk ADD COLUMN text_hash BLOB;
ALTER TABLE staged_chunk ADD COLUMN next_model TEXT NOT NULL DEFAULT '';
ALTER TABLE staged_chunk ADD COLUMN next_dim INTEGER NOT NULL DEFAULT 0;
ALTER TABLE staged_chunk ADD COLUMN next_vector BLOB;
