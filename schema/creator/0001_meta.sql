-- Facts about this database itself, such as whose it is: a file moved under another creator's name is found out.
CREATE TABLE meta (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
);
