-- Who may come in. An account is a person who runs a creator's business here; it is a member of one or more creators. The
-- people being coached are in each creator's own database. Secrets stand here only hashed, or sealed with a key of the data
-- folder, so that a copy of this database opens no door.
CREATE TABLE account (
    id                TEXT    PRIMARY KEY,       -- acc_…
    email             TEXT    NOT NULL UNIQUE,   -- as it is compared: trimmed, case folded
    email_verified_ms INTEGER,                   -- unix, NULL: not yet
    full_name         TEXT    NOT NULL DEFAULT '',
    password_hash     TEXT,                      -- Argon2id; NULL: signs in by link or issuer only
    password_ms       INTEGER,                   -- unix, when it was set
    totp_sealed       BLOB,                      -- the second factor's secret, sealed; NULL: none
    totp_on_ms        INTEGER,                   -- unix, NULL: begun but not confirmed
    totp_step         INTEGER NOT NULL DEFAULT 0,-- the last 30-second step that was accepted: no code counts twice
    state             TEXT    NOT NULL DEFAULT 'active', -- active disabled
    created_ms        INTEGER NOT NULL,
    updated_ms        INTEGER NOT NULL,
    seen_ms           INTEGER                    -- last sign-in
);
-- One-time codes for a lost second factor.
CREATE TABLE recovery_code (
    hash       TEXT    PRIMARY KEY,
    account_id TEXT    NOT NULL REFERENCES account(id) ON DELETE CASCADE,
    used_ms    INTEGER
);
CREATE INDEX recovery_code_account ON recovery_code (account_id);
-- An outside issuer's name for an account.
CREATE TABLE account_issuer (
    issuer     TEXT    NOT NULL,
    subject    TEXT    NOT NULL,
    account_id TEXT    NOT NULL REFERENCES account(id) ON DELETE CASCADE,
    created_ms INTEGER NOT NULL,
    PRIMARY KEY (issuer, subject)
);
CREATE INDEX account_issuer_account ON account_issuer (account_id);
-- Which accounts work for which creator, and as what.
CREATE TABLE member (
    creator_id TEXT    NOT NULL REFERENCES creator(id) ON DELETE CASCADE,
    account_id TEXT    NOT NULL REFERENCES account(id) ON DELETE CASCADE,
    role       TEXT    NOT NULL,                 -- a built-in role, or one of the creator's
    invited_by TEXT,                             -- account
    created_ms INTEGER NOT NULL,
    updated_ms INTEGER NOT NULL,
    PRIMARY KEY (creator_id, account_id)
);
CREATE INDEX member_account ON member (account_id);
-- A creator's own roles; the built-in ones are in the program.
CREATE TABLE role (
    creator_id  TEXT    NOT NULL REFERENCES creator(id) ON DELETE CASCADE,
    name        TEXT    NOT NULL,
    permissions TEXT    NOT NULL,                -- JSON array of words
    created_ms  INTEGER NOT NULL,
    updated_ms  INTEGER NOT NULL,
    PRIMARY KEY (creator_id, name)
);
-- A sign-in and its refresh tokens: a family. Only the newest token of a family is good; an older one ends the family.
CREATE TABLE session (
    id             TEXT    PRIMARY KEY,          -- ses_…
    kind           TEXT    NOT NULL,             -- member user visitor
    creator_id     TEXT    REFERENCES creator(id) ON DELETE CASCADE,
    account_id     TEXT    REFERENCES account(id) ON DELETE CASCADE, -- of kind member
    user_id        TEXT,                         -- of kinds user and visitor
    role           TEXT    NOT NULL,             -- of kind member: as it was at sign-in; the member row decides
    refresh_number INTEGER NOT NULL,             -- of the newest refresh token
    refresh_hash   TEXT    NOT NULL,
    address        TEXT    NOT NULL DEFAULT '',  -- network of the client, shortened
    agent          TEXT    NOT NULL DEFAULT '',  -- kind of client, for people
    created_ms     INTEGER NOT NULL,
    used_ms        INTEGER NOT NULL,
    expires_ms     INTEGER NOT NULL,
    ended_ms       INTEGER,
    ended_why      TEXT                          -- signed out, revoked, reused, password, erased …
);
CREATE INDEX session_account ON session (account_id);
CREATE INDEX session_user ON session (creator_id, user_id);
CREATE INDEX session_expires ON session (expires_ms);
-- Keys for programs. Only the hash is kept; the prefix is for people to recognise one.
CREATE TABLE api_key (
    id          TEXT    PRIMARY KEY,             -- key_…
    creator_id  TEXT    NOT NULL REFERENCES creator(id) ON DELETE CASCADE,
    name        TEXT    NOT NULL,
    prefix      TEXT    NOT NULL,
    hash        TEXT    NOT NULL UNIQUE,
    scopes      TEXT    NOT NULL,                -- JSON array of words
    created_by  TEXT,                            -- account
    created_ms  INTEGER NOT NULL,
    expires_ms  INTEGER,
    used_ms     INTEGER,
    ended_ms    INTEGER,
    ended_why   TEXT,                            -- revoked, rotated
    replaced_by TEXT                             -- key
);
CREATE INDEX api_key_creator ON api_key (creator_id, created_ms);
-- What signs our tokens. The private half is sealed; a retired key still verifies until the last token it signed has ended.
CREATE TABLE signing_key (
    kid            TEXT    PRIMARY KEY,
    algorithm      TEXT    NOT NULL,             -- RS256
    public_pem     TEXT    NOT NULL,
    private_sealed BLOB    NOT NULL,
    created_ms     INTEGER NOT NULL,
    retired_ms     INTEGER,                      -- signs no more
    gone_ms        INTEGER                       -- verifies no more
);
-- Counts every change that can make a known token or key mean something else: processes that see a new number look again.
CREATE TABLE access_change (
    id  INTEGER PRIMARY KEY CHECK (id = 1),
    seq INTEGER NOT NULL
);
INSERT INTO access_change(id, seq) VALUES (1, 1);
-- One-time links sent by mail: sign-in, a member's invitation, a new password, a confirmed address.
CREATE TABLE mail_link (
    hash       TEXT    PRIMARY KEY,
    purpose    TEXT    NOT NULL,                 -- sign_in invite password verify
    creator_id TEXT    REFERENCES creator(id) ON DELETE CASCADE,
    account_id TEXT    REFERENCES account(id) ON DELETE CASCADE,
    email      TEXT    NOT NULL,
    role       TEXT,                             -- of an invitation
    created_by TEXT,                             -- account
    created_ms INTEGER NOT NULL,
    expires_ms INTEGER NOT NULL,
    used_ms    INTEGER
);
CREATE INDEX mail_link_email ON mail_link (email);
CREATE INDEX mail_link_expires ON mail_link (expires_ms);
-- Wrong passwords by account name and by address, known name or not: both are told the same.
CREATE TABLE login_guard (
    key             TEXT    PRIMARY KEY,         -- keyed hash of the e-mail or the address
    failures        INTEGER NOT NULL,
    locked_until_ms INTEGER NOT NULL,
    updated_ms      INTEGER NOT NULL
);
-- A sign-in at an outside issuer that has begun.
CREATE TABLE oidc_login (
    state_hash TEXT    PRIMARY KEY,
    issuer     TEXT    NOT NULL,
    nonce      TEXT    NOT NULL,
    verifier   TEXT    NOT NULL,                 -- PKCE
    back_to    TEXT    NOT NULL,                 -- a path of ours
    expires_ms INTEGER NOT NULL
);
