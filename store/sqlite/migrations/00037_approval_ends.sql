-- compatible: 3
-- +goose Up
-- How the execution of an approval ended; see store.Approvals. A node of the release before leaves them as they are.
ALTER TABLE approvals ADD COLUMN ended_at INTEGER;
ALTER TABLE approvals ADD COLUMN failure TEXT NOT NULL DEFAULT '';
