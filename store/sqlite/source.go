package sqlite

import (
	"context"
	"io"

	"countersign/store"
)

// Source is a database that is read as a whole, to be copied elsewhere. While it is open no other process can open it.
type Source interface {
	store.Source
	io.Closer
}

// OpenSource opens a database that no server uses, and keeps others from it. It refuses one that is open elsewhere with
// [ErrInUse], and one with another schema with a [SchemaError].
func OpenSource(ctx context.Context, config Config) (Source, error) {
	s, err := config.file().Source(ctx)
	if err != nil {
		return nil, err
	}
	return s, nil
}
