-- compatible: 3
-- +goose Up
-- Each of these indexes was read by nothing but the removal of what has ended, and cost every flow an insertion and a removal.
-- What has ended is found by walking through the tables instead, a part at a time (see sweep.go). Programs of the release before
-- go on: they look through the whole table.
DROP INDEX uses_until;
DROP INDEX requests_purge_at;
DROP INDEX interactions_expires_at;
DROP INDEX codes_expires_at;
DROP INDEX access_tokens_expires_at;
DROP INDEX refresh_tokens_expires_at;
DROP INDEX grants_expires_at;

-- What verbs look for by a user, a client or a date and had no index for.
CREATE INDEX sessions_subject ON sessions (subject);
CREATE INDEX backchannel_requests_by_subject ON backchannel_requests (subject, decided_at);
DROP INDEX backchannel_requests_subject;
CREATE INDEX consents_by_client ON consents (client_id, created_at);
DROP INDEX consents_client_id;
CREATE INDEX consents_by_date ON consents (created_at);
CREATE INDEX backchannel_standings_denied ON backchannel_standings (coalesce(denied_at, 0)) WHERE blocked_at IS NULL;
