package database

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"countersign/internal/config"
	"countersign/store/postgres"
	"countersign/store/sqlite"
)

// Progress is called while a database is copied.
type Progress struct {
	// Migrated is called with the number of steps of the schema, if any were applied.
	Migrated func(applied int)
	// Copied is called after each table.
	Copied func(postgres.Copied)
}

// Copy takes everything from an embedded database into the empty PostgreSQL at address, whose schema it makes first. A copy
// that fails leaves an empty database; the embedded one is only read. It returns what was copied of each table.
func Copy(ctx context.Context, file, address string, now func() time.Time, progress Progress) ([]postgres.Copied, error) {
	source, err := sqlite.OpenSource(ctx, sqlite.Config{File: file, Now: now})
	if err != nil {
		return nil, err
	}
	defer source.Close() // it was only read
	settings := postgres.Config{URL: address, Now: now}
	applied, err := postgres.Migrate(ctx, settings)
	if err != nil {
		return nil, err
	}
	if len(applied) > 0 {
		progress.Migrated(len(applied))
	}
	return postgres.Fill(ctx, settings, source, progress.Copied)
}

// SourceFile is the file of sqlite:FILE, which must exist.
func SourceFile(location string) (string, error) {
	file, isFile := strings.CutPrefix(location, "sqlite:")
	if !isFile || file == "" {
		return "", fmt.Errorf("%s: write sqlite: and the name of the database's file", location)
	}
	_, err := os.Stat(file)
	return file, err
}

// TargetURL reads the URL that is in the file of postgres:FILE.
func TargetURL(location string) (string, error) {
	name, isFile := strings.CutPrefix(location, "postgres:")
	if !isFile || name == "" || strings.HasPrefix(name, "//") {
		return "", errors.New("write postgres: and the name of a file that holds the database's URL")
	}
	address, err := config.Secret(name).Read()
	return string(address), err
}

// ConfiguredURL is the URL of the PostgreSQL of a configuration.
func ConfiguredURL(c *config.Config, now func() time.Time) (string, error) {
	if c.Store.Driver != "postgres" {
		return "", errors.New("the configured store is not PostgreSQL: give --to postgres:FILE, or set store.driver and store.url_file first")
	}
	address, err := c.Store.URL.Read()
	if err != nil {
		return "", fmt.Errorf("store.url_file: %w", err)
	}
	return newPassword(c, now).in(string(address))
}
