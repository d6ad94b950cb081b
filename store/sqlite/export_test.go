package sqlite

import (
	"context"

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
