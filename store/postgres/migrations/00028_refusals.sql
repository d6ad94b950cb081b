-- compatible: 3
-- +goose Up
-- Why requests were refused, for a while; see store.Refusal.
CREATE TABLE refusals (
    id             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    correlation_id text COLLATE "C" NOT NULL,
    at             timestamptz      NOT NULL,
    node           text COLLATE "C" NOT NULL,
    client_id      text COLLATE "C" NOT NULL,
    method         text COLLATE "C" NOT NULL,
    endpoint       text COLLATE "C" NOT NULL,
    status         integer          NOT NULL,
    code           text COLLATE "C" NOT NULL,
    cause          text             NOT NULL
);
CREATE INDEX refusals_correlation_id ON refusals (correlation_id);
