-- compatible: 3
-- +goose Up
-- Interactions that were handed to a login of the operator's own, with its one answer.
CREATE TABLE hand_offs (
    id             BLOB    NOT NULL PRIMARY KEY,
    interaction_id BLOB    NOT NULL,
    created_at     INTEGER NOT NULL,
    expires_at     INTEGER NOT NULL,
    answer         TEXT,
    answered_at    INTEGER,
    -- Who signed in; NULL until somebody did.
    subject        TEXT,
    -- The digest of the one-time value in the address to which the browser comes back.
    back           BLOB,
    returned_at    INTEGER
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX hand_offs_back ON hand_offs (back) WHERE back IS NOT NULL;
CREATE INDEX hand_offs_subject ON hand_offs (subject) WHERE subject IS NOT NULL;
CREATE INDEX hand_offs_expires_at ON hand_offs (expires_at);
