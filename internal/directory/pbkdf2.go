package directory

import (
	"crypto/fips140"
	"crypto/pbkdf2"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
)

// Where FIPS 140-3 is enforced, passwords are hashed with PBKDF2-HMAC-SHA-256 (SP 800-132), the one password hash that is approved.
// The count is that of the OWASP Password Storage Cheat Sheet. It takes no memory, so it is the weaker of the two against
// guessing on special hardware, and used nowhere else.
const (
	pbkdf2Name = "pbkdf2-sha256"
	iterations = 600_000
	// maxIterations bounds what a stored hash may ask for: some seconds.
	maxIterations = 10_000_000
	// minSalt and minTag are the least that the module takes (SP 800-132), in bytes.
	minSalt, minTag = 16, 14
)

// errNotApproved is a hash that cannot be verified where FIPS 140-3 is enforced.
var errNotApproved = errors.New("Argon2id is not approved by FIPS 140-3, which is enforced here: set the password again, or take pbkdf2-sha256 with i=600000 or more")

// unapproved reports whether a hash is one of Argon2id and FIPS 140-3 is enforced.
func unapproved(phc string) bool {
	return fips140.Enforced() && strings.HasPrefix(phc, "$argon2id$")
}

// pbkdf2Key derives a tag, or nothing where the module refuses what [parsePBKDF2] has let through.
func pbkdf2Key(password, salt []byte, iterations, length int) []byte {
	key, err := pbkdf2.Key(sha256.New, string(password), salt, iterations, length)
	if err != nil {
		return nil // matches no tag
	}
	return key
}

// parsePBKDF2 reads $pbkdf2-sha256$i=600000$SALT$TAG, both in base64 without padding.
func parsePBKDF2(phc string, parts []string) (hash, error) {
	if len(phc) > maxHash || len(parts) != 5 || parts[0] != "" {
		return hash{}, errors.New("not a PHC string")
	}
	count, err := setting(parts[2], "i=", maxIterations)
	if err != nil {
		return hash{}, err
	}
	h := hash{iterations: int(count)}
	if h.salt, err = field(parts[3]); err != nil {
		return hash{}, fmt.Errorf("the salt %w", err)
	}
	if h.tag, err = field(parts[4]); err != nil {
		return hash{}, fmt.Errorf("the tag %w", err)
	}
	if len(h.salt) < minSalt || len(h.tag) < minTag {
		return hash{}, fmt.Errorf("the salt has less than %d bytes, or the tag less than %d (SP 800-132)", minSalt, minTag)
	}
	return h, nil
}

// checkPBKDF2 is the part of [CheckHash] for hashes of PBKDF2.
func (h hash) checkPBKDF2() error {
	if h.iterations < iterations || len(h.tag) < 16 {
		return fmt.Errorf("the hash is too cheap to guess at: pbkdf2-sha256 takes i=%d or more (OWASP)", iterations)
	}
	return nil
}
