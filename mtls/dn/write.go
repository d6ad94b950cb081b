package dn

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// shortNames are how types are written: the names of RFC 4514 §3, and for others those that OpenSSL prints.
var shortNames = map[string]string{
	"2.5.4.3": "CN", "2.5.4.7": "L", "2.5.4.8": "ST", "2.5.4.10": "O", "2.5.4.11": "OU", "2.5.4.6": "C", "2.5.4.9": "STREET",
	"0.9.2342.19200300.100.1.25": "DC", "0.9.2342.19200300.100.1.1": "UID",
	"2.5.4.4": "SN", "2.5.4.5": "serialNumber", "2.5.4.12": "title", "2.5.4.15": "businessCategory", "2.5.4.17": "postalCode",
	"2.5.4.42": "GN", "2.5.4.97": "organizationIdentifier", "1.2.840.113549.1.9.1": "emailAddress",
	"1.3.6.1.4.1.311.60.2.1.1": "jurisdictionL", "1.3.6.1.4.1.311.60.2.1.2": "jurisdictionST", "1.3.6.1.4.1.311.60.2.1.3": "jurisdictionC",
}

// String writes the name as RFC 4514 §2 has it, least significant first. [Parse] reads it as the same name.
func (n Name) String() string {
	relatives := make([]string, 0, len(n))
	for _, relative := range slices.Backward(n) {
		attributes := make([]string, 0, len(relative))
		for _, each := range relative {
			attributes = append(attributes, each.String())
		}
		relatives = append(relatives, strings.Join(attributes, "+"))
	}
	return strings.Join(relatives, ",")
}

// String writes one attribute.
func (a attribute) String() string {
	name, ok := shortNames[a.oid]
	if !ok {
		name = a.oid
	}
	if !a.isText {
		return name + "=#" + hex.EncodeToString(a.der)
	}
	return name + "=" + escapeValue(a.value)
}

// escapeValue escapes what RFC 4514 §2.4 demands, and what cannot be seen, in hexadecimal: names go into logs.
func escapeValue(value string) string {
	var out strings.Builder
	for i, r := range value {
		end := i+utf8.RuneLen(r) == len(value)
		switch {
		case strings.ContainsRune(`"+,;<>\`, r), r == '#' && i == 0, r == ' ' && (i == 0 || end):
			out.WriteByte('\\')
			out.WriteRune(r)
		case !unicode.IsPrint(r):
			for _, b := range []byte(string(r)) {
				fmt.Fprintf(&out, `\%02x`, b)
			}
		default:
			out.WriteRune(r)
		}
	}
	return out.String()
}
