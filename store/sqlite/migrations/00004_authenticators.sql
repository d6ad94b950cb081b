-- compatible: 2
-- +goose Up
CREATE TABLE passkeys (
    id         BLOB    NOT NULL PRIMARY KEY,
    subject    TEXT    NOT NULL,
    public_key BLOB    NOT NULL,
    aaguid     BLOB    NOT NULL,
    name       TEXT    NOT NULL,
    synced     INTEGER NOT NULL,
    sign_count INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    used_at    INTEGER,
    cloned_at  INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX passkeys_subject ON passkeys (subject);
CREATE TABLE devices (
    id         TEXT    NOT NULL PRIMARY KEY,
    subject    TEXT    NOT NULL,
    name       TEXT    NOT NULL,
    jkt        TEXT    NOT NULL UNIQUE,
    created_at INTEGER NOT NULL,
    used_at    INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX devices_subject ON devices (subject);
CREATE TABLE enrolments (
    id         BLOB    NOT NULL PRIMARY KEY,
    subject    TEXT    NOT NULL UNIQUE,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX enrolments_expires_at ON enrolments (expires_at);
CREATE TABLE subscriptions (
    id         BLOB    NOT NULL PRIMARY KEY,
    subject    TEXT    NOT NULL,
    endpoint   TEXT    NOT NULL,
    key_id     TEXT    NOT NULL,
    created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX subscriptions_subject ON subscriptions (subject);
