package backend

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"math/bits"
)

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

// Digest adds up the rows of a table, whatever their order. Two tables with the same rows have the same digest.
type Digest struct {
	Rows int
	sum  [4]uint64
}

// Add adds one row, which is given by the text of each value; a nil pointer is NULL.
func (d *Digest) Add(values []*string) {
	h := sha256.New()
	var length [9]byte
	for _, value := range values {
		length[0] = 0
		binary.BigEndian.PutUint64(length[1:], 0)
		if value != nil {
			length[0] = 1
			binary.BigEndian.PutUint64(length[1:], uint64(len(*value)))
		}
		h.Write(length[:])
		if value != nil {
			h.Write([]byte(*value))
		}
	}
	row := h.Sum(nil)
	var carry uint64
	for i := range d.sum {
		d.sum[i], carry = bits.Add64(d.sum[i], binary.LittleEndian.Uint64(row[8*i:]), carry)
	}
	d.Rows++
}

// String gives the digest in hexadecimal.
func (d *Digest) String() string {
	var sum [32]byte
	for i, word := range d.sum {
		binary.LittleEndian.PutUint64(sum[8*i:], word)
	}
	return hex.EncodeToString(sum[:])
}
