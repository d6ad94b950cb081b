-- compatible: 3
-- +goose Up
-- Evidence waits in the one table, in the transaction of what it is evidence of, until its node appends it to its chain in
-- the other.
CREATE TABLE audit_waiting (
    id    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    chain text NOT NULL,
    at    timestamptz NOT NULL,
    body  text NOT NULL
);
CREATE TABLE audit_log (
    chain    text NOT NULL,
    sequence bigint NOT NULL,
    line     text NOT NULL,
    PRIMARY KEY (chain, sequence)
);
