-- compatible: 3
-- +goose Up
-- Evidence waits in the one table, in the transaction of what it is evidence of, until its node appends it to its chain in
-- the other.
CREATE TABLE audit_waiting (
    id    INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    chain TEXT    NOT NULL,
    at    INTEGER NOT NULL,
    body  TEXT    NOT NULL
) STRICT;
CREATE TABLE audit_log (
    chain    TEXT    NOT NULL,
    sequence INTEGER NOT NULL,
    line     TEXT    NOT NULL,
    PRIMARY KEY (chain, sequence)
) STRICT;
