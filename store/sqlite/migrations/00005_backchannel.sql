-- compatible: 3
-- +goose Up
CREATE TABLE backchannel_requests (
    id           BLOB    NOT NULL PRIMARY KEY,
    client_id    TEXT    NOT NULL,
    subject      TEXT    NOT NULL,
    person       BLOB    NOT NULL,
    parameters   TEXT,
    ping         BLOB,
    created_at   INTEGER NOT NULL,
    expires_at   INTEGER NOT NULL,
    -- In microseconds, as all times are.
    interval     INTEGER NOT NULL,
    next_poll_at INTEGER NOT NULL,
    -- Whether the last poll came too early.
    early        INTEGER NOT NULL DEFAULT FALSE,
    decided_at   INTEGER,
    grant_id     TEXT    NOT NULL,
    device       TEXT    NOT NULL,
    spent_at     INTEGER
) STRICT;
CREATE INDEX backchannel_requests_expires_at ON backchannel_requests (expires_at);
CREATE INDEX backchannel_requests_client_id ON backchannel_requests (client_id);
CREATE INDEX backchannel_requests_pending ON backchannel_requests (person) WHERE decided_at IS NULL;
CREATE INDEX backchannel_requests_subject ON backchannel_requests (subject) WHERE decided_at IS NULL;

-- Notifications that were not sent yet: each is written with the decision that it tells of.
CREATE TABLE pings (
    request_id BLOB    NOT NULL PRIMARY KEY,
    client_id  TEXT    NOT NULL,
    sealed     BLOB    NOT NULL,
    attempts   INTEGER NOT NULL,
    due_at     INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX pings_due_at ON pings (due_at);
CREATE INDEX pings_expires_at ON pings (expires_at);

ALTER TABLE users ADD COLUMN user_code TEXT NOT NULL DEFAULT '';
