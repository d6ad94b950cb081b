package store

import (
	"context"
	"encoding/json"
	"time"
)

// Client is a registered client. Metadata is encoded by its owner (RFC 7591 names).
type Client struct {
	ID       string
	Profile  string
	Metadata json.RawMessage
	Disabled bool
	// AccessToken is the digest of the registration access token (RFC 7592 §3), or zero for a client that an
	// operator registered.
	AccessToken Digest
	// Organisation names who registered the client dynamically, or is empty.
	Organisation string
	// Directory is what a directory knows the client by; see [Directories].
	Directory DirectoryEntry
	// Suspended is why the directory keeps the client from being served, or empty. [Directories.PutStanding] alone changes it.
	Suspended string
	// Version is 1 at first and grows by one with each change; see [Clients.PutClient].
	Version   int
	CreatedAt time.Time
	UpdatedAt time.Time
}

// InitialToken lets its holder register clients (RFC 7591 §3).
type InitialToken struct {
	// ID is the digest of the initial access token.
	ID Digest
	// Organisation names the holder; it is unique among the tokens and passed on to the clients.
	Organisation string
	// Profile is the profile of the clients that are registered with it, or empty for the server's choice.
	Profile string
	// Remaining is how many clients may still be registered.
	Remaining int
	CreatedAt time.Time
	ExpiresAt time.Time
}

// Registrar is who registers a client dynamically. Exactly one of Token and Quota is set.
type Registrar struct {
	// Token is the digest of an initial access token.
	Token Digest
	// Quota bounds how many clients the organisation of the new client may have, for one that proved itself
	// by a certificate.
	Quota int
	// OnePerSoftware refuses a client whose directory's software has a client already.
	OnePerSoftware bool
	// OneTimes are consumed by the registration: the jti of what it was asked by.
	OneTimes []OneTime
}

// Clients are the verbs of client registration.
type Clients interface {
	// Client reads one client, disabled or not; ErrNotFound.
	Client(ctx context.Context, id string) (Client, error)
	// Clients lists all in the order of their identifiers.
	Clients(ctx context.Context) ([]Client, error)
	// PutClient inserts a client whose Version is 1, or replaces the one whose stored version is one less, with the evidence;
	// ErrConflict otherwise.
	PutClient(ctx context.Context, client Client, evidence ...Evidence) error
	// RegisterClient inserts a client for a registrar, in one transaction with what allows it: it takes one from
	// the initial token's Remaining (ErrNotFound, ErrExpired, ErrConsumed when none is left), or holds the
	// organisation to its quota (ErrConsumed). It consumes the registrar's one-time values, or returns ErrReplayed.
	// ErrConflict when the client's ID exists, or when its software has one and may have one only. Errors change nothing.
	RegisterClient(ctx context.Context, client Client, by Registrar) error
	// DeleteClient removes a client with its backchannel requests, ends all its grants with their codes and tokens, and
	// deletes the consents given to it, in one transaction; ErrNotFound. The server never assigns the identifier again. by is
	// stored with the grants that end, as in RevokeGrant, and the evidence in the same transaction.
	DeleteClient(ctx context.Context, id, by string, evidence ...Evidence) error

	// PutInitialToken inserts a token, or replaces the one of the same organisation, with the evidence.
	PutInitialToken(ctx context.Context, token InitialToken, evidence ...Evidence) error
	// InitialToken reads one by its digest; ErrNotFound, and ErrExpired and ErrConsumed with the token.
	InitialToken(ctx context.Context, id Digest) (InitialToken, error)
	// InitialTokens lists all in the order of their organisations.
	InitialTokens(ctx context.Context) ([]InitialToken, error)
	// DeleteInitialToken removes an organisation's token, with the evidence; ErrNotFound.
	DeleteInitialToken(ctx context.Context, organisation string, evidence ...Evidence) error
}
