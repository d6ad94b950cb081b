package directory

import (
	"crypto/fips140"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"
	"golang.org/x/text/unicode/norm"
)

// What new hashes are made with: the OWASP Password Storage Cheat Sheet's Argon2id setting of 19 MiB, two passes,
// one lane. Of the settings that OWASP calls equally strong it takes moderate memory, so that the sign-ins of a busy
// moment fit into a small machine, at a few dozen milliseconds each. One lane, because the processors are kept busy
// by other sign-ins. Salt and tag lengths are those of RFC 9106 §4.
const (
	memory    = 19 * 1024 // KiB
	passes    = 2
	lanes     = 1
	saltBytes = 16
	tagBytes  = 32
)

// HashMemory is what verifying one password takes, in bytes.
const HashMemory = memory << 10

// The most that a stored hash may ask for, so that a record cannot exhaust the server.
const (
	maxMemory = 256 * 1024 // KiB
	maxPasses = 16
	maxLanes  = 16
	minBytes  = 8
	maxBytes  = 64
	maxHash   = 512
)

// hash is an Argon2id hash with what it was made with, or one of PBKDF2 where iterations is not zero.
type hash struct {
	memory, passes uint32
	lanes          uint8
	iterations     int
	salt, tag      []byte
}

// HashPassword makes an Argon2id hash in PHC string form, or one of PBKDF2 where FIPS 140-3 is enforced. The password must be
// UTF-8, not empty, and at most 1024 bytes long; how long it must be at least is the caller's policy.
func HashPassword(password string) (phc string, err error) {
	switch {
	case password == "":
		return "", errors.New("directory: the password is empty")
	case len(password) > maxPassword:
		return "", fmt.Errorf("directory: the password is longer than %d bytes", maxPassword)
	case !utf8.ValidString(password):
		return "", errors.New("directory: the password is not UTF-8")
	}
	return newHash(password).String(), nil
}

func newHash(password string) hash {
	h := hash{memory: memory, passes: passes, lanes: lanes, salt: make([]byte, saltBytes)}
	if fips140.Enforced() {
		h = hash{iterations: iterations, salt: h.salt}
	}
	rand.Read(h.salt) // never fails
	h.tag = h.compute(password, tagBytes)
	return h
}

// matches compares in constant time.
func (h hash) matches(password string) bool {
	return subtle.ConstantTimeCompare(h.compute(password, len(h.tag)), h.tag) == 1
}

// compute normalises first, because keyboards differ in how they write the same letter (RFC 8265 §4.2.2).
func (h hash) compute(password string, length int) []byte {
	normal := norm.NFC.Bytes([]byte(password))
	if h.iterations > 0 {
		return pbkdf2Key(normal, h.salt, h.iterations, length)
	}
	return argon2.IDKey(normal, h.salt, h.passes, h.memory, h.lanes, uint32(length))
}

// String is the PHC string.
func (h hash) String() string {
	encode := base64.RawStdEncoding.EncodeToString
	if h.iterations > 0 {
		return fmt.Sprintf("$%s$i=%d$%s$%s", pbkdf2Name, h.iterations, encode(h.salt), encode(h.tag))
	}
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, h.memory, h.passes, h.lanes, encode(h.salt), encode(h.tag))
}

// parseHash reads the PHC string of a hash, in its canonical form only. No error repeats the text. Where FIPS 140-3 is enforced,
// an Argon2id hash is [errNotApproved].
func parseHash(phc string) (hash, error) {
	parts := strings.Split(phc, "$")
	if len(parts) > 1 && parts[1] == pbkdf2Name {
		return parsePBKDF2(phc, parts)
	}
	if len(phc) > maxHash || len(parts) != 6 || parts[0] != "" {
		return hash{}, errors.New("not a PHC string")
	}
	if parts[1] != "argon2id" || parts[2] != "v="+strconv.Itoa(argon2.Version) {
		return hash{}, fmt.Errorf("not an argon2id hash of version %d", argon2.Version)
	}
	var h hash
	settings := strings.Split(parts[3], ",")
	if len(settings) != 3 {
		return hash{}, errors.New("the settings are not m, t and p")
	}
	var err error
	if h.memory, err = setting(settings[0], "m=", maxMemory); err != nil {
		return hash{}, err
	}
	if h.passes, err = setting(settings[1], "t=", maxPasses); err != nil {
		return hash{}, err
	}
	parallel, err := setting(settings[2], "p=", maxLanes)
	if err != nil {
		return hash{}, err
	}
	h.lanes = uint8(parallel)
	if h.memory < 8*parallel {
		return hash{}, errors.New("the setting m= is below 8 times p= (RFC 9106 §3.1)")
	}
	if h.salt, err = field(parts[4]); err != nil {
		return hash{}, fmt.Errorf("the salt %w", err)
	}
	if h.tag, err = field(parts[5]); err != nil {
		return hash{}, fmt.Errorf("the tag %w", err)
	}
	if fips140.Enforced() {
		return hash{}, errNotApproved
	}
	return h, nil
}

// leastWork is the product of memory, in KiB, and passes, and leastMemory the memory, below which no hash is taken from
// elsewhere: the weakest of the Argon2id settings of the OWASP Password Storage Cheat Sheet.
const (
	leastWork   = 5 * 7168
	leastMemory = 7168 // KiB
)

// CheckHash checks a password hash from elsewhere: a hash in PHC string form, in its canonical form, of Argon2id or of
// PBKDF2-HMAC-SHA-256, that costs as much to try as the OWASP Password Storage Cheat Sheet asks for, and not more than the server can
// spend on a sign-in. Where FIPS 140-3 is enforced, Argon2id is refused. No error repeats the text.
func CheckHash(phc string) error {
	h, err := parseHash(phc)
	if err != nil {
		return err
	}
	if h.iterations > 0 {
		return h.checkPBKDF2()
	}
	if h.memory < leastMemory || h.memory*h.passes < leastWork || len(h.tag) < 16 {
		return errors.New("the hash is too cheap to guess at: Argon2id takes m=19456,t=2,p=1 or more (OWASP)")
	}
	return nil
}

// setting reads one decimal number from 1 to most, without leading zeros.
func setting(text, name string, most uint64) (uint32, error) {
	digits, found := strings.CutPrefix(text, name)
	value, err := strconv.ParseUint(digits, 10, 32)
	if !found || err != nil || value < 1 || value > most || strconv.FormatUint(value, 10) != digits {
		return 0, fmt.Errorf("the setting %s is not a number from 1 to %d", name, most)
	}
	return uint32(value), nil
}

func field(text string) ([]byte, error) {
	value, err := base64.RawStdEncoding.Strict().DecodeString(text)
	if err != nil || strings.ContainsAny(text, "\r\n") {
		return nil, errors.New("is not base64 without padding")
	}
	if len(value) < minBytes || len(value) > maxBytes {
		return nil, fmt.Errorf("is not %d to %d bytes long", minBytes, maxBytes)
	}
	return value, nil
}
