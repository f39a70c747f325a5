-- Finding somebody by any part of their id, name or address, whatever the case and accents: folded when the row is written.
ALTER TABLE person ADD COLUMN folded TEXT NOT NULL DEFAULT '';
CREATE INDEX person_newest ON person (created_ms, id);
