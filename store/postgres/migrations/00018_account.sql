-- compatible: 3
-- +goose NO TRANSACTION
-- +goose Up
-- Who ended a grant, and about when it was last used; which browser a session is of; from when on browsers are known.
ALTER TABLE grants ADD COLUMN IF NOT EXISTS revoked_by text COLLATE "C" NOT NULL DEFAULT '', ADD COLUMN IF NOT EXISTS used_at timestamptz;
ALTER TABLE sessions ADD COLUMN IF NOT EXISTS agent text NOT NULL DEFAULT '';
ALTER TABLE users ADD COLUMN IF NOT EXISTS browsers_from timestamptz;
-- The index is made while nodes write.
DROP INDEX CONCURRENTLY IF EXISTS sessions_by_subject;
CREATE INDEX CONCURRENTLY sessions_by_subject ON sessions (subject, auth_time);
