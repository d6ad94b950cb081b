-- compatible: 3
-- +goose Up
-- What a user had signed in with when an application was enrolled. acr counts for the code acr_id alone: a node of the
-- release before, which replaces a code, says nothing of it.
ALTER TABLE devices ADD COLUMN acr TEXT NOT NULL DEFAULT '';
ALTER TABLE devices ADD COLUMN kept_at INTEGER;
ALTER TABLE enrolments ADD COLUMN acr TEXT NOT NULL DEFAULT '';
ALTER TABLE enrolments ADD COLUMN acr_id BLOB;
