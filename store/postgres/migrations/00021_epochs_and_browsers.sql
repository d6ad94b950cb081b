-- compatible: 3
-- +goose Up
-- The epoch of the user at the answer: the session of an answer ends with all sessions that end before the browser is back.
-- 0 for answers of the release before, and for those by which nobody signed in.
ALTER TABLE hand_offs ADD COLUMN epoch bigint NOT NULL DEFAULT 0;

-- The browsers in which a user signed in with a password and that are known from then on; id is the digest of a name that only
-- the browser has.
CREATE TABLE known_browsers (
    subject    text COLLATE "C" NOT NULL,
    id         bytea       NOT NULL,
    agent      text        NOT NULL,
    created_at timestamptz NOT NULL,
    used_at    timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (subject, id)
);
CREATE INDEX known_browsers_expires_at ON known_browsers (expires_at);
