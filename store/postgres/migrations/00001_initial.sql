-- +goose Up
-- Objects are json and not jsonb: they are kept as their owners encoded them. There are no foreign keys: a verb
-- looks at the grant itself, and expired rows go in any order.

CREATE TABLE requests (
    id          bytea       NOT NULL PRIMARY KEY,
    client_id   text        NOT NULL,
    parameters  json,
    created_at  timestamptz NOT NULL,
    expires_at  timestamptz NOT NULL,
    finished_at timestamptz,
    -- When the row may go: some time after expires_at, and not before its interactions have ended.
    purge_at    timestamptz NOT NULL
);
CREATE INDEX requests_purge_at ON requests (purge_at);

CREATE TABLE sessions (
    id         bytea       NOT NULL PRIMARY KEY,
    subject    text        NOT NULL,
    auth_time  timestamptz NOT NULL,
    acr        text        NOT NULL,
    amr        text[],
    expires_at timestamptz NOT NULL
);
CREATE INDEX sessions_expires_at ON sessions (expires_at);

CREATE TABLE interactions (
    id               bytea       NOT NULL PRIMARY KEY,
    request_id       bytea       NOT NULL,
    browser          bytea       NOT NULL,
    session_id       bytea,
    sign_in_failures integer     NOT NULL,
    created_at       timestamptz NOT NULL,
    expires_at       timestamptz NOT NULL
);
CREATE INDEX interactions_expires_at ON interactions (expires_at);

CREATE TABLE grants (
    id         text COLLATE "C" NOT NULL PRIMARY KEY,
    client_id  text        NOT NULL,
    subject    text        NOT NULL,
    scopes     text[],
    detail     json,
    auth_time  timestamptz,
    acr        text        NOT NULL,
    amr        text[],
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    revoked_at timestamptz
);
CREATE INDEX grants_expires_at ON grants (expires_at);

CREATE TABLE codes (
    id           bytea       NOT NULL PRIMARY KEY,
    grant_id     text COLLATE "C" NOT NULL,
    client_id    text        NOT NULL,
    redirect_uri text        NOT NULL,
    challenge    text        NOT NULL,
    jkt          text        NOT NULL,
    created_at   timestamptz NOT NULL,
    expires_at   timestamptz NOT NULL,
    spent_at     timestamptz,
    failures     integer     NOT NULL
);
CREATE INDEX codes_expires_at ON codes (expires_at);

CREATE TABLE access_tokens (
    id         bytea       NOT NULL PRIMARY KEY,
    grant_id   text COLLATE "C" NOT NULL,
    expires_at timestamptz NOT NULL
);
CREATE INDEX access_tokens_expires_at ON access_tokens (expires_at);

CREATE TABLE refresh_tokens (
    id         bytea       NOT NULL PRIMARY KEY,
    grant_id   text COLLATE "C" NOT NULL,
    client_id  text        NOT NULL,
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    revoked_at timestamptz
);
CREATE INDEX refresh_tokens_expires_at ON refresh_tokens (expires_at);

CREATE TABLE uses (
    kind  text COLLATE "C" NOT NULL,
    key   bytea       NOT NULL,
    until timestamptz NOT NULL,
    PRIMARY KEY (kind, key)
);
CREATE INDEX uses_until ON uses (until);

CREATE TABLE clients (
    id         text COLLATE "C" NOT NULL PRIMARY KEY,
    profile    text        NOT NULL,
    metadata   json,
    disabled   boolean     NOT NULL,
    version    integer     NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL
);

CREATE TABLE users (
    subject    text COLLATE "C" NOT NULL PRIMARY KEY,
    username   text COLLATE "C" NOT NULL UNIQUE,
    password   text        NOT NULL,
    claims     json,
    disabled   boolean     NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL
);

CREATE TABLE keys (
    id           text COLLATE "C" NOT NULL PRIMARY KEY,
    algorithm    text        NOT NULL,
    uses         text[],
    state        text        NOT NULL CHECK (state IN ('published', 'active', 'retiring', 'destroyed')),
    uris         text[],
    public       json,
    created_at   timestamptz NOT NULL,
    activated_at timestamptz,
    retired_at   timestamptz
);
