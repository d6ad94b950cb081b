package store

import (
	"context"
	"time"
)

// DirectoryEntry is what a directory of participants knows a client by, from the software statement with which it registered
// (RFC 7591 §2.3).
type DirectoryEntry struct {
	// Directory is the name of the directory here, or empty for a client that registered without a statement.
	Directory string
	// Organisation and Software are the identifiers of the participant and of its software there.
	Organisation, Software string
	// Subject is that of the certificate with which the client registered, as an RFC 4514 string, or empty.
	Subject string
}

// DirectoryClient is a client of a directory, as [Directories] lists it.
type DirectoryClient struct {
	ID                     string
	Organisation, Software string
	// Suspended is why the client is suspended, or empty.
	Suspended string
	CreatedAt time.Time
}

// Standing is what a directory says of a client now.
type Standing struct {
	ClientID string
	// Suspended is why the client must not be served, in words for its owner; empty restores it.
	Suspended string
	// EndGrants ends all that was granted to the client as well, for good.
	EndGrants bool
	// At is when the directory said so. What it said later counts more.
	At time.Time
	// Evidence is stored with the change.
	Evidence []Evidence
}

// DirectoryDocument is what a directory published last, kept so that a node can start while the directory is away.
type DirectoryDocument struct {
	Directory string
	// Kind says which of its documents it is.
	Kind string
	// Body is the document as its owner encodes it; the store does not look inside.
	Body      []byte
	FetchedAt time.Time
}

// Directories are the verbs of clients that directories of participants vouch for.
type Directories interface {
	// DirectoryClients lists the clients of a directory in the order of their identifiers.
	DirectoryClients(ctx context.Context, directory string) ([]DirectoryClient, error)
	// PutStanding suspends a client, or restores it, and stores the evidence, in one transaction; it reports whether that changed
	// anything. A later standing that says the same changes At alone, without the evidence; nothing changes when a later standing
	// was put. ErrNotFound without such a client of a directory.
	PutStanding(ctx context.Context, standing Standing) (changed bool, err error)
	// PutDirectoryDocument stores a document in place of an older one of the same directory and kind.
	PutDirectoryDocument(ctx context.Context, document DirectoryDocument) error
	// DirectoryDocument reads the last one that was stored; ErrNotFound.
	DirectoryDocument(ctx context.Context, directory, kind string) (DirectoryDocument, error)
}
