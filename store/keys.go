package store

import (
	"context"
	"encoding/json"
	"time"
)

// Key is the record of a signing key; the key itself never leaves its HSM.
type Key struct {
	// ID is the kid: the RFC 7638 thumbprint of the public key.
	ID string
	// Algorithm is the one JWS algorithm of the key.
	Algorithm string
	// Uses names what the key may sign.
	Uses []string
	// State is "published", "active", "retiring" or "destroyed".
	State string
	// URIs are RFC 7512 addresses of the key, one for each HSM that holds it.
	URIs []string
	// Public is the public key as a JWK.
	Public      json.RawMessage
	CreatedAt   time.Time
	ActivatedAt time.Time
	RetiredAt   time.Time
}

// Keys are the verbs of the signing keys' states, the same on all nodes.
type Keys interface {
	// Keys lists every key that is not destroyed, oldest first.
	Keys(ctx context.Context) ([]Key, error)
	// DestroyedKeys lists the others, of which the public half is still known, oldest first.
	DestroyedKeys(ctx context.Context) ([]Key, error)
	// AddKey inserts a key, with the evidence; ErrConflict when its ID exists.
	AddKey(ctx context.Context, key Key, evidence ...Evidence) error
	// MoveKey changes a key's state if it is still from, and stores at as its ActivatedAt (to "active") or
	// RetiredAt (to "retiring" or "destroyed"), with the evidence; ErrConflict otherwise, ErrNotFound for an unknown key.
	MoveKey(ctx context.Context, id, from, to string, at time.Time, evidence ...Evidence) error
	// SetKeyURIs replaces a key's addresses if they are still from, with the evidence; ErrConflict otherwise, ErrNotFound for an unknown
	// or destroyed key.
	SetKeyURIs(ctx context.Context, id string, from, to []string, evidence ...Evidence) error
}

// KeyOrdered is a store that keeps records in the order of their keys, so that to store those together that are made together
// costs less. It gains from identifiers and secrets that begin with the time; others gain nothing.
type KeyOrdered interface {
	Store
	// KeyOrdered does nothing.
	KeyOrdered()
}
