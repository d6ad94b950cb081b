package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"slices"
	"strings"

	"countersign/store/sqlite/internal/connection"
)

// WriterSetting reads a PRAGMA of the connection that writes.
func (s *Store) WriterSetting(name string) (value string, err error) {
	err = s.write(context.Background(), "WriterSetting", connection.Single, func(c *connection.Conn) error {
		_, err := c.One("PRAGMA "+name, nil, &value)
		return err
	})
	return value, err
}

// Hold keeps the writer busy until release is called, so that the verbs called until then share a transaction.
func (s *Store) Hold() (release func()) {
	held, end := make(chan struct{}), make(chan struct{})
	go func() {
		_ = s.write(context.Background(), "Hold", connection.Single, func(*connection.Conn) error {
			close(held)
			<-end
			return nil
		})
	}()
	<-held
	return func() { close(end) }
}

// Statements lists what the connections of the store have prepared so far.
func (s *Store) Statements(ctx context.Context) (all []string) {
	gather := func(c *connection.Conn) error {
		all = append(all, c.Statements()...)
		return nil
	}
	_ = s.writer.Do(ctx, connection.Reading, gather)
	for range s.readers.Size() {
		_ = s.readers.With(ctx, gather) // they are handed out in turn
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// Plan is how SQLite does a statement.
func (s *Store) Plan(ctx context.Context, query string) (plan []string, err error) {
	err = s.readers.With(ctx, func(c *connection.Conn) error {
		parameters := 0
		if err := c.Raw().Raw(func(raw any) error {
			statement, err := raw.(driver.Conn).Prepare(query)
			if err != nil {
				return err
			}
			parameters = statement.NumInput()
			return statement.Close()
		}); err != nil {
			return err
		}
		return c.EachOf("EXPLAIN QUERY PLAN "+query, make([]any, parameters), func(rows *sql.Rows) error {
			var id, parent, unused int
			var detail string
			err := rows.Scan(&id, &parent, &unused, &detail)
			plan = append(plan, strings.TrimSpace(detail))
			return err
		})
	})
	return plan, err
}

// Swept lists the tables that are swept, each with the columns of its key and that of its end.
func Swept() (all [][3]string) {
	for _, t := range sweptTables(0) {
		all = append(all, [3]string{t.Name, strings.Join(t.Key, ", "), t.Ends})
	}
	return all
}

// Count counts the rows of a query that begins after FROM.
func (s *Store) Count(ctx context.Context, from string) (count int, err error) {
	err = s.readers.With(ctx, func(c *connection.Conn) error {
		_, err := c.One("SELECT count(*) FROM "+from, nil, &count)
		return err
	})
	return count, err
}
