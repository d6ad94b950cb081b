-- compatible: 3
-- +goose Up
-- What an entry of the audit log has about a person lies beside the entry, which holds its digest: it can be erased.
ALTER TABLE audit_log ADD COLUMN personal text;

-- A session is alive while its epoch is its user's. Ending all sessions begins the next one, so that a session that is stored a moment
-- later by who had checked the password before is not alive. NULL is what programs of the release before store.
ALTER TABLE users ADD COLUMN epoch bigint NOT NULL DEFAULT 1;
ALTER TABLE sessions ADD COLUMN epoch bigint;
