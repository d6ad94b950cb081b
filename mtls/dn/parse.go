package dn

import (
	"encoding/asn1"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// attributeTypes are the short and long names of attribute types in lower case: RFC 4519 §2, RFC 4514 §3, and what
// OpenSSL, Java, .NET and Bouncy Castle write. SN is surname, as in RFC 4519; some old tools mean serialNumber.
var attributeTypes = map[string]string{
	"cn": "2.5.4.3", "commonname": "2.5.4.3",
	"sn": "2.5.4.4", "surname": "2.5.4.4",
	"serialnumber": "2.5.4.5",
	"c":            "2.5.4.6", "countryname": "2.5.4.6",
	"l": "2.5.4.7", "localityname": "2.5.4.7",
	"st": "2.5.4.8", "s": "2.5.4.8", "sp": "2.5.4.8", "stateorprovincename": "2.5.4.8",
	"street": "2.5.4.9", "streetaddress": "2.5.4.9",
	"o": "2.5.4.10", "organizationname": "2.5.4.10",
	"ou": "2.5.4.11", "organizationalunitname": "2.5.4.11",
	"t": "2.5.4.12", "title": "2.5.4.12",
	"description":      "2.5.4.13",
	"businesscategory": "2.5.4.15",
	"postaladdress":    "2.5.4.16",
	"postalcode":       "2.5.4.17",
	"pobox":            "2.5.4.18", "postofficebox": "2.5.4.18",
	"phone": "2.5.4.20", "telephonenumber": "2.5.4.20",
	"name": "2.5.4.41",
	"g":    "2.5.4.42", "gn": "2.5.4.42", "givenname": "2.5.4.42",
	"i": "2.5.4.43", "initials": "2.5.4.43",
	"generation": "2.5.4.44", "generationqualifier": "2.5.4.44",
	"x500uniqueidentifier": "2.5.4.45",
	"dnq":                  "2.5.4.46", "dnqualifier": "2.5.4.46",
	"pseudonym":              "2.5.4.65",
	"role":                   "2.5.4.72",
	"organizationidentifier": "2.5.4.97",
	"uid":                    "0.9.2342.19200300.100.1.1", "userid": "0.9.2342.19200300.100.1.1",
	"mail": "0.9.2342.19200300.100.1.3", "rfc822mailbox": "0.9.2342.19200300.100.1.3",
	"dc": "0.9.2342.19200300.100.1.25", "domaincomponent": "0.9.2342.19200300.100.1.25",
	"e": "1.2.840.113549.1.9.1", "email": "1.2.840.113549.1.9.1", "emailaddress": "1.2.840.113549.1.9.1",
	"unstructuredname":    "1.2.840.113549.1.9.2",
	"unstructuredaddress": "1.2.840.113549.1.9.8",
	"jurisdictionl":       "1.3.6.1.4.1.311.60.2.1.1", "jurisdictionlocalityname": "1.3.6.1.4.1.311.60.2.1.1",
	"jurisdictionst": "1.3.6.1.4.1.311.60.2.1.2", "jurisdictionstateorprovincename": "1.3.6.1.4.1.311.60.2.1.2",
	"jurisdictionc": "1.3.6.1.4.1.311.60.2.1.3", "jurisdictioncountryname": "1.3.6.1.4.1.311.60.2.1.3",
}

// Parse reads the string form of a distinguished name (RFC 4514 §3), which begins with the least significant part.
// Attribute types are the usual names, in any case, or dotted numbers; values are strings with escapes or # and the
// hexadecimal DER. Older forms are read too (RFC 2253 §4, RFC 1779): spaces around the separators, semicolons for commas,
// values in quotes, OID. before a dotted number. A name that begins with a slash is in OpenSSL's old form,
// /C=BR/O=Bank/CN=client, whose order is that of the certificate. No other form is read in that order: see
// [Name.Reversed]. Errors wrap [ErrMalformed].
func Parse(text string) (Name, error) {
	if len(text) > MaxSize {
		return nil, fmt.Errorf("%w: a distinguished name may have %d bytes", ErrMalformed, MaxSize)
	}
	p := parser{text: text}
	if p.spaces(); p.peek() == '/' {
		return p.slashForm()
	}
	name, err := list(&p, p.relativeName, ",;", maxRDNs, "relative names")
	if err != nil {
		return nil, err
	}
	if p.offset != len(text) {
		return nil, p.errorf("a character that must be escaped")
	}
	slices.Reverse(name)
	return name, nil
}

// Reversed is the name with its parts in the opposite order.
func (n Name) Reversed() Name {
	reversed := slices.Clone(n)
	slices.Reverse(reversed)
	return reversed
}

// SeemsReversed reports whether the name looks as if it had been written in the order of the certificate and read in
// that of RFC 4514: its least significant part is a country or a domain, and its most significant one is not. There
// are certificates that are made so; it is a reason to look twice and none to refuse.
func (n Name) SeemsReversed() bool {
	return len(n) > 1 && n[len(n)-1].isTop() && !n[0].isTop()
}

// isTop reports whether a relative name is one that names begin with.
func (r rdn) isTop() bool {
	return len(r) == 1 && (r[0].oid == attributeTypes["c"] || r[0].oid == attributeTypes["dc"])
}

type parser struct {
	text   string
	offset int
}

func (p *parser) errorf(format string, arguments ...any) error {
	return fmt.Errorf("%w: distinguished name, byte %d: %s", ErrMalformed, p.offset, fmt.Sprintf(format, arguments...))
}

func (p *parser) peek() byte {
	if p.offset < len(p.text) {
		return p.text[p.offset]
	}
	return 0
}

func (p *parser) consume(b byte) bool {
	if p.peek() != b || p.offset == len(p.text) {
		return false
	}
	p.offset++
	return true
}

func (p *parser) spaces() {
	for p.consume(' ') {
	}
}

// list reads items, most of them at most, with one of the separators between each two.
func list[T any](p *parser, item func() (T, error), separators string, most int, what string) ([]T, error) {
	var items []T
	for {
		one, err := item()
		if err != nil {
			return nil, err
		}
		if items = append(items, one); len(items) > most {
			return nil, p.errorf("more than %d %s", most, what)
		}
		if p.offset == len(p.text) || strings.IndexByte(separators, p.peek()) < 0 {
			return items, nil
		}
		p.offset++
	}
}

func (p *parser) relativeName() (rdn, error) {
	return list(p, p.attribute, "+", maxAttributes, "attributes in one relative name")
}

func (p *parser) attribute() (attribute, error) {
	p.spaces()
	oid, err := p.attributeType()
	if err != nil {
		return attribute{}, err
	}
	p.spaces()
	if !p.consume('=') {
		return attribute{}, p.errorf("an equals sign is missing")
	}
	p.spaces()
	if p.consume('#') {
		return p.hexValue(oid)
	}
	read := p.stringValue
	if p.consume('"') {
		read = p.quotedValue
	}
	text, err := read()
	if err != nil {
		return attribute{}, err
	}
	return textAttribute(oid, text)
}

// attributeType reads a name or a dotted number and gives the dotted number.
func (p *parser) attributeType() (string, error) {
	start := p.offset
	for isTypeByte(p.peek()) {
		p.offset++
	}
	name := strings.ToLower(p.text[start:p.offset])
	if oid, ok := attributeTypes[name]; ok {
		return oid, nil
	}
	if number := strings.TrimPrefix(name, "oid."); isOID(number) { // RFC 2253 §4
		return number, nil
	}
	p.offset = start
	if name == "subject" || name == "issuer" {
		return "", p.errorf("leave out %s=, which is no part of the name", name)
	}
	return "", p.errorf("an unknown attribute type; use its dotted number")
}

// isTypeByte reports whether b may be in an attribute type (RFC 4512 §1.4).
func isTypeByte(b byte) bool {
	return 'a' <= b|0x20 && b|0x20 <= 'z' || '0' <= b && b <= '9' || b == '.' || b == '-'
}

// isOID accepts a dotted number of at least two arcs without leading zeros (RFC 4512 §1.4).
func isOID(name string) bool {
	arcs := strings.Split(name, ".")
	for _, arc := range arcs {
		number, err := strconv.ParseUint(arc, 10, 31)
		if err != nil || strconv.FormatUint(number, 10) != arc {
			return false
		}
	}
	return len(arcs) > 1
}

// hexValue reads the DER of a value (RFC 4514 §2.4). The # is consumed.
func (p *parser) hexValue(oid string) (attribute, error) {
	start := p.offset
	for isHex(p.peek()) {
		p.offset++
	}
	der, err := hex.DecodeString(p.text[start:p.offset])
	if err != nil {
		return attribute{}, p.errorf("an odd number of hexadecimal digits")
	}
	var value asn1.RawValue
	if rest, err := asn1.Unmarshal(der, &value); err != nil || len(rest) > 0 {
		return attribute{}, p.errorf("the hexadecimal digits are not one DER value")
	}
	p.spaces()
	return attributeOf(oid, value)
}

// stringValue reads a value with its escapes (RFC 4514 §2.4, §3), without the spaces after it that are not escaped.
func (p *parser) stringValue() (string, error) {
	var value strings.Builder
	kept := 0
	for p.offset < len(p.text) {
		switch b := p.text[p.offset]; b {
		case ',', ';', '+':
			return utf8Value(p, value.String()[:kept])
		case '"', '<', '>', 0:
			return "", p.errorf("a character that must be escaped")
		case '\\':
			escaped, err := p.escape()
			if err != nil {
				return "", err
			}
			value.WriteByte(escaped)
			kept = value.Len()
		default:
			value.WriteByte(b)
			p.offset++
			if b != ' ' {
				kept = value.Len()
			}
		}
	}
	return utf8Value(p, value.String()[:kept])
}

// quotedValue reads a value in quotes (RFC 2253 §4). The first quote is consumed. In it only quotes and backslashes
// are special; .NET doubles a quote instead of escaping it.
func (p *parser) quotedValue() (string, error) {
	var value strings.Builder
	for p.offset < len(p.text) {
		switch b := p.text[p.offset]; b {
		case 0:
			return "", p.errorf("a character that must be escaped")
		case '\\':
			escaped, err := p.escape()
			if err != nil {
				return "", err
			}
			value.WriteByte(escaped)
		case '"':
			p.offset++
			if p.consume('"') {
				value.WriteByte('"')
				continue
			}
			p.spaces()
			return utf8Value(p, value.String())
		default:
			value.WriteByte(b)
			p.offset++
		}
	}
	return "", p.errorf("a quote that does not end")
}

// slashForm reads what OpenSSL's X509_NAME_oneline writes: /type=value for each part, most significant first, +type=value
// for more attributes of the same part. Separators are only those before a type and an equals sign; OpenSSL 3 escapes
// others with a backslash, and older ones leave them as they are. Bytes that are not printable are \xHH.
func (p *parser) slashForm() (Name, error) {
	var name Name
	for p.offset < len(p.text) {
		separator := p.text[p.offset]
		p.offset++
		oid, err := p.attributeType()
		if err != nil {
			return nil, err
		}
		if !p.consume('=') {
			return nil, p.errorf("an equals sign is missing")
		}
		text, err := p.slashValue()
		if err != nil {
			return nil, err
		}
		value, err := textAttribute(oid, text)
		if err != nil {
			return nil, err
		}
		if separator == '+' {
			name[len(name)-1] = append(name[len(name)-1], value)
		} else {
			name = append(name, rdn{value})
		}
		if len(name) > maxRDNs || len(name[len(name)-1]) > maxAttributes {
			return nil, p.errorf("more than %d relative names or %d attributes in one", maxRDNs, maxAttributes)
		}
	}
	return name, nil
}

// slashValue reads up to the next separator of the slash form.
func (p *parser) slashValue() (string, error) {
	var value strings.Builder
	for p.offset < len(p.text) && !p.atSlashSeparator() {
		rest := p.text[p.offset:]
		digits, isX := strings.CutPrefix(rest, `\x`)
		octet, isOctet := hexOctet(digits)
		switch {
		case isX && isOctet:
			value.WriteByte(octet)
			p.offset += 4
		case len(rest) >= 2 && (rest[:2] == `\/` || rest[:2] == `\+`):
			value.WriteByte(rest[1])
			p.offset += 2
		default:
			value.WriteByte(rest[0])
			p.offset++
		}
	}
	return utf8Value(p, value.String())
}

// atSlashSeparator reports whether a slash or a plus is next, with a type and an equals sign after it.
func (p *parser) atSlashSeparator() bool {
	if b := p.text[p.offset]; b != '/' && b != '+' {
		return false
	}
	end := p.offset + 1
	for end < len(p.text) && isTypeByte(p.text[end]) {
		end++
	}
	return end > p.offset+1 && end < len(p.text) && p.text[end] == '='
}

func utf8Value(p *parser, value string) (string, error) {
	if !utf8.ValidString(value) {
		return "", p.errorf("the value is not UTF-8")
	}
	return value, nil
}

// escape reads a backslash with a special character or two hexadecimal digits.
func (p *parser) escape() (byte, error) {
	p.offset++
	if octet, ok := hexOctet(p.text[p.offset:]); ok {
		p.offset += 2
		return octet, nil
	}
	next := p.peek()
	if next == 0 || !strings.ContainsRune(`\"+,;<> #=`, rune(next)) {
		return 0, p.errorf("not an escape")
	}
	p.offset++
	return next, nil
}

// hexOctet is that of the two hexadecimal digits with which a text begins.
func hexOctet(text string) (octet byte, ok bool) {
	if len(text) < 2 {
		return 0, false
	}
	number, err := strconv.ParseUint(text[:2], 16, 8)
	return byte(number), err == nil
}

func isHex(b byte) bool {
	return '0' <= b && b <= '9' || 'a' <= b && b <= 'f' || 'A' <= b && b <= 'F'
}
