package sqlite

import "context"

// WriterSetting reads a PRAGMA of the connection that writes.
func (s *Store) WriterSetting(name string) (value string, err error) {
	err = s.write(context.Background(), "WriterSetting", single, func(c *connection) error {
		_, err := c.one("PRAGMA "+name, nil, &value)
		return err
	})
	return value, err
}

// Hold keeps the writer busy until release is called, so that the verbs called until then share a transaction.
func (s *Store) Hold() (release func()) {
	held, end := make(chan struct{}), make(chan struct{})
	go func() {
		_ = s.write(context.Background(), "Hold", single, func(*connection) error {
			close(held)
			<-end
			return nil
		})
	}()
	<-held
	return func() { close(end) }
}
