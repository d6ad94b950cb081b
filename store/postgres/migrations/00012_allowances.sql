-- compatible: 3
-- +goose Up
-- Allowances that nodes share. There is no index on full_at, so that an update stays in its page; what is whole again is few
-- and is looked for in all of the table.
CREATE TABLE allowances (
    key     bytea       NOT NULL PRIMARY KEY,
    full_at timestamptz NOT NULL
) WITH (fillfactor = 50);
