-- compatible: 3
-- +goose Up
-- What a directory of participants knows a client by, and why it keeps the client from being served.
ALTER TABLE clients ADD COLUMN directory TEXT NOT NULL DEFAULT '';
ALTER TABLE clients ADD COLUMN directory_organisation TEXT NOT NULL DEFAULT '';
ALTER TABLE clients ADD COLUMN directory_software TEXT NOT NULL DEFAULT '';
ALTER TABLE clients ADD COLUMN directory_subject TEXT NOT NULL DEFAULT '';
ALTER TABLE clients ADD COLUMN suspended TEXT NOT NULL DEFAULT '';
-- When the directory said whether it is suspended.
ALTER TABLE clients ADD COLUMN standing_at INTEGER;
CREATE INDEX clients_directory ON clients (directory, directory_software) WHERE directory <> '';

-- What directories published last.
CREATE TABLE directory_documents (
    directory  TEXT    NOT NULL,
    kind       TEXT    NOT NULL,
    body       BLOB    NOT NULL,
    fetched_at INTEGER NOT NULL,
    PRIMARY KEY (directory, kind)
) STRICT, WITHOUT ROWID;
