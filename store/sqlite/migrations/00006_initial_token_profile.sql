-- compatible: 3
-- +goose Up
-- The profile of the clients that are registered with a token; empty for the server's choice.
ALTER TABLE initial_tokens ADD COLUMN profile TEXT NOT NULL DEFAULT '';
