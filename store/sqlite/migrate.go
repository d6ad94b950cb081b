package sqlite

import (
	"context"
	"embed"

	"github.com/pressly/goose/v3"

	"countersign/store"
	"countersign/store/internal/backend"
	"countersign/store/sqlite/internal/dbfile"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Migration is one step of the schema.
type Migration = store.Migration

// SchemaError reports that the file's schema is older or newer than the program.
type SchemaError = store.SchemaError

// ChangedError reports that a step of the schema is not the one that was applied.
type ChangedError = store.ChangedError

func schema() backend.Schema {
	return backend.Schema{
		System:      "sqlite",
		Dialect:     goose.DialectSQLite3,
		Files:       migrations,
		HasVersions: "SELECT count(*) FROM sqlite_schema WHERE name = 'goose_db_version'",
		HasSteps:    "SELECT count(*) FROM sqlite_schema WHERE name = 'schema_steps'",
	}
}

// file is the database file with the program's schema.
func (c Config) file() dbfile.File { return dbfile.File{Name: c.File, Schema: schema()} }

// Migrate brings the schema of config.File up to the program's, making the file if there is none, and returns the
// steps that it applied, none when there was nothing to do. Processes that migrate at once wait for each other.
func Migrate(ctx context.Context, config Config) ([]Migration, error) {
	return config.file().Migrate(ctx)
}

// MigrationStatus lists the program's steps, and any others that the file has, with the time they were applied.
// It changes nothing.
func MigrationStatus(ctx context.Context, config Config) ([]Migration, error) {
	return config.file().Status(ctx)
}
