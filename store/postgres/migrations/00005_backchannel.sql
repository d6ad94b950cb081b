-- compatible: 3
-- +goose Up
CREATE TABLE backchannel_requests (
    id           bytea       NOT NULL PRIMARY KEY,
    client_id    text COLLATE "C" NOT NULL,
    subject      text COLLATE "C" NOT NULL,
    person       bytea       NOT NULL,
    parameters   json,
    ping         bytea,
    created_at   timestamptz NOT NULL,
    expires_at   timestamptz NOT NULL,
    -- In microseconds, which is the precision of times.
    interval     bigint      NOT NULL,
    next_poll_at timestamptz NOT NULL,
    -- Whether the last poll came too early.
    early        boolean     NOT NULL DEFAULT FALSE,
    decided_at   timestamptz,
    grant_id     text COLLATE "C" NOT NULL,
    device       text        NOT NULL,
    spent_at     timestamptz
);
CREATE INDEX backchannel_requests_expires_at ON backchannel_requests (expires_at);
CREATE INDEX backchannel_requests_client_id ON backchannel_requests (client_id);
CREATE INDEX backchannel_requests_pending ON backchannel_requests (person) WHERE decided_at IS NULL;
CREATE INDEX backchannel_requests_subject ON backchannel_requests (subject) WHERE decided_at IS NULL;

-- Notifications that were not sent yet: each is written with the decision that it tells of.
CREATE TABLE pings (
    request_id bytea       NOT NULL PRIMARY KEY,
    client_id  text COLLATE "C" NOT NULL,
    sealed     bytea       NOT NULL,
    attempts   integer     NOT NULL,
    due_at     timestamptz NOT NULL,
    expires_at timestamptz NOT NULL
);
CREATE INDEX pings_due_at ON pings (due_at);
CREATE INDEX pings_expires_at ON pings (expires_at);

ALTER TABLE users ADD COLUMN user_code text NOT NULL DEFAULT '';
