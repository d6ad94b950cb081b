package sqlite

import (
	"encoding/json"
	"fmt"
	"time"

	"countersign/store"
)

// Arguments: how values go in. NULL represents what is unset.

func micros(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UnixMicro()
}

func digestOrNull(d store.Digest) any {
	if d.Zero() {
		return nil
	}
	return d[:]
}

func text(raw json.RawMessage) any {
	if raw == nil {
		return nil
	}
	return string(raw)
}

func list(values []string) any {
	if values == nil {
		return nil
	}
	encoded, err := json.Marshal(values)
	if err != nil {
		panic("sqlite: a list of strings cannot be encoded: " + err.Error()) // impossible
	}
	return string(encoded)
}

// Fields: where values come out. Each is a sql.Scanner for one kind of column.

type timeField struct{ t *time.Time }

func (f timeField) Scan(source any) error {
	switch v := source.(type) {
	case nil:
		*f.t = time.Time{}
	case int64:
		*f.t = time.UnixMicro(v).UTC()
	default:
		return fmt.Errorf("a time is stored as %T", source)
	}
	return nil
}

type durationField struct{ d *time.Duration }

func (f durationField) Scan(source any) error {
	v, ok := source.(int64)
	if !ok {
		return fmt.Errorf("a duration is stored as %T", source)
	}
	*f.d = time.Duration(v) * time.Microsecond
	return nil
}

type digestField struct{ d *store.Digest }

func (f digestField) Scan(source any) error {
	switch v := source.(type) {
	case nil:
		*f.d = store.Digest{}
	case []byte:
		if len(v) != len(f.d) {
			return fmt.Errorf("a digest is stored with %d bytes", len(v))
		}
		copy(f.d[:], v)
	default:
		return fmt.Errorf("a digest is stored as %T", source)
	}
	return nil
}

type listField struct{ values *[]string }

func (f listField) Scan(source any) error {
	switch v := source.(type) {
	case nil:
		*f.values = nil
		return nil
	case string:
		return json.Unmarshal([]byte(v), f.values)
	}
	return fmt.Errorf("a list is stored as %T", source)
}

func textField(raw *json.RawMessage) *[]byte { return (*[]byte)(raw) }
