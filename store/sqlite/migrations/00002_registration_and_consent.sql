-- +goose Up
CREATE TABLE consents (
    subject    TEXT    NOT NULL,
    client_id  TEXT    NOT NULL,
    scopes     TEXT,
    claims     TEXT,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    PRIMARY KEY (subject, client_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX consents_client_id ON consents (client_id);
CREATE INDEX consents_expires_at ON consents (expires_at);
CREATE TABLE initial_tokens (
    id           BLOB    NOT NULL PRIMARY KEY,
    organisation TEXT    NOT NULL UNIQUE,
    remaining    INTEGER NOT NULL,
    created_at   INTEGER NOT NULL,
    expires_at   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE seeds (
    name  TEXT NOT NULL PRIMARY KEY,
    value BLOB NOT NULL
) STRICT, WITHOUT ROWID;
ALTER TABLE clients ADD COLUMN access_token BLOB;
ALTER TABLE clients ADD COLUMN organisation TEXT NOT NULL DEFAULT '';
CREATE INDEX clients_organisation ON clients (organisation) WHERE organisation <> '';
CREATE INDEX grants_client_id ON grants (client_id);
