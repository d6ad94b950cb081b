-- compatible: 3
-- +goose Up
CREATE INDEX grants_by_client ON grants (client_id, created_at);
CREATE INDEX grants_by_subject ON grants (subject, created_at);
CREATE INDEX grants_by_date ON grants (created_at);
DROP INDEX grants_client_id;
