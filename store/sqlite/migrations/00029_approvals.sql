-- compatible: 3
-- +goose Up
-- What needs four eyes; see store.Approval.
CREATE TABLE approvals (
    id                    TEXT    NOT NULL PRIMARY KEY,
    action                TEXT    NOT NULL,
    target                TEXT    NOT NULL,
    request               TEXT    NOT NULL,
    digest                BLOB    NOT NULL,
    requested_by          TEXT    NOT NULL,
    requested_certificate BLOB    NOT NULL,
    requested_at          INTEGER NOT NULL,
    expires_at            INTEGER NOT NULL,
    state                 TEXT    NOT NULL CHECK (state IN ('open', 'approved', 'refused', 'consumed')),
    decided_by            TEXT    NOT NULL DEFAULT '',
    decided_certificate   BLOB,
    decided_at            INTEGER,
    consumed_by           TEXT    NOT NULL DEFAULT '',
    consumed_at           INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX approvals_requested_at ON approvals (requested_at, id);
CREATE INDEX approvals_expires_at ON approvals (expires_at);
