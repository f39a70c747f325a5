-- Which API key signed a user in: they go out with it when it is revoked.
ALTER TABLE session ADD COLUMN key_id TEXT;
CREATE INDEX session_key ON session (key_id) WHERE key_id IS NOT NULL;
