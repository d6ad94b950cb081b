-- compatible: 3
-- +goose Up
-- The epoch of the user at the answer: the session of an answer ends with all sessions that end before the browser is back.
-- 0 for answers of the release before, and for those by which nobody signed in.
ALTER TABLE hand_offs ADD COLUMN epoch INTEGER NOT NULL DEFAULT 0;

-- The browsers in which a user signed in with a password and that are known from then on; id is the digest of a name that only
-- the browser has.
CREATE TABLE known_browsers (
    subject    TEXT    NOT NULL,
    id         BLOB    NOT NULL,
    agent      TEXT    NOT NULL,
    created_at INTEGER NOT NULL,
    used_at    INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    PRIMARY KEY (subject, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX known_browsers_expires_at ON known_browsers (expires_at);
