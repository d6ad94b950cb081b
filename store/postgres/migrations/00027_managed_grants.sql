-- compatible: 3
-- +goose Up
-- What a client calls a grant (Grant Management for OAuth 2.0). A grant that takes the place of another has the same name.
ALTER TABLE grants ADD COLUMN managed_id text COLLATE "C";
CREATE INDEX grants_managed_id ON grants (managed_id) WHERE managed_id IS NOT NULL;
