-- compatible: 3
-- +goose Up
-- The session at an upstream provider by which a user signed in; see store.Upstreams.
ALTER TABLE sessions ADD COLUMN upstream BLOB;
CREATE INDEX sessions_upstream ON sessions (upstream) WHERE upstream IS NOT NULL;
ALTER TABLE hand_offs ADD COLUMN upstream BLOB;
CREATE INDEX hand_offs_upstream ON hand_offs (upstream) WHERE upstream IS NOT NULL;
