package jose

import (
	"bytes"
	"crypto"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"countersign/internal/strictjson"
)

// KeySet holds the public keys of one client or server: those that verify its signatures, those that it may be
// encrypted to, and those that its self-signed certificates may have. It is indexed: what a request costs does not grow
// with the number of keys. It does not change, and the zero value is empty.
type KeySet struct {
	keys []Key
	// byID has the places of keys by kid, byAlgorithm for a token without one, each public key once.
	byID        map[string][]int
	byAlgorithm map[string][]int
	// receiving are those to encrypt to.
	receiving []Key
	// certified are the keys for self-signed certificates, by thumbprint.
	certified map[string]crypto.PublicKey
	// others are the keys that verify no signature.
	others []otherKey
	// pkcs1 are the keys that may have signed with RS256, in their order.
	pkcs1 []Key
	// size is the number of keys of the document.
	size int
}

// seenKeys are the thumbprints of the keys of a set that is being made.
type seenKeys map[string]bool

// NewKeySet makes a set for publication.
func NewKeySet(keys ...Key) KeySet {
	set, seen := KeySet{size: len(keys)}, seenKeys{}
	for _, key := range keys {
		set.addVerifying(key, seen)
	}
	return set
}

// Keys are the keys that can verify signatures, in the order of the set.
func (s KeySet) Keys() []Key { return slices.Clone(s.keys) }

// Has reports whether a public key is among those that can verify signatures, whatever its kid and algorithm there.
func (s KeySet) Has(key Key) bool {
	return slices.ContainsFunc(s.keys, func(k Key) bool { return k.thumbprint == key.thumbprint })
}

// MarshalJSON writes the JWK Set (RFC 7517 §5).
func (s KeySet) MarshalJSON() ([]byte, error) {
	keys := s.keys
	if keys == nil {
		keys = []Key{}
	}
	return json.Marshal(struct {
		Keys []Key `json:"keys"`
	}{keys})
}

// ParseKeySet reads a JWK Set (RFC 7517 §5) of at most [MaxKeySetSize] bytes and [MaxKeys] keys, as the world serves
// them. A key that cannot be used (an unknown kind, an RSA key too small or too large, a point off its curve, an x5c for
// another key, a member of the wrong type, a symmetric key) is left out, and [KeySet.LeftOut] names it; the others work.
// A habit of writing that changes no key is read: a byte order mark; base64 in place of base64url, padded or with line
// breaks; numbers with leading zeros or without those that are due; an x5c in PEM, of one string, with a certificate that
// crypto/x509 refuses or a bare SubjectPublicKeyInfo.
//
// A set with a private key is refused whole: its owner has to notice. So is what is no correct JSON, or names keys twice.
// Errors wrap [ErrMalformed].
func ParseKeySet(raw []byte) (KeySet, error) {
	elements, err := splitKeySet(TrimByteOrderMark(raw))
	if err != nil {
		return KeySet{}, err
	}
	set, seen := KeySet{size: len(elements)}, seenKeys{}
	for i, element := range elements {
		key, err := readSetKey(element)
		if errors.Is(err, errPrivateKey) {
			return KeySet{}, fmt.Errorf("%s: %w", LeftOut{Position: i + 1, KeyID: key.ID}.Name(), err)
		}
		set.add(i+1, key, err, seen)
	}
	return set, nil
}

// ParseSetKey reads one key of a set as leniently as [ParseKeySet] does. Errors wrap [ErrMalformed].
func ParseSetKey(raw []byte) (Key, error) {
	if len(raw) > MaxKeySetSize {
		return Key{}, fmt.Errorf("%w: the key is larger than %d bytes", ErrMalformed, MaxKeySetSize)
	}
	if err := strictjson.Check(raw); err != nil {
		return Key{}, err
	}
	return readSetKey(strictjson.Element{Raw: raw})
}

// TrimByteOrderMark takes the mark of UTF-8 from the beginning of a text, where RFC 8259 §8.1 lets it be ignored.
func TrimByteOrderMark(raw []byte) []byte { return bytes.TrimPrefix(raw, []byte("\xef\xbb\xbf")) }

// add sorts a key of a position, from 1, by what it can be used for; err is why it cannot be at all.
func (s *KeySet) add(position int, key Key, err error, seen seenKeys) {
	other := otherKey{LeftOut: LeftOut{Position: position, KeyID: key.ID}}
	if err != nil {
		other.Reason = shownReason(err)
		s.others = append(s.others, other)
		return
	}
	other.receives = slices.ContainsFunc(EncryptionAlgorithms(), key.receives)
	if other.receives {
		s.receiving = append(s.receiving, key)
	}
	if other.certifies = key.certifies(); other.certifies {
		if s.certified == nil {
			s.certified = map[string]crypto.PublicKey{}
		}
		s.certified[key.thumbprint] = key.Public
	}
	if key.Verifies(RS256) {
		s.pkcs1 = append(s.pkcs1, key)
	}
	if key.Verifies(PS256) || key.Verifies(ES256) || key.Verifies(EdDSA) {
		s.addVerifying(key, seen)
		return
	}
	other.Reason, other.transport = key.whyNotVerifying(), key.Use == useTLS
	s.others = append(s.others, other)
}

// addVerifying adds a key to those that verify signatures.
func (s *KeySet) addVerifying(key Key, seen seenKeys) {
	at := len(s.keys)
	s.keys = append(s.keys, key)
	if s.byID == nil {
		s.byID, s.byAlgorithm = map[string][]int{}, map[string][]int{}
	}
	s.byID[key.ID] = append(s.byID[key.ID], at)
	algorithm := ownAlgorithm(key.Public)
	if key.Verifies(algorithm) && !seen[key.thumbprint] {
		seen[key.thumbprint] = true
		s.byAlgorithm[algorithm] = append(s.byAlgorithm[algorithm], at)
	}
}

// maxTried is how many keys are tried for one signature, when several can have made it.
const maxTried = 32

// candidates are the places of the keys that may have made a signature: those with the kid, or without one those for the
// algorithm, or for any if that is empty too.
func (s KeySet) candidates(keyID, algorithm string) []int {
	switch {
	case keyID != "":
		return s.byID[keyID]
	case algorithm != "":
		return s.byAlgorithm[algorithm]
	}
	return slices.Concat(s.byAlgorithm[PS256], s.byAlgorithm[ES256], s.byAlgorithm[EdDSA])
}

// Len is the number of keys in the document, of use or not.
func (s KeySet) Len() int { return s.size }

// CertificateKeys returns the key of the set that is the public key of a certificate, alone in a list, for
// self_signed_tls_client_auth (RFC 8705 §2.2), or none. Beside the keys that verify signatures it knows those of use
// "tls" and those on P-384 and P-521.
func (s KeySet) CertificateKeys(public crypto.PublicKey) []crypto.PublicKey {
	thumbprint, err := Thumbprint(public)
	if err != nil {
		return nil
	}
	if key, ok := s.certified[thumbprint]; ok {
		return []crypto.PublicKey{key}
	}
	return nil
}

// Certifies reports whether the set has keys for self-signed certificates.
func (s KeySet) Certifies() bool { return len(s.certified) > 0 }

// Verifies reports whether the set has keys that verify signatures.
func (s KeySet) Verifies() bool { return len(s.keys) > 0 }

// splitKeySet finds the keys of a set. What is doubtful within a key is that key's fault; what is doubtful outside of
// them, and what is no JSON, refuses the set.
func splitKeySet(raw []byte) ([]strictjson.Element, error) {
	if len(raw) > MaxKeySetSize {
		return nil, fmt.Errorf("%w: the key set is larger than %d bytes", ErrMalformed, MaxKeySetSize)
	}
	var elements []strictjson.Element
	found, err := strictjson.Elements(raw, "keys", func(element strictjson.Element) error {
		if len(elements) == MaxKeys {
			return fmt.Errorf("%w: the key set has more than %d keys", ErrMalformed, MaxKeys)
		}
		elements = append(elements, element)
		return nil
	})
	if errors.Is(err, strictjson.ErrNotArray) {
		return nil, fmt.Errorf("%w: keys of the key set is not an array", ErrMalformed)
	}
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, fmt.Errorf("%w: the key set has no keys member", ErrMalformed)
	}
	return elements, nil
}
