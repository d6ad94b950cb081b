-- compatible: 3
-- +goose Up
-- Up to what time used values were removed: what ended before may have been used (see purge.go).
CREATE TABLE clock (
    id     INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    purged INTEGER NOT NULL
) STRICT;
INSERT INTO clock (id, purged) VALUES (1, 0);
