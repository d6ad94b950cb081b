package store

import "context"

// Source is a database that is copied as a whole, table by table, into another. No other process uses it during the copy.
type Source interface {
	// Tables lists the tables that hold the store's records, without those that keep the schema.
	Tables(ctx context.Context) ([]string, error)
	// Columns lists those of a table.
	Columns(ctx context.Context, table string) ([]string, error)
	// Rows calls visit for each row of a table: for each column nil, an int64, a string or a []byte.
	Rows(ctx context.Context, table string, columns []string, visit func(row []any) error) error
}

// Copied is what was copied of one table.
type Copied struct {
	Table string
	Rows  int
	// Digest is that of all rows in whatever order, in hexadecimal. It was the same in both databases.
	Digest string
}
