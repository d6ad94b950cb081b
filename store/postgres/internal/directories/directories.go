// Package directories keeps what directories of participants say of clients in tables of PostgreSQL.
package directories

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"countersign/store"
	"countersign/store/postgres/internal/named"
	"countersign/store/postgres/internal/pool"
)

// Directories has the verbs of directories; see [store.Directories].
type Directories struct {
	Statements *named.Statements
	// Run and Read do the work of a verb that writes, and of one that changes nothing.
	Run, Read func(ctx context.Context, verb string, work pool.Work) error
	// Moment is the database's time with the precision that is stored.
	Moment func() time.Time
}

// DirectoryClients lists the clients of a directory.
func (d Directories) DirectoryClients(ctx context.Context, directory string) (clients []store.DirectoryClient, err error) {
	err = d.Read(ctx, "DirectoryClients", func(ctx context.Context, c *pgx.Conn) error {
		rows, err := c.Query(ctx, `SELECT id, directory_organisation, directory_software, suspended, created_at FROM clients
			WHERE directory = $1 AND directory <> '' ORDER BY id`, directory)
		if err != nil {
			return err
		}
		clients, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (client store.DirectoryClient, err error) {
			err = row.Scan(&client.ID, &client.Organisation, &client.Software, &client.Suspended, &client.CreatedAt)
			client.CreatedAt = client.CreatedAt.UTC()
			return client, err
		})
		return err
	})
	return clients, err
}

// PutStanding suspends a client or restores it.
func (d Directories) PutStanding(ctx context.Context, standing store.Standing) (changed bool, err error) {
	arguments := d.Statements.Arguments(pgx.StrictNamedArgs{
		"id": standing.ClientID, "suspended": standing.Suspended, "at": standing.At, "end_grants": standing.EndGrants, "now": d.Moment(),
		"by": store.RevokedByServer,
	}).Evidence(standing.Evidence)
	err = d.Run(ctx, "PutStanding", func(ctx context.Context, c *pgx.Conn) error {
		var found bool
		if err := c.QueryRow(ctx, `WITH changed AS (
				UPDATE clients SET suspended = @suspended, standing_at = @at
				WHERE id = @id AND directory <> '' AND suspended <> @suspended AND (standing_at IS NULL OR standing_at <= @at) RETURNING id
			), confirmed AS (
				UPDATE clients SET standing_at = @at WHERE id = @id AND directory <> '' AND suspended = @suspended AND standing_at < @at
			), grants_ended AS (
				UPDATE grants g SET revoked_at = @now, revoked_by = @by FROM changed WHERE @end_grants::boolean AND g.client_id = changed.id AND g.revoked_at IS NULL
			), consents_deleted AS (
				DELETE FROM consents k USING changed WHERE @end_grants AND k.client_id = changed.id
			), evidence AS (`+named.InsertEvidence+` CROSS JOIN changed
			) SELECT EXISTS (SELECT FROM clients WHERE id = @id AND directory <> ''), EXISTS (SELECT FROM changed)`, arguments).
			Scan(&found, &changed); err != nil {
			return err
		}
		if !found {
			return store.ErrNotFound
		}
		return nil
	})
	return changed, err
}

// PutDirectoryDocument stores a document in place of an older one.
func (d Directories) PutDirectoryDocument(ctx context.Context, document store.DirectoryDocument) error {
	arguments := d.Statements.Arguments(pgx.StrictNamedArgs{
		"directory": document.Directory, "kind": document.Kind, "body": document.Body, "fetched_at": document.FetchedAt,
	})
	return d.Run(ctx, "PutDirectoryDocument", func(ctx context.Context, c *pgx.Conn) error {
		_, err := c.Exec(ctx, `INSERT INTO directory_documents (directory, kind, body, fetched_at) VALUES (@directory, @kind, @body, @fetched_at)
			ON CONFLICT (directory, kind) DO UPDATE SET body = excluded.body, fetched_at = excluded.fetched_at
			WHERE directory_documents.fetched_at < excluded.fetched_at`, arguments)
		return err
	})
}

// DirectoryDocument reads a document.
func (d Directories) DirectoryDocument(ctx context.Context, directory, kind string) (document store.DirectoryDocument, err error) {
	err = d.Read(ctx, "DirectoryDocument", func(ctx context.Context, c *pgx.Conn) error {
		err := c.QueryRow(ctx, `SELECT body, fetched_at FROM directory_documents WHERE directory = $1 AND kind = $2`, directory, kind).
			Scan(&document.Body, &document.FetchedAt)
		if errors.Is(err, pgx.ErrNoRows) {
			return store.ErrNotFound
		}
		document.Directory, document.Kind, document.FetchedAt = directory, kind, document.FetchedAt.UTC()
		return err
	})
	if err != nil {
		return store.DirectoryDocument{}, err
	}
	return document, nil
}
