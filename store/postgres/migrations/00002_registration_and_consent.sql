-- +goose Up
CREATE TABLE consents (
    subject    text COLLATE "C" NOT NULL,
    client_id  text COLLATE "C" NOT NULL,
    scopes     text[],
    claims     text[],
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (subject, client_id)
);
CREATE INDEX consents_client_id ON consents (client_id);
CREATE INDEX consents_expires_at ON consents (expires_at);

CREATE TABLE initial_tokens (
    id           bytea       NOT NULL PRIMARY KEY,
    organisation text COLLATE "C" NOT NULL UNIQUE,
    remaining    integer     NOT NULL,
    created_at   timestamptz NOT NULL,
    expires_at   timestamptz NOT NULL
);

CREATE TABLE seeds (
    name  text COLLATE "C" NOT NULL PRIMARY KEY,
    value bytea NOT NULL
);

ALTER TABLE clients ADD COLUMN access_token bytea;
ALTER TABLE clients ADD COLUMN organisation text COLLATE "C" NOT NULL DEFAULT '';
CREATE INDEX clients_organisation ON clients (organisation) WHERE organisation <> '';
CREATE INDEX grants_client_id ON grants (client_id);
