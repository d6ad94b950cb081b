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

// object writes random data as a careless or hostile client would: members in any order, blanks anywhere, letters escaped or not.
func (d *dice) object(depth int) string {
	blank := func() string { return []string{"", "", " ", "\n\t"}[d.throw(4)] }
	list := func(each func() string) string {
		var values []string
		for range d.throw(4) {
			values = append(values, blank()+each()+blank())
		}
		return "[" + strings.Join(values, ",") + "]"
	}
	names := []string{"a", "b", "list", "rows", "inner"}
	if depth == 0 {
		names = names[:4]
	}
	var members []string
	for range d.throw(5) {
		if len(names) == 0 {
			break
		}
		i := d.throw(len(names))
		name := names[i]
		names = slices.Delete(names, i, i+1)
		var value string
		switch name {
		case "list":
			value = list(d.plain)
		case "rows":
			value = list(func() string { return "{" + blank() + quoted("a", d.throw(3) == 0) + ":" + d.plain() + "}" })
		case "inner":
			value = d.object(depth - 1)
		default:
			value = d.plain()
		}
		members = append(members, blank()+quoted(name, d.throw(3) == 0)+blank()+":"+blank()+value)
	}
	return "{" + strings.Join(members, ",") + blank() + "}"
}

// plain writes a random plain value.
func (d *dice) plain() string {
	switch d.throw(7) {
	case 0:
		return []string{"0", "-1", "1.0", "1e2", "100", "123456789012345678901234567890", "0.1", "-0", "1E-7"}[d.throw(9)]
	case 1:
		return []string{"true", "false", "null"}[d.throw(3)]
	}
	return d.text()
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
