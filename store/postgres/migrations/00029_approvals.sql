-- compatible: 3
-- +goose Up
-- What needs four eyes; see store.Approval.
CREATE TABLE approvals (
    id                    text COLLATE "C" NOT NULL PRIMARY KEY,
    action                text COLLATE "C" NOT NULL,
    target                text COLLATE "C" NOT NULL,
    request               json             NOT NULL,
    digest                bytea            NOT NULL,
    requested_by          text             NOT NULL,
    requested_certificate bytea            NOT NULL,
    requested_at          timestamptz      NOT NULL,
    expires_at            timestamptz      NOT NULL,
    state                 text COLLATE "C" NOT NULL CHECK (state IN ('open', 'approved', 'refused', 'consumed')),
    decided_by            text             NOT NULL DEFAULT '',
    decided_certificate   bytea,
    decided_at            timestamptz,
    consumed_by           text             NOT NULL DEFAULT '',
    consumed_at           timestamptz
);
CREATE INDEX approvals_requested_at ON approvals (requested_at, id);
CREATE INDEX approvals_expires_at ON approvals (expires_at);
