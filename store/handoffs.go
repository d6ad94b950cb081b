package store

import (
	"context"
	"encoding/json"
	"time"
)

// HandOff is an interaction that was handed to a login of the operator's own: the browser is there, and the login's backend
// reads what is asked for and answers once.
type HandOff struct {
	// ID is the digest of the handle that the login has.
	ID Digest
	// Interaction is what was handed off, and Browser where: what [Requests].Interaction asks for. The store knows Browser.
	Interaction, Browser Digest
	CreatedAt            time.Time
	// ExpiresAt ends the time for the answer; once there is one, the time for the browser's return.
	ExpiresAt time.Time
	// Answer is what the login answered, as its owner encodes it; nil until then. The store does not look inside.
	Answer json.RawMessage
	// AnsweredAt is zero until the login answered.
	AnsweredAt time.Time
	// Return is the digest of the one-time value in the address to which the browser comes back; zero until there is an
	// answer.
	Return Digest
	// ReturnedAt is zero until the browser came back.
	ReturnedAt time.Time
	// Epoch is that of the user when the login answered, for the session that begins at the return (see [Session].Epoch): one
	// that all sessions of the user ended in between does not begin. 0 if nobody signed in. The store knows it.
	Epoch int64
}

// HandOffAnswer is the one answer to a [HandOff].
type HandOffAnswer struct {
	Answer json.RawMessage
	// Return is the digest of the one-time value of the return address, and ReturnBy ends the time for it.
	Return   Digest
	ReturnBy time.Time
	// User, if not nil, is who signed in: who is not known yet is stored; of who is, the claims are replaced where there
	// are new ones.
	User *User
	// Upstream names the session at an upstream provider by which the user signed in (see [Upstreams]); zero for none.
	Upstream Digest
	// Evidence is of the answer.
	Evidence []Evidence
}

// HandOffs are the verbs of interactions that were handed off.
type HandOffs interface {
	// BeginHandOff stores a new hand-off of an interaction that is there. The same one again, while it is not answered,
	// changes nothing; ErrConsumed once it is answered, ErrExpired when its time is over, ErrNotFound without the interaction.
	BeginHandOff(ctx context.Context, handOff HandOff) error
	// HandOff reads a hand-off, changing nothing; ErrNotFound. ErrConsumed when it was answered, ErrExpired when its time is
	// over; the record is returned with both.
	HandOff(ctx context.Context, id Digest) (HandOff, error)
	// AnswerHandOff records the answer with its evidence and the user who signed in, in one transaction: of all callers one
	// wins and the rest get ErrConsumed, as when the request was answered otherwise; ErrExpired and ErrNotFound. ErrRevoked
	// when the user is disabled or erased, ErrConflict when the user's name belongs to another. Errors change nothing.
	AnswerHandOff(ctx context.Context, id Digest, answer HandOffAnswer) error
	// ReturnHandOff consumes the return of an interaction's browser, and reads what was answered: of all callers one wins
	// and the rest get ErrConsumed; ErrExpired; ErrNotFound when there is no such return, or it is another interaction's.
	ReturnHandOff(ctx context.Context, interaction, back Digest) (HandOff, error)
	// AdmitUser stores a user of a login elsewhere, without claims; one who is known stays as they are. ErrRevoked when the user
	// is disabled or erased, ErrConflict when the name belongs to another.
	AdmitUser(ctx context.Context, user User) error
}

// Upstreams are the verbs of sign-ins by an upstream provider, which says when a session there has ended (OpenID Connect
// Back-Channel Logout 1.0).
type Upstreams interface {
	// EndUpstream ends the sessions that began by a session at an upstream provider, enqueues the notices of their end, and has the
	// answers of hand-offs expire by which such a session would begin when the browser is back. The evidence is stored if that was
	// anything, all in one transaction. It returns how many sessions and answers it was; none is no error.
	EndUpstream(ctx context.Context, upstream Digest, evidence ...Evidence) (int, error)
}
