-- compatible: 3
-- +goose Up
-- Consents that clients lodge before they ask for an authorization; see store.LodgedConsent.
CREATE TABLE lodged_consents (
    id           TEXT NOT NULL PRIMARY KEY,
    client_id    TEXT NOT NULL,
    organisation TEXT NOT NULL,
    kind         TEXT NOT NULL,
    status       TEXT NOT NULL,
    content      TEXT,
    shown        TEXT,
    permissions  TEXT,
    scopes       TEXT,
    hints        TEXT,
    once         INTEGER NOT NULL,
    elsewhere    INTEGER NOT NULL,
    notify       INTEGER NOT NULL,
    created_at   INTEGER NOT NULL,
    changed_at   INTEGER NOT NULL,
    version      INTEGER NOT NULL,
    expires_at   INTEGER NOT NULL,
    ends_at      INTEGER,
    -- Microseconds from the decision to ends_at; 0 for none.
    lasts        INTEGER NOT NULL,
    -- The digest of the interaction or the backchannel request that may decide.
    bound        BLOB,
    subject      TEXT NOT NULL,
    grant_id     TEXT NOT NULL,
    ended_by     TEXT NOT NULL,
    reason       TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX lodged_consents_client ON lodged_consents (client_id, created_at, id);
CREATE INDEX lodged_consents_subject ON lodged_consents (subject, created_at, id) WHERE subject <> '';
CREATE INDEX lodged_consents_grant ON lodged_consents (grant_id) WHERE grant_id <> '';
CREATE INDEX lodged_consents_awaiting ON lodged_consents (client_id) WHERE status = 'awaiting';
CREATE INDEX lodged_consents_organisation ON lodged_consents (organisation) WHERE status = 'awaiting';
CREATE INDEX lodged_consents_undecided ON lodged_consents (expires_at) WHERE status = 'awaiting';
CREATE INDEX lodged_consents_ending ON lodged_consents (ends_at) WHERE status = 'authorised';
CREATE INDEX lodged_consents_over ON lodged_consents (changed_at) WHERE status IN ('rejected', 'consumed', 'revoked', 'expired');

-- The notices of changed consents that the operator's webhook has not got yet.
CREATE TABLE consent_notices (
    consent_id TEXT NOT NULL,
    version    INTEGER NOT NULL,
    client_id  TEXT NOT NULL,
    kind       TEXT NOT NULL,
    status     TEXT NOT NULL,
    at         INTEGER NOT NULL,
    grant_id   TEXT NOT NULL,
    ended_by   TEXT NOT NULL,
    reason     TEXT NOT NULL,
    attempts   INTEGER NOT NULL,
    due_at     INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    PRIMARY KEY (consent_id, version)
) STRICT, WITHOUT ROWID;
CREATE INDEX consent_notices_due_at ON consent_notices (due_at);
CREATE INDEX consent_notices_expires_at ON consent_notices (expires_at);

-- Whatever changes a consent, also a process of the release before that ends its grant, it is told.
-- +goose StatementBegin
CREATE TRIGGER lodged_consents_told AFTER UPDATE OF status ON lodged_consents FOR EACH ROW
    WHEN NEW.notify AND NEW.status <> OLD.status
BEGIN
    INSERT INTO consent_notices (consent_id, version, client_id, kind, status, at, grant_id, ended_by, reason, attempts, due_at, expires_at)
    VALUES (NEW.id, NEW.version, NEW.client_id, NEW.kind, NEW.status, NEW.changed_at, NEW.grant_id, NEW.ended_by, NEW.reason, 0,
        NEW.changed_at, NEW.changed_at + 7 * 24 * 3600 * 1000000);
END;
-- +goose StatementEnd

-- Whatever ends a grant ends the consent that it was made by. Who ended the one is called otherwise than who ended the other: the
-- operator and the server are the bank, and what takes the place of a grant was allowed by its user.
-- +goose StatementBegin
CREATE TRIGGER grants_end_consent AFTER UPDATE OF revoked_at ON grants FOR EACH ROW
    WHEN OLD.revoked_at IS NULL AND NEW.revoked_at IS NOT NULL
BEGIN
    UPDATE lodged_consents SET status = 'revoked', changed_at = NEW.revoked_at, version = version + 1,
        ended_by = CASE WHEN NEW.revoked_by IN ('operator', 'server') THEN 'bank' WHEN NEW.revoked_by = 'replaced' THEN 'user'
            ELSE NEW.revoked_by END, reason = 'grant ended'
    WHERE grant_id = NEW.id AND grant_id <> '' AND status = 'authorised';
END;
-- +goose StatementEnd
