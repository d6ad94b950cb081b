-- compatible: 3
-- +goose Up
-- What each node has answered in each hour, for reports of availability; see store.ServiceHour.
CREATE TABLE service_hours (
    hour     INTEGER NOT NULL,
    endpoint TEXT    NOT NULL,
    node     TEXT    NOT NULL,
    requests INTEGER NOT NULL,
    refused  INTEGER NOT NULL,
    failed   INTEGER NOT NULL,
    -- In microseconds.
    took     INTEGER NOT NULL,
    le_10ms  INTEGER NOT NULL,
    le_25ms  INTEGER NOT NULL,
    le_50ms  INTEGER NOT NULL,
    le_100ms INTEGER NOT NULL,
    le_250ms INTEGER NOT NULL,
    le_500ms INTEGER NOT NULL,
    le_1s    INTEGER NOT NULL,
    le_2s5   INTEGER NOT NULL,
    le_5s    INTEGER NOT NULL,
    slower   INTEGER NOT NULL,
    -- A bit for each minute in which the node was ready.
    minutes  INTEGER NOT NULL,
    PRIMARY KEY (hour, endpoint, node)
) STRICT, WITHOUT ROWID;
