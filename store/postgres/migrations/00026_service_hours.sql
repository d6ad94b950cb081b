-- compatible: 3
-- +goose Up
-- What each node has answered in each hour, for reports of availability; see store.ServiceHour.
CREATE TABLE service_hours (
    hour     timestamptz      NOT NULL,
    endpoint text COLLATE "C" NOT NULL,
    node     text COLLATE "C" NOT NULL,
    requests bigint NOT NULL,
    refused  bigint NOT NULL,
    failed   bigint NOT NULL,
    -- In microseconds.
    took     bigint NOT NULL,
    le_10ms  bigint NOT NULL,
    le_25ms  bigint NOT NULL,
    le_50ms  bigint NOT NULL,
    le_100ms bigint NOT NULL,
    le_250ms bigint NOT NULL,
    le_500ms bigint NOT NULL,
    le_1s    bigint NOT NULL,
    le_2s5   bigint NOT NULL,
    le_5s    bigint NOT NULL,
    slower   bigint NOT NULL,
    -- A bit for each minute in which the node was ready.
    minutes  bigint NOT NULL,
    PRIMARY KEY (hour, endpoint, node)
);
