-- compatible: 3
-- +goose Up
-- Interactions that were handed to a login of the operator's own, with its one answer.
CREATE TABLE hand_offs (
    id             bytea       NOT NULL PRIMARY KEY,
    interaction_id bytea       NOT NULL,
    created_at     timestamptz NOT NULL,
    expires_at     timestamptz NOT NULL,
    answer         json,
    answered_at    timestamptz,
    -- Who signed in; NULL until somebody did.
    subject        text COLLATE "C",
    -- The digest of the one-time value in the address to which the browser comes back.
    back           bytea,
    returned_at    timestamptz
);
CREATE UNIQUE INDEX hand_offs_back ON hand_offs (back) WHERE back IS NOT NULL;
CREATE INDEX hand_offs_subject ON hand_offs (subject) WHERE subject IS NOT NULL;
CREATE INDEX hand_offs_expires_at ON hand_offs (expires_at);
