-- compatible: 3
-- +goose Up
-- Who ended a grant, and about when it was last used; which browser a session is of; from when on browsers are known.
ALTER TABLE grants ADD COLUMN revoked_by TEXT NOT NULL DEFAULT '';
ALTER TABLE grants ADD COLUMN used_at INTEGER;
ALTER TABLE sessions ADD COLUMN agent TEXT NOT NULL DEFAULT '';
ALTER TABLE users ADD COLUMN browsers_from INTEGER;
CREATE INDEX sessions_by_subject ON sessions (subject, auth_time);
DROP INDEX sessions_subject;
