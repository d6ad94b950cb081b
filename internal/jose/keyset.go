package jose

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
)

// KeySet holds the public keys of one client or server: those that verify its signatures, and those that it may be encrypted to.
// The zero value is empty.
type KeySet struct {
	keys []Key
	// receiving are those to encrypt to.
	receiving []Key
}

// NewKeySet makes a set for publication.
func NewKeySet(keys ...Key) KeySet { return KeySet{keys: slices.Clone(keys)} }

// Keys are the keys that can verify signatures, in the order of the set.
func (s KeySet) Keys() []Key { return slices.Clone(s.keys) }

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

// ParseKeySet reads a JWK Set (RFC 7517 §5) of at most [MaxKeySetSize] bytes and [MaxKeys] keys. Keys that are
// not usable for our signatures and encryption (another kty or crv, another alg) are left out. A key that no one
// should have sent refuses the whole set: private members, symmetric keys, RSA keys too small or too large, points
// off their curve, an x5c for another key. Errors wrap [ErrMalformed].
func ParseKeySet(raw []byte) (KeySet, error) {
	keys, err := parseKeys(raw)
	if err != nil {
		return KeySet{}, err
	}
	var set KeySet
	for _, key := range keys {
		if key.allows(PS256) || key.allows(ES256) || key.allows(EdDSA) {
			set.keys = append(set.keys, key)
		}
		if slices.ContainsFunc(EncryptionAlgorithms(), key.receives) {
			set.receiving = append(set.receiving, key)
		}
	}
	return set, nil
}

// parseKeys reads every key of a set that is of a known kind.
func parseKeys(raw []byte) ([]Key, error) {
	if len(raw) > MaxKeySetSize {
		return nil, fmt.Errorf("%w: the key set is larger than %d bytes", ErrMalformed, MaxKeySetSize)
	}
	var wire struct {
		Keys *[]wireKey `json:"keys"`
	}
	if err := decodeObject(raw, &wire); err != nil {
		return nil, err
	}
	if wire.Keys == nil {
		return nil, fmt.Errorf("%w: the key set has no keys member", ErrMalformed)
	}
	if len(*wire.Keys) > MaxKeys {
		return nil, fmt.Errorf("%w: the key set has more than %d keys", ErrMalformed, MaxKeys)
	}
	var keys []Key
	for i := range *wire.Keys {
		key, err := (*wire.Keys)[i].key()
		if errors.Is(err, errUnknownKey) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("key %d: %w", i+1, err)
		}
		keys = append(keys, key)
	}
	return keys, nil
}
