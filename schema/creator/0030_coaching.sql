-- What coaching keeps: the personas of the creator, and one row per turn with its trace for `why` and for the next
-- turn's history.
CREATE TABLE coach (
    id          TEXT PRIMARY KEY,
    name        TEXT NOT NULL,
    description TEXT NOT NULL,
    language    TEXT NOT NULL,
    expertise   TEXT NOT NULL,
    method      TEXT NOT NULL,
    style       TEXT NOT NULL,
    created_ms  BIGINT NOT NULL,
    updated_ms  BIGINT NOT NULL
);
CREATE TABLE turn (
    id              TEXT PRIMARY KEY,
    conversation_id TEXT NOT NULL,
    user_id         TEXT NOT NULL,
    coach_id        TEXT NOT NULL,
    question        TEXT NOT NULL,
    answer          TEXT NOT NULL,
    covered         INTEGER NOT NULL,
    step            TEXT NOT NULL,
    confidence      DOUBLE PRECISION NOT NULL,
    took_ms         DOUBLE PRECISION NOT NULL,
    created_ms      BIGINT NOT NULL,
    trace           TEXT NOT NULL
);
CREATE INDEX turn_by_time ON turn(created_ms);
CREATE INDEX turn_by_user ON turn(user_id, created_ms);
CREATE INDEX turn_by_conversation ON turn(conversation_id, created_ms);
