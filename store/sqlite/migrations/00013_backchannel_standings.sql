-- compatible: 3
-- +goose Up
-- Who answers for the client that asks, and what its user decided about them.
ALTER TABLE backchannel_requests ADD COLUMN organisation TEXT NOT NULL DEFAULT '';

CREATE TABLE backchannel_standings (
    subject      TEXT    NOT NULL,
    organisation TEXT    NOT NULL,
    -- The client by which the organisation is shown.
    client_id    TEXT    NOT NULL,
    denials      INTEGER NOT NULL,
    denied_at    INTEGER,
    blocked_at   INTEGER,
    PRIMARY KEY (subject, organisation)
) STRICT, WITHOUT ROWID;
