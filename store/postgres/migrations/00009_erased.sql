-- compatible: 3
-- +goose Up
ALTER TABLE users ADD COLUMN erased_at timestamptz;
