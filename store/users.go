package store

import (
	"context"
	"encoding/json"
	"time"
)

// User is an end-user who can sign in.
type User struct {
	// Subject is the stable identifier; it is never reassigned.
	Subject  string
	Username string
	// Password is an Argon2id hash in PHC form, or empty.
	Password string
	// UserCode is the Argon2id hash of the code that a client must send to ask this user over the backchannel
	// (CIBA Core §7.1), or empty.
	UserCode string
	// Claims are the OpenID Connect claims about the user, a JSON object.
	Claims    json.RawMessage
	Disabled  bool
	CreatedAt time.Time
	UpdatedAt time.Time
	// ErasedAt is when the user was erased (see [DataSubjects]): only the subject is left. Zero for every other user.
	ErasedAt time.Time
	// Epoch counts how often all sessions of the user were ended at once, from 1; see [Session].Epoch. The store counts.
	Epoch int64
	// BrowsersFrom is when the user had all browsers forgotten (see [Accounts]): what knows a browser from before it does not
	// count. Zero for never.
	BrowsersFrom time.Time
}

// Users are the verbs of the built-in user directory.
type Users interface {
	// User reads by subject; ErrNotFound.
	User(ctx context.Context, subject string) (User, error)
	// UserByName reads by user name, compared as stored; ErrNotFound.
	UserByName(ctx context.Context, username string) (User, error)
	// Users lists all in the order of their names.
	Users(ctx context.Context) ([]User, error)
	// PutUser inserts or replaces by subject, with the evidence; ErrConflict when the name belongs to another subject, or when the user was
	// erased. ErasedAt and BrowsersFrom are not stored by it.
	PutUser(ctx context.Context, user User, evidence ...Evidence) error
	// ReplaceUser is PutUser for a user who exists and whose UpdatedAt is still before: of all callers that read the same one wins.
	// ErrRevoked otherwise, ErrConflict as in PutUser.
	ReplaceUser(ctx context.Context, user User, before time.Time, evidence ...Evidence) error
}
