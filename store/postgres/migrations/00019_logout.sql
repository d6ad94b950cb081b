-- compatible: 3
-- +goose Up
-- What a session is called to clients: not the secret of its cookie. Sessions of the release before have none.
ALTER TABLE sessions ADD COLUMN sid text COLLATE "C" NOT NULL DEFAULT '';
CREATE INDEX sessions_sid ON sessions (sid);

-- The clients that got an ID token in a session and are to be told of its end; sub is what they call the user.
CREATE TABLE session_clients (
    sid        text COLLATE "C" NOT NULL,
    client_id  text COLLATE "C" NOT NULL,
    sub        text COLLATE "C" NOT NULL,
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (sid, client_id)
);
CREATE INDEX session_clients_expires_at ON session_clients (expires_at);

-- The notices of ended sessions that clients have not got yet.
CREATE TABLE logouts (
    sid        text COLLATE "C" NOT NULL,
    client_id  text COLLATE "C" NOT NULL,
    sub        text COLLATE "C" NOT NULL,
    attempts   integer NOT NULL,
    due_at     timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (sid, client_id)
);
CREATE INDEX logouts_due_at ON logouts (due_at);
