-- compatible: 2
-- +goose Up
-- What was applied, so that a step which was changed afterwards is noticed, and so that an older program can tell whether
-- it may go on with the database. compatible is the version of the oldest program that works with the step.
CREATE TABLE schema_steps (
    version    bigint NOT NULL PRIMARY KEY,
    digest     text NOT NULL,
    compatible bigint NOT NULL
);
