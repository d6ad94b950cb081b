// Package dn reads, writes and compares distinguished names, the names in certificates (RFC 5280 §4.1.2.4).
//
// A name is a sequence of relative names, most significant first: country, organisation, common name. Two spellings of one
// name differ in many ways: in the ASN.1 types of its strings, in case and white space, in how a character is composed; and
// as text (RFC 4514) in the order, the escapes, and the names of its types, which every tool writes as it likes. So names
// are never compared as bytes or as text. [Parse] reads the forms that tools write, [OfSubject] reads a certificate, and
// [Name.Equal] compares the two as X.500 does:
//
//	registered, err := dn.Parse("CN=client-1, O=Example Bank, C=DE")
//	presented, err := dn.OfSubject(certificate)
//	same := registered.Equal(presented)
//
// Reading is strict, as names come from strangers: control characters, which serve only to deceive, are refused, and so are
// names of more than 32 relative names of 8 attributes. [Name.String] escapes what cannot be seen, for logs.
//
// The package knows names only. Whether a certificate with a name is to be trusted is for package mtls.
package dn

import (
	"bytes"
	"crypto/x509"
	"encoding/asn1"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// MaxSize bounds the text of a name, in bytes.
const MaxSize = 4096

// Limits on distinguished names.
const (
	maxRDNs       = 32
	maxAttributes = 8
)

// ErrMalformed is a name that is not well formed or exceeds a limit. Errors of this package wrap it. Package mtls has it
// under the same name.
var ErrMalformed = errors.New("mtls: malformed")

// Name is a distinguished name in the order of the certificate, most significant first. Make one with [Parse] or
// [OfSubject].
type Name []rdn

// rdn is a relative distinguished name: a set of attributes, mostly of one.
type rdn []attribute

// attribute is a type and a value. Values that are strings are compared as text, all others by their DER.
type attribute struct {
	oid string
	// text is the value, prepared for comparison; isText tells it from an empty string.
	text   string
	isText bool
	// value is the text as it was given.
	value string
	der   []byte
}

// Equal compares as distinguishedNameMatch does (RFC 4517 §4.2.15): the same relative names in the same order,
// attributes within one in any order. Strings are compared by caseIgnoreMatch (§4.2.11) after the preparation of
// RFC 4518: without regard to case, to the ASN.1 type of the string, to the amount of white space, and to how a
// character is composed.
func (n Name) Equal(other Name) bool {
	return slices.EqualFunc(n, other, rdn.equal)
}

// TypeOf returns the OID, in dotted form, of an attribute type that is given by a name that [Parse] knows or by its OID.
func TypeOf(name string) (oid string, ok bool) {
	p := parser{text: name}
	oid, err := p.attributeType()
	return oid, err == nil && p.offset == len(name)
}

// Has reports whether the name has an attribute, given by its OID, once and with that text, as caseIgnoreMatch compares it
// (RFC 4517 §4.2.11).
func (n Name) Has(oid, text string) bool {
	wanted, err := prepare(text)
	if err != nil {
		return false
	}
	found := 0
	for _, relative := range n {
		for _, each := range relative {
			if each.oid != oid {
				continue
			}
			if !each.isText || each.text != wanted {
				return false
			}
			found++
		}
	}
	return found == 1
}

// Value returns the first value of an attribute type, given as an OID in dotted form, as it is prepared for comparison; empty
// if there is none, or none that is text.
func (n Name) Value(oid string) string {
	for _, relative := range n {
		for _, attribute := range relative {
			if attribute.oid == oid && attribute.isText {
				return attribute.text
			}
		}
	}
	return ""
}

func (r rdn) equal(other rdn) bool {
	if len(r) != len(other) {
		return false
	}
	left := slices.Clone(other)
	for _, a := range r {
		i := slices.IndexFunc(left, a.equal)
		if i < 0 {
			return false
		}
		left = slices.Delete(left, i, i+1)
	}
	return true
}

func (a attribute) equal(other attribute) bool {
	if a.oid != other.oid || a.isText != other.isText {
		return false
	}
	if a.isText {
		return a.text == other.text
	}
	return bytes.Equal(a.der, other.der)
}

// wireAttribute is AttributeTypeAndValue (RFC 5280 §4.1.2.4). The name of the set type tells encoding/asn1 that it is
// a SET.
type (
	wireAttribute struct {
		Type  asn1.ObjectIdentifier
		Value asn1.RawValue
	}
	wireRDNSET []wireAttribute
)

// OfSubject reads the subject of a certificate. Errors wrap [ErrMalformed]: a NUL or a control character in a value,
// or more than 32 relative names of 8 attributes.
func OfSubject(certificate *x509.Certificate) (Name, error) { return Read(certificate.RawSubject) }

// Read reads the DER of a Name (RFC 5280 §4.1.2.4). Errors are those of [OfSubject].
func Read(der []byte) (Name, error) {
	var wire []wireRDNSET
	if rest, err := asn1.Unmarshal(der, &wire); err != nil || len(rest) > 0 {
		return nil, fmt.Errorf("%w: the subject cannot be read", ErrMalformed)
	}
	if len(wire) > maxRDNs {
		return nil, fmt.Errorf("%w: the subject has more than %d relative names", ErrMalformed, maxRDNs)
	}
	name := make(Name, 0, len(wire))
	for _, set := range wire {
		if len(set) > maxAttributes {
			return nil, fmt.Errorf("%w: a relative name has more than %d attributes", ErrMalformed, maxAttributes)
		}
		relative := make(rdn, 0, len(set))
		for _, pair := range set {
			value, err := attributeOf(pair.Type.String(), pair.Value)
			if err != nil {
				return nil, err
			}
			relative = append(relative, value)
		}
		name = append(name, relative)
	}
	return name, nil
}

// attributeOf makes an attribute from the DER of its value.
func attributeOf(oid string, value asn1.RawValue) (attribute, error) {
	made := attribute{oid: oid, der: value.FullBytes}
	if value.Class != asn1.ClassUniversal || value.IsCompound {
		return made, nil
	}
	text, ok := decodeText(value.Tag, value.Bytes)
	if !ok {
		return made, nil
	}
	return textAttribute(oid, text)
}

// textAttribute makes an attribute from the text of its value.
func textAttribute(oid, value string) (attribute, error) {
	text, err := prepare(value)
	return attribute{oid: oid, text: text, isText: true, value: value}, err
}

// decodeText reads the string types of ASN.1. What is not one of them, or not validly encoded, is no text.
func decodeText(tag int, value []byte) (string, bool) {
	switch tag {
	case asn1.TagUTF8String:
		return string(value), utf8.Valid(value)
	case asn1.TagT61String:
		return latin1(value)
	case asn1.TagPrintableString, asn1.TagIA5String, asn1.TagNumericString, tagVisibleString:
		isASCII := !slices.ContainsFunc(value, func(b byte) bool { return b >= utf8.RuneSelf })
		return string(value), isASCII
	case asn1.TagBMPString:
		if len(value)%2 != 0 {
			return "", false
		}
		units := make([]uint16, 0, len(value)/2)
		for i := 0; i < len(value); i += 2 {
			unit := binary.BigEndian.Uint16(value[i:])
			if utf16.IsSurrogate(rune(unit)) {
				return "", false // BMPString holds the basic plane only
			}
			units = append(units, unit)
		}
		return string(utf16.Decode(units)), true
	case tagUniversalString:
		if len(value)%4 != 0 {
			return "", false
		}
		var text strings.Builder
		for i := 0; i < len(value); i += 4 {
			r := binary.BigEndian.Uint32(value[i:])
			if r > unicode.MaxRune || !utf8.ValidRune(rune(r)) {
				return "", false
			}
			text.WriteRune(rune(r))
		}
		return text.String(), true
	}
	return "", false
}

// latin1 reads a T61String as ISO 8859-1, as OpenSSL, Java, .NET and Go do, and with them whoever makes one: T.61 itself is
// in no use. Where that has control characters it is no text.
func latin1(value []byte) (string, bool) {
	runes := make([]rune, len(value))
	for i, b := range value {
		if b >= 0x80 && b <= 0x9f {
			return "", false
		}
		runes[i] = rune(b)
	}
	return string(runes), true
}

// Tags that encoding/asn1 has no name for.
const (
	tagVisibleString   = 26
	tagUniversalString = 28
)
