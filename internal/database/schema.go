package database

import (
	"context"

	"countersign/store/sqlite"
)

// Steps are the steps of the schema that this program works with. Both kinds of databases count them alike.
type Steps struct {
	// Newest is the one that it makes and needs.
	Newest int64 `json:"newest"`
	// Oldest is that of the oldest release that can go on with the newest.
	Oldest int64 `json:"oldest"`
}

// Schema returns the steps that were built in, without any database. It fails in a build without cgo.
func Schema(ctx context.Context) (Steps, error) {
	known, err := sqlite.MigrationStatus(ctx, sqlite.Config{}) // no file, and so none that has steps of its own
	if err != nil {
		return Steps{}, err
	}
	var s Steps
	for _, step := range known {
		s.Newest, s.Oldest = max(s.Newest, step.Version), max(s.Oldest, step.Compatible)
	}
	return s, nil
}
