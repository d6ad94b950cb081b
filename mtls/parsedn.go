package mtls

import (
	"encoding/asn1"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// attributeTypes are the short and long names of attribute types in lower case (RFC 4519 §2, RFC 4514 §3, and what
// OpenSSL prints for the types of qualified and EV certificates).
var attributeTypes = map[string]string{
	"cn": "2.5.4.3", "commonname": "2.5.4.3",
	"sn": "2.5.4.4", "surname": "2.5.4.4",
	"serialnumber": "2.5.4.5",
	"c":            "2.5.4.6", "countryname": "2.5.4.6",
	"l": "2.5.4.7", "localityname": "2.5.4.7",
	"st": "2.5.4.8", "stateorprovincename": "2.5.4.8",
	"street": "2.5.4.9", "streetaddress": "2.5.4.9",
	"o": "2.5.4.10", "organizationname": "2.5.4.10",
	"ou": "2.5.4.11", "organizationalunitname": "2.5.4.11",
	"title":            "2.5.4.12",
	"description":      "2.5.4.13",
	"businesscategory": "2.5.4.15",
	"postalcode":       "2.5.4.17",
	"name":             "2.5.4.41",
	"gn":               "2.5.4.42", "givenname": "2.5.4.42",
	"initials":               "2.5.4.43",
	"generationqualifier":    "2.5.4.44",
	"dnqualifier":            "2.5.4.46",
	"pseudonym":              "2.5.4.65",
	"organizationidentifier": "2.5.4.97",
	"uid":                    "0.9.2342.19200300.100.1.1", "userid": "0.9.2342.19200300.100.1.1",
	"dc": "0.9.2342.19200300.100.1.25", "domaincomponent": "0.9.2342.19200300.100.1.25",
	"e": "1.2.840.113549.1.9.1", "emailaddress": "1.2.840.113549.1.9.1",
	"jurisdictionl": "1.3.6.1.4.1.311.60.2.1.1", "jurisdictionlocalityname": "1.3.6.1.4.1.311.60.2.1.1",
	"jurisdictionst": "1.3.6.1.4.1.311.60.2.1.2", "jurisdictionstateorprovincename": "1.3.6.1.4.1.311.60.2.1.2",
	"jurisdictionc": "1.3.6.1.4.1.311.60.2.1.3", "jurisdictioncountryname": "1.3.6.1.4.1.311.60.2.1.3",
}

// ParseDN reads the string form of a distinguished name (RFC 4514 §3), which begins with the least significant part.
// Attribute types are the usual names, in any case, or dotted numbers; values are strings with escapes or # and the
// hexadecimal DER. Spaces around the separators are ignored, as older forms have them. Errors wrap [ErrMalformed].
func ParseDN(text string) (DN, error) {
	if len(text) > maxSubject {
		return nil, fmt.Errorf("%w: a distinguished name may have %d bytes", ErrMalformed, maxSubject)
	}
	parser := dnParser{text: text}
	var name DN
	for {
		relative, err := parser.relativeName()
		if err != nil {
			return nil, err
		}
		if name = append(name, relative); len(name) > maxRDNs {
			return nil, parser.errorf("more than %d relative names", maxRDNs)
		}
		if !parser.consume(',') {
			break
		}
	}
	if parser.offset != len(text) {
		return nil, parser.errorf("a character that must be escaped")
	}
	slices.Reverse(name)
	return name, nil
}

type dnParser struct {
	text   string
	offset int
}

func (p *dnParser) errorf(format string, arguments ...any) error {
	return fmt.Errorf("%w: distinguished name, byte %d: %s", ErrMalformed, p.offset, fmt.Sprintf(format, arguments...))
}

func (p *dnParser) peek() byte {
	if p.offset < len(p.text) {
		return p.text[p.offset]
	}
	return 0
}

func (p *dnParser) consume(b byte) bool {
	if p.peek() != b || p.offset == len(p.text) {
		return false
	}
	p.offset++
	return true
}

func (p *dnParser) spaces() {
	for p.consume(' ') {
	}
}

func (p *dnParser) relativeName() (rdn, error) {
	var relative rdn
	for {
		pair, err := p.attribute()
		if err != nil {
			return nil, err
		}
		if relative = append(relative, pair); len(relative) > maxAttributes {
			return nil, p.errorf("more than %d attributes in one relative name", maxAttributes)
		}
		if !p.consume('+') {
			return relative, nil
		}
	}
}

func (p *dnParser) attribute() (attribute, error) {
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
	text, err := p.stringValue()
	if err != nil {
		return attribute{}, err
	}
	prepared, err := prepare(text)
	return attribute{oid: oid, text: prepared, isText: true}, err
}

// attributeType reads a name or a dotted number and gives the dotted number.
func (p *dnParser) attributeType() (string, error) {
	start := p.offset
	for b := p.peek(); 'a' <= b|0x20 && b|0x20 <= 'z' || '0' <= b && b <= '9' || b == '.' || b == '-'; b = p.peek() {
		p.offset++
	}
	name := p.text[start:p.offset]
	if oid, ok := attributeTypes[strings.ToLower(name)]; ok {
		return oid, nil
	}
	if isOID(name) {
		return name, nil
	}
	p.offset = start
	return "", p.errorf("an unknown attribute type; use its dotted number")
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
func (p *dnParser) hexValue(oid string) (attribute, error) {
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

// stringValue reads a value with its escapes (RFC 4514 §2.4, §3).
func (p *dnParser) stringValue() (string, error) {
	var value strings.Builder
	for p.offset < len(p.text) {
		switch b := p.text[p.offset]; b {
		case ',', '+':
			return utf8Value(p, value.String())
		case '"', ';', '<', '>', 0:
			return "", p.errorf("a character that must be escaped")
		case '\\':
			escaped, err := p.escape()
			if err != nil {
				return "", err
			}
			value.WriteByte(escaped)
		default:
			value.WriteByte(b)
			p.offset++
		}
	}
	return utf8Value(p, value.String())
}

func utf8Value(p *dnParser, value string) (string, error) {
	if !utf8.ValidString(value) {
		return "", p.errorf("the value is not UTF-8")
	}
	return value, nil
}

// escape reads a backslash with a special character or two hexadecimal digits.
func (p *dnParser) escape() (byte, error) {
	p.offset++
	next := p.peek()
	if isHex(next) && p.offset+1 < len(p.text) && isHex(p.text[p.offset+1]) {
		octet, err := strconv.ParseUint(p.text[p.offset:p.offset+2], 16, 8)
		if err != nil {
			return 0, p.errorf("not an escape")
		}
		p.offset += 2
		return byte(octet), nil
	}
	if next == 0 || !strings.ContainsRune(`\"+,;<> #=`, rune(next)) {
		return 0, p.errorf("not an escape")
	}
	p.offset++
	return next, nil
}

func isHex(b byte) bool {
	return '0' <= b && b <= '9' || 'a' <= b && b <= 'f' || 'A' <= b && b <= 'F'
}
