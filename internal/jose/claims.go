package jose

import (
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/go-jose/go-jose/v4/json"
)

// NumericDate is a time as JWT writes it: seconds since 1970, fractions allowed (RFC 7519 §2). The zero value is
// 1970; use a pointer where absence matters.
type NumericDate struct{ seconds float64 }

// maxNumericDate is the last second of the year 9999.
const maxNumericDate = 253402300799

// NewNumericDate is t in whole seconds, rounded down.
func NewNumericDate(t time.Time) NumericDate { return NumericDate{float64(t.Unix())} }

// Time returns the time, to the microsecond.
func (d NumericDate) Time() time.Time {
	whole, fraction := math.Modf(d.seconds)
	return time.Unix(int64(whole), int64(math.Round(fraction*1e6))*1000)
}

// MarshalJSON writes an integer where it can.
func (d NumericDate) MarshalJSON() ([]byte, error) {
	return strconv.AppendFloat(nil, d.seconds, 'f', -1, 64), nil
}

// UnmarshalJSON reads a JSON number between the years 1970 and 9999. Strings are refused.
func (d *NumericDate) UnmarshalJSON(raw []byte) error {
	if len(raw) == 0 || raw[0] < '0' || raw[0] > '9' {
		return fmt.Errorf("%w: a time is not a number of seconds", ErrMalformed)
	}
	seconds, err := strconv.ParseFloat(string(raw), 64)
	if err != nil || seconds > maxNumericDate {
		return fmt.Errorf("%w: a time is out of range", ErrMalformed)
	}
	d.seconds = seconds
	return nil
}

// Audience is the aud of a JWT: one string or an array of them (RFC 7519 §4.1.3). It remembers which, because FAPI 2.0
// Security Profile §5.3.2.1-8 accepts only the string in a client assertion.
type Audience struct {
	Values []string
	// Single reports that the audience was, or is to be written as, a plain string.
	Single bool
}

// Contains reports whether the audience names value, byte for byte.
func (a Audience) Contains(value string) bool { return slices.Contains(a.Values, value) }

// MarshalJSON writes a string if a is Single, else an array.
func (a Audience) MarshalJSON() ([]byte, error) {
	if a.Single && len(a.Values) == 1 {
		return json.Marshal(a.Values[0])
	}
	return json.Marshal(a.Values)
}

// UnmarshalJSON reads a string or an array of strings.
func (a *Audience) UnmarshalJSON(raw []byte) error {
	*a = Audience{}
	switch {
	case len(raw) > 0 && raw[0] == '"':
		var value string
		if err := json.Unmarshal(raw, &value); err != nil {
			return fmt.Errorf("%w: aud is not a string", ErrMalformed)
		}
		a.Values, a.Single = []string{value}, true
		return nil
	case len(raw) > 0 && raw[0] == '[':
		// Pointers, because JSON's null would pass as an empty string.
		var values []*string
		if err := json.Unmarshal(raw, &values); err != nil || slices.Contains(values, nil) {
			return fmt.Errorf("%w: aud is not an array of strings", ErrMalformed)
		}
		for _, value := range values {
			a.Values = append(a.Values, *value)
		}
		return nil
	}
	return fmt.Errorf("%w: aud is neither a string nor an array of strings", ErrMalformed)
}

// HalfHash is the left half of a value's digest, in base64url: at_hash, c_hash or s_hash in a token that is signed with an algorithm
// (OpenID Connect Core §3.1.3.6). Ed25519 hashes with SHA-512, the others with SHA-256.
func HalfHash(algorithm, value string) string {
	if algorithm == EdDSA {
		digest := sha512.Sum512([]byte(value))
		return base64.RawURLEncoding.EncodeToString(digest[:32])
	}
	digest := sha256.Sum256([]byte(value))
	return base64.RawURLEncoding.EncodeToString(digest[:16])
}
