package rar_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// dice are throws that are the same each time.
type dice struct {
	seed  uint64
	count uint64
}

// throw gives a number below n.
func (d *dice) throw(n int) int {
	d.count++
	digest := sha256.Sum256(binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, d.seed), d.count))
	return int(binary.BigEndian.Uint32(digest[:]) % uint32(n))
}

// json writes a random value as a careless or hostile client would: members in any order, blanks anywhere, letters escaped
// or not.
func (d *dice) json(depth int) string {
	blank := func() string { return []string{"", "", " ", "\n\t"}[d.throw(4)] }
	kinds := 9
	if depth == 0 {
		kinds = 7
	}
	switch d.throw(kinds) {
	case 0:
		return []string{"0", "-1", "1.0", "1e2", "100", "123456789012345678901234567890", "0.1", "-0", "1E-7"}[d.throw(9)]
	case 1:
		return []string{"true", "false", "null"}[d.throw(3)]
	case 2, 3, 4, 5, 6:
		return d.text()
	case 7:
		var values []string
		for range d.throw(4) {
			values = append(values, blank()+d.json(depth-1)+blank())
		}
		return "[" + strings.Join(values, ",") + "]"
	}
	names := []string{"a", "A", "b", "amount", "Amount", "creditorName", "ümlaut", "type", "__proto__", "a b", "", "locations", "€"}
	var members []string
	for range d.throw(4) {
		i := d.throw(len(names))
		members = append(members, blank()+quoted(names[i], d.throw(3) == 0)+blank()+":"+blank()+d.json(depth-1))
		names = slices.Delete(names, i, i+1)
	}
	return "{" + strings.Join(members, ",") + blank() + "}"
}

func (d *dice) text() string {
	return quoted([]string{"", "Merchant A", "DE12 3456", "<b>1</b>", "a,b", "none", "true", "1", "Müller & Söhne", "\U0001f600", "a\nb", "\u202eevil", "\u0001", "\"", `\`, "/", "\u2028"}[d.throw(17)], d.throw(3) == 0)
}

// quoted is text as JSON, with every character escaped or with as few as possible.
func quoted(text string, escaped bool) string {
	if !escaped {
		var buffer bytes.Buffer
		encoder := json.NewEncoder(&buffer)
		encoder.SetEscapeHTML(false)
		if err := encoder.Encode(text); err != nil {
			panic(err)
		}
		return strings.TrimSpace(buffer.String())
	}
	var out strings.Builder
	for _, r := range text {
		if r > 0xffff {
			r -= 0x10000
			fmt.Fprintf(&out, `\u%04x\u%04X`, 0xd800+r>>10, 0xdc00+r&0x3ff)
			continue
		}
		fmt.Fprintf(&out, `\u%04x`, r)
	}
	return `"` + out.String() + `"`
}
