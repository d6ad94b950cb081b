-- compatible: 3
-- +goose Up
-- Who answers for the client that asks, and what its user decided about them.
ALTER TABLE backchannel_requests ADD COLUMN organisation text COLLATE "C" NOT NULL DEFAULT '';

CREATE TABLE backchannel_standings (
    subject      text COLLATE "C" NOT NULL,
    organisation text COLLATE "C" NOT NULL,
    -- The client by which the organisation is shown.
    client_id    text COLLATE "C" NOT NULL,
    denials      integer NOT NULL,
    denied_at    timestamptz,
    blocked_at   timestamptz,
    PRIMARY KEY (subject, organisation)
);
