-- The creator's own numbers for the limits of its callers; what has no row here is as the instance says.
CREATE TABLE limit_own (
    policy    TEXT    PRIMARY KEY,               -- fit ten rag user service
    requests  INTEGER NOT NULL,
    window_s  INTEGER NOT NULL,
    set_ms    INTEGER NOT NULL
);
