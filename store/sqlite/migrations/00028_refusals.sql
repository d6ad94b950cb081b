-- compatible: 3
-- +goose Up
-- Why requests were refused, for a while; see store.Refusal.
CREATE TABLE refusals (
    id             INTEGER PRIMARY KEY,
    correlation_id TEXT    NOT NULL,
    at             INTEGER NOT NULL,
    node           TEXT    NOT NULL,
    client_id      TEXT    NOT NULL,
    method         TEXT    NOT NULL,
    endpoint       TEXT    NOT NULL,
    status         INTEGER NOT NULL,
    code           TEXT    NOT NULL,
    cause          TEXT    NOT NULL
) STRICT;
CREATE INDEX refusals_correlation_id ON refusals (correlation_id);
