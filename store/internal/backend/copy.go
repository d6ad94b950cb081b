package backend

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"math/bits"
)

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
