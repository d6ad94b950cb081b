-- compatible: 8
-- +goose Up
-- Nothing: what this step takes away is only in PostgreSQL.
SELECT 1;
