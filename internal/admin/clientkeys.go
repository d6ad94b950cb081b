package admin

import (
	"context"
	"errors"

	"countersign/fapi/client"
	"countersign/internal/jose"
	"countersign/store"
)

// ClientKeys is what a client's key set comes to.
type ClientKeys struct {
	// Usable is the number of keys that can be used.
	Usable int `json:"usable"`
	// LeftOut are those that cannot.
	LeftOut []LeftOutKey `json:"left_out,omitempty"`
	// Problem is why there is no set, or empty.
	Problem string `json:"problem,omitempty"`
}

// LeftOutKey is a key that cannot be used, and why.
type LeftOutKey struct {
	// Position is its place in the set, from 1.
	Position int    `json:"position"`
	KeyID    string `json:"kid,omitempty"`
	Reason   string `json:"reason"`
}

// Name is the position and the kid.
func (l LeftOutKey) Name() string { return jose.LeftOut{Position: l.Position, KeyID: l.KeyID}.Name() }

// KeysOf reads the key set of a client: that of its registration, or that at its jwks_uri by fetch; nil when it has none,
// or has an address and fetch is nil.
func KeysOf(ctx context.Context, record store.Client, fetch jose.Fetch) *ClientKeys {
	parsed, err := client.Parse(record.ID, record.Profile, record.Metadata)
	if err != nil {
		return &ClientKeys{Problem: err.Error()}
	}
	set, address := parsed.Keys, parsed.Metadata.JWKSURI
	switch {
	case address == "" && set.Len() == 0, address != "" && fetch == nil:
		return nil
	case address != "":
		body, _, err := fetch(ctx, address)
		if err == nil {
			set, err = jose.ParseKeySet(body)
		}
		if err != nil {
			return &ClientKeys{Problem: err.Error()}
		}
	}
	keys := &ClientKeys{Usable: set.Len()}
	for _, one := range parsed.LeftOut(set) {
		keys.LeftOut = append(keys.LeftOut, LeftOutKey{one.Position, one.KeyID, one.Reason})
		keys.Usable--
	}
	return keys
}

// readableKeys checks that a set may be registered: that it can be read, and has a key to verify signatures with.
func readableKeys(jwks []byte) error {
	set, err := jose.ParseKeySet(jwks)
	if err != nil {
		return err
	}
	if !set.Verifies() && !set.Certifies() {
		return errors.New("there is no key in it that signatures of PS256, ES256 or EdDSA can be verified with" + jose.Hint(set.LeftOut(false)))
	}
	return nil
}
