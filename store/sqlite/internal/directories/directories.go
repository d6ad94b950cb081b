// Package directories keeps what directories of participants say of clients in tables of SQLite.
package directories

import (
	"context"
	"database/sql"
	"time"

	"countersign/store"
	"countersign/store/sqlite/internal/connection"
)

// Directories has the verbs of directories; see [store.Directories].
type Directories struct {
	// Read and Write do the work of a verb that changes nothing, and of one that does.
	Read  func(ctx context.Context, verb string, work func(*connection.Conn) error) error
	Write func(ctx context.Context, verb string, statements connection.Statements, work func(*connection.Conn) error) error
	// Record stores evidence.
	Record func(c *connection.Conn, evidence []store.Evidence) error
	// Moment is the time.
	Moment func() time.Time
}

// DirectoryClients lists the clients of a directory.
func (d Directories) DirectoryClients(ctx context.Context, directory string) (clients []store.DirectoryClient, err error) {
	err = d.Read(ctx, "DirectoryClients", func(c *connection.Conn) error {
		return c.EachOf(`SELECT id, directory_organisation, directory_software, suspended, created_at FROM clients
			WHERE directory = ? AND directory <> '' ORDER BY id`, []any{directory}, func(rows *sql.Rows) error {
			var client store.DirectoryClient
			var created int64
			err := rows.Scan(&client.ID, &client.Organisation, &client.Software, &client.Suspended, &created)
			client.CreatedAt = time.UnixMicro(created).UTC()
			clients = append(clients, client)
			return err
		})
	})
	return clients, err
}

// PutStanding suspends a client or restores it.
func (d Directories) PutStanding(ctx context.Context, standing store.Standing) (changed bool, err error) {
	err = d.Write(ctx, "PutStanding", connection.Several, func(c *connection.Conn) error {
		found, err := c.Exec(`UPDATE clients SET suspended = ?2, standing_at = ?3
			WHERE id = ?1 AND directory <> '' AND suspended <> ?2 AND (standing_at IS NULL OR standing_at <= ?3)`,
			standing.ClientID, standing.Suspended, standing.At.UnixMicro())
		if err != nil {
			return err
		}
		if changed = found > 0; !changed {
			if _, err := c.Exec(`UPDATE clients SET standing_at = ?3 WHERE id = ?1 AND directory <> '' AND suspended = ?2 AND standing_at < ?3`,
				standing.ClientID, standing.Suspended, standing.At.UnixMicro()); err != nil {
				return err
			}
			var there int
			return c.Get(`SELECT 1 FROM clients WHERE id = ? AND directory <> ''`, []any{standing.ClientID}, &there)
		}
		if standing.EndGrants {
			if err := d.end(c, standing.ClientID); err != nil {
				return err
			}
		}
		return d.Record(c, standing.Evidence)
	})
	return changed && err == nil, err
}

// end ends all that was granted to a client.
func (d Directories) end(c *connection.Conn, clientID string) error {
	if _, err := c.Exec(`UPDATE grants SET revoked_at = ?, revoked_by = ? WHERE client_id = ? AND revoked_at IS NULL`,
		d.Moment().UnixMicro(), store.RevokedByServer, clientID); err != nil {
		return err
	}
	_, err := c.Exec(`DELETE FROM consents WHERE client_id = ?`, clientID)
	return err
}

// PutDirectoryDocument stores a document in place of an older one.
func (d Directories) PutDirectoryDocument(ctx context.Context, document store.DirectoryDocument) error {
	return d.Write(ctx, "PutDirectoryDocument", connection.Single, func(c *connection.Conn) error {
		_, err := c.Exec(`INSERT INTO directory_documents (directory, kind, body, fetched_at) VALUES (?, ?, ?, ?)
			ON CONFLICT (directory, kind) DO UPDATE SET body = excluded.body, fetched_at = excluded.fetched_at
			WHERE directory_documents.fetched_at < excluded.fetched_at`,
			document.Directory, document.Kind, document.Body, document.FetchedAt.UnixMicro())
		return err
	})
}

// DirectoryDocument reads a document.
func (d Directories) DirectoryDocument(ctx context.Context, directory, kind string) (document store.DirectoryDocument, err error) {
	var at int64
	err = d.Read(ctx, "DirectoryDocument", func(c *connection.Conn) error {
		return c.Get(`SELECT body, fetched_at FROM directory_documents WHERE directory = ? AND kind = ?`, []any{directory, kind}, &document.Body, &at)
	})
	if err != nil {
		return store.DirectoryDocument{}, err
	}
	document.Directory, document.Kind, document.FetchedAt = directory, kind, time.UnixMicro(at).UTC()
	return document, nil
}
