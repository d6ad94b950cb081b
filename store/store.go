// Package store holds the server's persistent state: pushed requests, sign-ins, grants, codes, tokens,
// clients, users, and the states of the signing keys.
//
// Its interfaces are verbs, not tables. Each verb is one transaction, and each one-time thing is consumed by
// exactly one of them, so that a caller never has to read, decide and write in separate steps. Callers follow
// one rule: validate, sign, consume, release. What is to be released is chosen before it is consumed (token
// identifiers, digests), the consuming verb records it, and nothing is released whose consumption lost the race.
//
// Secrets never enter: codes, refresh tokens, request URIs and cookies arrive as their SHA-256 [Digest].
// Time is that of the database, which is the machine's where it is a file: what has expired, and what is removed, is decided by it and not
// by the clock of a node, which has to agree with it (see [ErrClock]). All times are stored in UTC with microsecond precision.
package store

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"time"
)

// Errors that verbs return, to be matched with errors.Is. Any other error means that the outcome is unknown or
// that the database could not be reached.
var (
	// ErrNotFound: there is no such record, or it belongs to another.
	ErrNotFound = errors.New("store: not found")
	// ErrExpired: the record exists and its time is over.
	ErrExpired = errors.New("store: expired")
	// ErrConsumed: the one-time thing has been used before.
	ErrConsumed = errors.New("store: already used")
	// ErrReplayed: one of the [OneTime] values has been seen before. Nothing was changed. A [*ReplayedError] says which.
	ErrReplayed = errors.New("store: replayed")
	// ErrRevoked: the grant behind the record has been revoked.
	ErrRevoked = errors.New("store: revoked")
	// ErrConflict: the record changed since it was read, or exists already.
	ErrConflict = errors.New("store: conflict")
	// ErrOverloaded: the database is overloaded. Nothing was done; a later attempt may succeed.
	ErrOverloaded = errors.New("store: overloaded")
	// ErrUnavailable: the database could not be reached, or went away under the verb, whose outcome is then unknown.
	ErrUnavailable = errors.New("store: the database is not available")
)

// ReplayedError is the [ErrReplayed] of one value, and matches it by [errors.Is].
type ReplayedError struct {
	// Kind is that of a [OneTime] that was seen before, the first when there are several; empty where the database did
	// not say it.
	Kind string
}

// Error implements error.
func (e *ReplayedError) Error() string { return ErrReplayed.Error() + ": " + e.Kind }

// Is reports whether target is [ErrReplayed].
func (e *ReplayedError) Is(target error) bool { return target == ErrReplayed }

// Kinds of [OneTime] values that answers to clients depend on.
const (
	// KindAssertion is the jti of a client assertion (RFC 7523 §3).
	KindAssertion = "client_assertion"
	// KindDPoP is the jti of a DPoP proof (RFC 9449 §11.1).
	KindDPoP = "dpop"
)

// Digest is the SHA-256 of a secret: the only form in which a secret is stored.
type Digest [sha256.Size]byte

// DigestOf hashes a secret of at least 128 bits of entropy. It is not for passwords.
func DigestOf(secret string) Digest { return sha256.Sum256([]byte(secret)) }

// IssuedDigest is the digest of a short-lived secret that this server issued: of a request_uri, a code or the jti of an access
// token. Of one that ends in a time, a full stop and 256 random bits, as package internal/random makes them for a [KeyOrdered]
// store, it begins with that time and goes on with 224 bits of the hash; of every other one it is DigestOf.
func IssuedDigest(secret string) Digest {
	const timeLength, randomLength = 6, 43 // characters of base64url
	digest := DigestOf(secret)
	begin := len(secret) - randomLength - 1 - timeLength
	if begin < 0 || secret[begin+timeLength] != '.' {
		return digest
	}
	var at [4]byte
	text := []byte(secret[begin : begin+timeLength])
	if n, err := base64.RawURLEncoding.Strict().Decode(at[:], text); err != nil || n != len(at) {
		return digest
	}
	copy(digest[:], at[:])
	return digest
}

// Zero reports whether d is unset.
func (d Digest) Zero() bool { return d == Digest{} }

// OneTime is a value that may be used once: the jti of a client assertion or of a DPoP proof.
type OneTime struct {
	// Kind separates name spaces: [KindAssertion], [KindDPoP] and others.
	Kind string
	// Key is the digest of everything that makes the value unique, such as issuer and jti.
	Key Digest
	// Until is when the artefact that carries the value can no longer be accepted by any node, the greatest
	// clock difference included. The record is kept at least that long.
	Until time.Time
}

// Request is a pushed authorization request (RFC 9126).
type Request struct {
	// ID is the digest of the request_uri.
	ID       Digest
	ClientID string
	// Parameters is the validated request as its owner encodes it; the store does not look inside.
	Parameters json.RawMessage
	CreatedAt  time.Time
	// ExpiresAt ends the time in which the request_uri can be opened. Opening never lengthens it.
	ExpiresAt time.Time
	// FinishedAt is zero until the request was answered.
	FinishedAt time.Time
	// Evidence is stored with the request and not given back with it.
	Evidence []Evidence
}

// Session is a signed-in browser.
type Session struct {
	// ID is the digest of the session cookie.
	ID Digest
	// SID is what clients are told that the session is called, which is no secret and gives no access; empty for one that a
	// node of the release before stored. A session that replaces one of the same user takes over its SID.
	SID      string
	Subject  string
	AuthTime time.Time
	ACR      string
	AMR      []string
	// Agent is the browser and its system as it names them, such as "Firefox/Linux"; empty when it does not.
	Agent string
	// ExpiresAt ends the session.
	ExpiresAt time.Time
	// Former is the session that the browser has had until now, which SignIn ends; zero for none. It is not given back.
	Former Digest
	// Epoch is that of the user when the credentials were checked, or 0 for the present one. A session of an epoch that is over,
	// because EndSessions came between, has ended before it began. It is not given back.
	Epoch int64
	// Upstream names the session at an upstream provider by which the user signed in (see [Upstreams]); zero for none. It is not
	// given back.
	Upstream Digest
	// Evidence is stored with the session and not given back with it.
	Evidence []Evidence
}

// Interaction is one browser working on one request, from the authorization endpoint to the decision.
type Interaction struct {
	// ID is the digest of the handle in the page's address.
	ID Digest
	// RequestID names the request that is worked on.
	RequestID Digest
	// Browser is the digest of the cookie of the browser that began.
	Browser Digest
	// Session is the sign-in that the decision will be made under, or zero.
	Session Digest
	// SignInFailures counts wrong passwords.
	SignInFailures int
	CreatedAt      time.Time
	ExpiresAt      time.Time
	// Evidence is stored with the interaction and not given back with it.
	Evidence []Evidence
}

// Pending is an interaction with what it refers to.
type Pending struct {
	Interaction Interaction
	Request     Request
	// Session is nil until the interaction is bound to an unexpired session of an enabled user.
	Session *Session
	// Username is that of the session's user.
	Username string
}

// Opened is a pushed request with what is known about the browser that opens it.
type Opened struct {
	Request Request
	// Session is nil unless the browser has an unexpired session of an enabled user.
	Session *Session
	// Consent is what that user allowed the request's client before, if it is still valid; nil otherwise.
	Consent *Consent
}

// Consent is what a user allowed a client and need not be asked again. There is at most one per user and client.
type Consent struct {
	Subject  string
	ClientID string
	Scopes   []string
	// Claims are the names of single claims that were allowed besides those of the scopes.
	Claims    []string
	CreatedAt time.Time
	// ExpiresAt ends it.
	ExpiresAt time.Time
}

// Grant is what a user allowed a client or, without a Subject, what the client was granted for itself.
type Grant struct {
	ID       string
	ClientID string
	Subject  string
	Scopes   []string
	// Detail is the rest of what was granted, encoded by its owner: claims, nonce, resources.
	Detail   json.RawMessage
	AuthTime time.Time
	ACR      string
	AMR      []string
	// CreatedAt is the time of the decision.
	CreatedAt time.Time
	// ExpiresAt ends the grant and every refresh token of it.
	ExpiresAt time.Time
	// RevokedAt is zero while the grant is not revoked.
	RevokedAt time.Time
	// ManagedID names the grant to its client (Grant Management for OAuth 2.0): a grant that takes its place has the same one.
	// Empty where the client has not asked for one.
	ManagedID string
	// UserGone reports, where a code or a refresh token is read, that the user is disabled or deleted. It is
	// not stored.
	UserGone bool
}

// Code is an authorization code (RFC 6749 §4.1.2).
type Code struct {
	ID          Digest
	GrantID     string
	ClientID    string
	RedirectURI string
	// Challenge is the S256 code_challenge (RFC 7636 §4.3).
	Challenge string
	// JKT is the thumbprint of the DPoP key that the code is bound to, or empty (RFC 9449 §10).
	JKT       string
	CreatedAt time.Time
	ExpiresAt time.Time
	// ConsumedAt is zero until the code was redeemed.
	ConsumedAt time.Time
	// Failures counts refused redemptions by the right client.
	Failures int
}

// AccessToken is the record of an issued access token; the token itself is never stored.
type AccessToken struct {
	// ID is the digest of the token's jti.
	ID      Digest
	GrantID string
	// ExpiresAt ends the token.
	ExpiresAt time.Time
	// Evidence is stored with the record and not given back with it.
	Evidence []Evidence
}

// RefreshToken is the record of an issued refresh token.
type RefreshToken struct {
	// ID is the digest of the token.
	ID        Digest
	GrantID   string
	ClientID  string
	CreatedAt time.Time
	ExpiresAt time.Time
	RevokedAt time.Time
}

// Finish is the outcome of an interaction.
type Finish struct {
	// Interaction and Request name what is answered. Interaction is zero when no page was shown; the request
	// itself must then still be alive.
	Interaction Digest
	Request     Digest
	// Grant and Code are what the user allowed; both nil when the user (or the policy) refused.
	Grant *Grant
	Code  *Code
	// Consent, if not nil, replaces the one of its user and client.
	Consent *Consent
	// Lodged, if not nil, is what is decided about a lodged consent by answering.
	Lodged *ConsentDecision
	// Replaces, if not empty, is the ID of the grant whose place Grant takes: of the same client, subject and ManagedID.
	Replaces string
	// Evidence is what the winner will release.
	Evidence []Evidence
}

// Issued is what a code or an auth_req_id is exchanged for.
type Issued struct {
	AccessToken AccessToken
	// RefreshToken is nil when none is issued.
	RefreshToken *RefreshToken
	// Session is nil unless the client is to be told of the end of the session in which it gets its ID token. When that has
	// ended meanwhile, the notice is enqueued at once.
	Session *SessionClient
	// Reuse is stored instead of the evidence of the access token, when a code was consumed before and its grant is revoked.
	Reuse []Evidence
}

// Requests are the verbs from the pushed request to the decision.
type Requests interface {
	// Push stores a request with its evidence and consumes the one-time values, all or nothing.
	Push(ctx context.Context, request Request, oneTimes ...OneTime) error
	// Open reads a request and, when session is not zero and unexpired, that session and what its user allowed the
	// client before, changing nothing. With ErrExpired and ErrConsumed the request is returned too, so that the error
	// can be sent to its client.
	Open(ctx context.Context, request, session Digest) (Opened, error)
	// BeginInteraction stores a new interaction.
	BeginInteraction(ctx context.Context, interaction Interaction) error
	// Interaction reads an interaction of this browser. Another browser's is ErrNotFound; one whose time is
	// over is ErrExpired; one whose request was answered is ErrConsumed (the Pending is returned with both).
	Interaction(ctx context.Context, interaction, browser Digest) (Pending, error)
	// SignIn stores a session and binds the interaction to it. The session that the interaction was bound to
	// before, if any, is ended, and so is the session's Former: see [Logouts].
	SignIn(ctx context.Context, interaction Digest, session Session) error
	// SignInFailed counts a wrong password, stores the evidence of it, and returns the new count.
	SignInFailed(ctx context.Context, interaction Digest, evidence ...Evidence) (int, error)
	// EndSession ends a session, enqueues the notices of it and stores the evidence; one that does not exist is no error and
	// leaves none.
	EndSession(ctx context.Context, session Digest, evidence ...Evidence) error
	// Finish answers the request: of all callers one wins and the rest get ErrConsumed; ErrExpired when the
	// interaction's time is over (the request's, where there is no interaction); ErrNotFound for an unknown one.
	// The winner's grant, code, consent and evidence are stored in the same transaction, in which its lodged consent is authorised
	// or rejected, and the grant that its grant replaces ends, as in RevokeGrant, by [RevokedByReplacement]; ErrConflict, and
	// nothing is stored, when the consent may not be authorised, or is not what was shown, or when there is no such grant, or none
	// that is valid.
	Finish(ctx context.Context, finish Finish) error
}

// Grants are the verbs of codes and tokens.
type Grants interface {
	// CodeGrant reads a code and its grant, changing nothing. A consumed, expired or ended code is returned as it
	// is: the caller looks at ConsumedAt, ExpiresAt, Failures and the grant's RevokedAt. ErrNotFound otherwise.
	CodeGrant(ctx context.Context, code Digest) (Code, Grant, error)
	// RedeemCode consumes the code, records what was issued and consumes oneTimes, in one transaction. Of all callers
	// one wins. A later caller gets ErrConsumed, and the code's grant is revoked by that same call, whatever
	// the later caller wanted issued; its oneTimes are consumed. But a caller whose one-time values were seen before
	// gets ErrReplayed: one request that arrives twice is no theft. ErrExpired, ErrRevoked and ErrReplayed change nothing.
	RedeemCode(ctx context.Context, code Digest, issued Issued, oneTimes ...OneTime) error
	// RedemptionFailed counts a refused redemption by the right client and returns the new count.
	RedemptionFailed(ctx context.Context, code Digest) (int, error)
	// RefreshGrant reads a refresh token and its grant, changing nothing, as CodeGrant does.
	RefreshGrant(ctx context.Context, token Digest) (RefreshToken, Grant, error)
	// Refresh checks that the refresh token and its grant are still valid, records the access token issued for it
	// and consumes oneTimes, in one transaction. The refresh token stays valid (FAPI 2.0 Security Profile
	// §5.3.2.1-9). ErrNotFound, ErrExpired, ErrRevoked and ErrReplayed change nothing.
	Refresh(ctx context.Context, token Digest, issued AccessToken, oneTimes ...OneTime) error
	// AccessGrant reads the grant behind an access token. ErrNotFound, ErrExpired, ErrRevoked.
	// oneTimes are consumed by the same call: ErrReplayed when one was seen before.
	AccessGrant(ctx context.Context, token Digest, oneTimes ...OneTime) (Grant, error)
	// IssueToken stores a grant without a user (RFC 6749 §4.4) with the one access token issued for it,
	// and consumes oneTimes, in one transaction; ErrReplayed changes nothing.
	IssueToken(ctx context.Context, grant Grant, issued AccessToken, oneTimes ...OneTime) error
	// RevokeGrant ends a grant with its codes and tokens, and deletes the consent of its user and client;
	// revoking twice is no error, and by, such as [RevokedByClient], is stored the first time. It stores the evidence, each time, and consumes oneTimes in the same transaction;
	// ErrNotFound and ErrReplayed change nothing.
	RevokeGrant(ctx context.Context, grantID, by string, evidence []Evidence, oneTimes ...OneTime) error
	// EndClientGrant is RevokeGrant for a grant of a client: another client's, and one that was revoked before, is ErrNotFound.
	EndClientGrant(ctx context.Context, clientID, grantID string, evidence []Evidence, oneTimes ...OneTime) error
	// ManagedGrant reads the valid grant that a client knows by a ManagedID; ErrNotFound for another client's, and for one that has
	// ended. UserGone is as in CodeGrant.
	ManagedGrant(ctx context.Context, clientID, managedID string) (Grant, error)
	// RevokeAccessToken ends one access token, so that AccessGrant answers ErrRevoked or ErrNotFound; an unknown
	// one is no error. It stores the evidence and consumes oneTimes in the same transaction; ErrReplayed changes nothing.
	RevokeAccessToken(ctx context.Context, token Digest, evidence []Evidence, oneTimes ...OneTime) error
}

// OneTimes consumes one-time values on their own, where no other verb does.
type OneTimes interface {
	// ConsumeOneTime consumes all values, or none and returns ErrReplayed.
	ConsumeOneTime(ctx context.Context, oneTimes ...OneTime) error
}

// Seeds are the verbs of the server's own random values that all nodes share and that sign nothing for others:
// what nonces and pairwise subjects are derived from.
type Seeds interface {
	// Seed returns the value stored under a name. When there is none, it stores fresh and returns that: of all
	// callers the first one's value stays.
	Seed(ctx context.Context, name string, fresh []byte) ([]byte, error)
}

// Store is everything. A handler holds just the verbs that it uses, as one of the groups or as an interface of its own; only
// the wiring has a whole Store (internal/arch holds the rooms of fapi to that).
type Store interface {
	Requests
	Grants
	Records
	Backchannel
	OneTimes
	Limits
	Clients
	Directories
	Users
	Keys
	Audit
	Seeds
	Authenticators
	Accounts
	HandOffs
	Upstreams
	DataSubjects
	Logouts
	Consents
	Approvals
	Lists
	Figures
	Refusals
	Examined
	// Ping reports whether the database takes writes: those of the last second show it, or else one of its own does. The
	// error is what keeps it from writing.
	Ping(ctx context.Context) error
	// Purge removes at most limit records of each kind that are no longer needed and returns how many it removed.
	// What a backend drops by whole partitions may stay two hours longer, and is not counted. Codes and requests,
	// backchannel ones too, stay known for an hour after their end, so that a late use can be distinguished from a
	// made-up one.
	Purge(ctx context.Context, limit int) (int, error)
	// Close releases the database. Running verbs end first.
	Close() error
}
