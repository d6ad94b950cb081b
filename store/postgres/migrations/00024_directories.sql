-- compatible: 3
-- +goose Up
-- What a directory of participants knows a client by, and why it keeps the client from being served.
ALTER TABLE clients ADD COLUMN directory text COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE clients ADD COLUMN directory_organisation text COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE clients ADD COLUMN directory_software text COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE clients ADD COLUMN directory_subject text NOT NULL DEFAULT '';
ALTER TABLE clients ADD COLUMN suspended text NOT NULL DEFAULT '';
-- When the directory said whether it is suspended.
ALTER TABLE clients ADD COLUMN standing_at timestamptz;
CREATE INDEX clients_directory ON clients (directory, directory_software) WHERE directory <> '';

-- What directories published last.
CREATE TABLE directory_documents (
    directory  text COLLATE "C" NOT NULL,
    kind       text COLLATE "C" NOT NULL,
    body       bytea            NOT NULL,
    fetched_at timestamptz      NOT NULL,
    PRIMARY KEY (directory, kind)
);
