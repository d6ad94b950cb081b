-- compatible: 3
-- +goose Up
CREATE TABLE allowances (
    key     BLOB    NOT NULL PRIMARY KEY,
    full_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX allowances_full_at ON allowances (full_at);
