-- compatible: 3
-- +goose NO TRANSACTION
-- +goose Up
-- Grants and consents by person, client and date. The indexes are made while nodes write.
DROP INDEX CONCURRENTLY IF EXISTS grants_by_client;
CREATE INDEX CONCURRENTLY grants_by_client ON grants (client_id, created_at);
DROP INDEX CONCURRENTLY IF EXISTS grants_by_subject;
CREATE INDEX CONCURRENTLY grants_by_subject ON grants (subject, created_at);
DROP INDEX CONCURRENTLY IF EXISTS grants_by_date;
CREATE INDEX CONCURRENTLY grants_by_date ON grants (created_at);
DROP INDEX CONCURRENTLY IF EXISTS grants_client_id;
