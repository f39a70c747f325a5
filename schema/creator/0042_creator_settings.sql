-- What a creator decided about who may come in and how long things are kept. A setting without a row has its default.
CREATE TABLE creator_setting (
    name       TEXT    PRIMARY KEY,              -- anonymous email_users retention
    value      TEXT    NOT NULL,                 -- JSON
    updated_ms INTEGER NOT NULL
);
