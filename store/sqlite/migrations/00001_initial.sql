-- +goose Up
-- Times are microseconds since 1970 in UTC, digests are 32 bytes, lists and objects are JSON text.

CREATE TABLE requests (
    id          BLOB    NOT NULL PRIMARY KEY,
    client_id   TEXT    NOT NULL,
    parameters  TEXT,
    created_at  INTEGER NOT NULL,
    expires_at  INTEGER NOT NULL,
    finished_at INTEGER,
    -- When the row may go: some time after expires_at, and not before its interactions have ended.
    purge_at    INTEGER NOT NULL
) STRICT;
CREATE INDEX requests_purge_at ON requests (purge_at);

CREATE TABLE sessions (
    id         BLOB    NOT NULL PRIMARY KEY,
    subject    TEXT    NOT NULL,
    auth_time  INTEGER NOT NULL,
    acr        TEXT    NOT NULL,
    amr        TEXT,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX sessions_expires_at ON sessions (expires_at);

CREATE TABLE interactions (
    id               BLOB    NOT NULL PRIMARY KEY,
    request_id       BLOB    NOT NULL,
    browser          BLOB    NOT NULL,
    session_id       BLOB,
    sign_in_failures INTEGER NOT NULL,
    created_at       INTEGER NOT NULL,
    expires_at       INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX interactions_expires_at ON interactions (expires_at);

CREATE TABLE grants (
    id         TEXT    NOT NULL PRIMARY KEY,
    client_id  TEXT    NOT NULL,
    subject    TEXT    NOT NULL,
    scopes     TEXT,
    detail     TEXT,
    auth_time  INTEGER,
    acr        TEXT    NOT NULL,
    amr        TEXT,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    revoked_at INTEGER
) STRICT;
CREATE INDEX grants_expires_at ON grants (expires_at);

CREATE TABLE codes (
    id           BLOB    NOT NULL PRIMARY KEY,
    grant_id     TEXT    NOT NULL,
    client_id    TEXT    NOT NULL,
    redirect_uri TEXT    NOT NULL,
    challenge    TEXT    NOT NULL,
    jkt          TEXT    NOT NULL,
    created_at   INTEGER NOT NULL,
    expires_at   INTEGER NOT NULL,
    spent_at     INTEGER,
    failures     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX codes_expires_at ON codes (expires_at);

CREATE TABLE access_tokens (
    id         BLOB    NOT NULL PRIMARY KEY,
    grant_id   TEXT    NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX access_tokens_expires_at ON access_tokens (expires_at);

CREATE TABLE refresh_tokens (
    id         BLOB    NOT NULL PRIMARY KEY,
    grant_id   TEXT    NOT NULL,
    client_id  TEXT    NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    revoked_at INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX refresh_tokens_expires_at ON refresh_tokens (expires_at);

CREATE TABLE uses (
    kind  TEXT    NOT NULL,
    key   BLOB    NOT NULL,
    until INTEGER NOT NULL,
    PRIMARY KEY (kind, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX uses_until ON uses (until);

CREATE TABLE clients (
    id         TEXT    NOT NULL PRIMARY KEY,
    profile    TEXT    NOT NULL,
    metadata   TEXT,
    disabled   INTEGER NOT NULL,
    version    INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;

CREATE TABLE users (
    subject    TEXT    NOT NULL PRIMARY KEY,
    username   TEXT    NOT NULL UNIQUE,
    password   TEXT    NOT NULL,
    claims     TEXT,
    disabled   INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;

CREATE TABLE keys (
    id           TEXT    NOT NULL PRIMARY KEY,
    algorithm    TEXT    NOT NULL,
    uses         TEXT,
    state        TEXT    NOT NULL CHECK (state IN ('published', 'active', 'retiring', 'destroyed')),
    uris         TEXT,
    public       TEXT,
    created_at   INTEGER NOT NULL,
    activated_at INTEGER,
    retired_at   INTEGER
) STRICT;
