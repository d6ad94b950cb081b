-- compatible: 2
-- +goose Up
CREATE TABLE passkeys (
    id         bytea            NOT NULL PRIMARY KEY,
    subject    text COLLATE "C" NOT NULL,
    public_key bytea            NOT NULL,
    aaguid     bytea            NOT NULL,
    name       text             NOT NULL,
    synced     boolean          NOT NULL,
    sign_count bigint           NOT NULL,
    created_at timestamptz      NOT NULL,
    used_at    timestamptz,
    cloned_at  timestamptz
);
CREATE INDEX passkeys_subject ON passkeys (subject);

CREATE TABLE devices (
    id         text COLLATE "C" NOT NULL PRIMARY KEY,
    subject    text COLLATE "C" NOT NULL,
    name       text             NOT NULL,
    jkt        text COLLATE "C" NOT NULL UNIQUE,
    created_at timestamptz      NOT NULL,
    used_at    timestamptz
);
CREATE INDEX devices_subject ON devices (subject);

CREATE TABLE enrolments (
    id         bytea            NOT NULL PRIMARY KEY,
    subject    text COLLATE "C" NOT NULL UNIQUE,
    created_at timestamptz      NOT NULL,
    expires_at timestamptz      NOT NULL
);
CREATE INDEX enrolments_expires_at ON enrolments (expires_at);

CREATE TABLE subscriptions (
    id         bytea            NOT NULL PRIMARY KEY,
    subject    text COLLATE "C" NOT NULL,
    endpoint   text             NOT NULL,
    key_id     text COLLATE "C" NOT NULL,
    created_at timestamptz      NOT NULL
);
CREATE INDEX subscriptions_subject ON subscriptions (subject);
