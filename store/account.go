package store

import (
	"context"
	"time"
)

// The values of RevokedBy, each of who ended a grant. It is empty where the release before ended it and nobody knows.
const (
	RevokedByUser     = "user"
	RevokedByClient   = "client"
	RevokedByOperator = "operator"
	// RevokedByServer: the server itself ended it, because its code came twice.
	RevokedByServer = "server"
	// RevokedByReplacement: another grant with the same ManagedID has taken its place. The user's account does not list it.
	RevokedByReplacement = "replaced"
)

// UsedEvery is how exact the time of the last use of a grant is: a use within this time of the decision, or of the last one
// that was recorded, is not recorded, so that tokens that are used often cost nothing.
const UsedEvery = time.Hour

// Page is a part of a list that begins with the newest. The zero position is the beginning.
type Page struct {
	// At and Key are the position of the last record of the page before.
	At  time.Time
	Key string
	// Limit is how many are listed at most; it must be set.
	Limit int
}

// Access is what a user gave a client: all grants together that are neither revoked nor expired, and the consent; or, where
// nothing of that is left, all grants that are still known.
type Access struct {
	ClientID string
	// Grants counts them; 0 when there is a consent alone.
	Grants int
	// GivenAt is the time of the first decision, and LastAt that of the last.
	GivenAt, LastAt time.Time
	// UsedAt is the last time, to [UsedEvery], that an access token was issued for a refresh token; zero for none later than that
	// after the decision.
	UsedAt time.Time
	// ExpiresAt is the latest end.
	ExpiresAt time.Time
	// EndedAt is when the last of it ended; zero while something is left.
	EndedAt time.Time
}

// AccessFilter chooses what a user gave.
type AccessFilter struct {
	Subject string
	// ClientID is empty for every client.
	ClientID string
	// Ended chooses what has ended, in place of what is left.
	Ended bool
}

// Position is the place of what a user gave in the list; see [Page].
func (a Access) Position() (at time.Time, key string) {
	if !a.EndedAt.IsZero() {
		return a.EndedAt, a.ClientID
	}
	return a.LastAt, a.ClientID
}

// GivenGrant is a grant with what only its user asks about.
type GivenGrant struct {
	Grant
	// UsedAt is as in [Access].
	UsedAt time.Time
	// RevokedBy is who ended it, such as [RevokedByUser]; empty where nobody did, or nobody knows who.
	RevokedBy string
}

// Ending is the end of what a user gave a client.
type Ending struct {
	Subject, ClientID string
	// GrantID restricts it to one grant; empty is all of them.
	GrantID string
	// By is stored with the grants that end, as their RevokedBy.
	By string
	// Evidence is stored if something ends.
	Evidence []Evidence
}

// KnownBrowser is a browser in which a user has signed in, and that is known since.
type KnownBrowser struct {
	// ID is the digest of a name that only the browser has.
	ID Digest
	// Agent is as in [Session].
	Agent string
	// UsedAt is the last sign-in in it.
	CreatedAt, UsedAt, ExpiresAt time.Time
}

// MaxKnownBrowsers is how many browsers of a user are known: of more, those go first that were not used for the longest time.
const MaxKnownBrowsers = 50

// Browsers are the verbs of the browsers that are known.
type Browsers interface {
	// KnowBrowser stores a browser of a user, or renews one that is known, which keeps its CreatedAt. ErrNotFound for a user who
	// does not exist or was erased.
	KnowBrowser(ctx context.Context, subject string, browser KnownBrowser) error
	// KnowsBrowser reports whether a browser is known and has not expired.
	KnowsBrowser(ctx context.Context, subject string, id Digest) (bool, error)
	// ListBrowsers lists those of a user that have not expired, by their last use, the newest first.
	ListBrowsers(ctx context.Context, subject string) ([]KnownBrowser, error)
	// ForgetBrowser has one browser of a user be unknown again, with the evidence; ErrNotFound.
	ForgetBrowser(ctx context.Context, subject string, id Digest, evidence ...Evidence) error
}

// Accounts are the verbs of a user's own account: of what they gave, and of where they are signed in. What belongs to another
// user is as if it did not exist.
type Accounts interface {
	Browsers
	// ListAccess lists what a user gave, by client, the newest first: what is left of it by the last decision, and what has ended
	// by its end.
	ListAccess(ctx context.Context, filter AccessFilter, page Page) ([]Access, error)
	// ListGiven lists the grants of a user to a client, ended ones too, the newest first. The position is the time of the
	// decision, and the identifier.
	ListGiven(ctx context.Context, subject, clientID string, page Page) ([]GivenGrant, error)
	// EndAccess ends what a user gave a client: the grants that are neither revoked nor expired, with their codes and tokens, and
	// the consent; and stores the evidence if that was anything, all in one transaction. It returns how many grants ended.
	// Ending again changes nothing and is no error. ErrNotFound when nothing of the kind is known.
	EndAccess(ctx context.Context, ending Ending) (int, error)
	// ListSessions lists the sessions of a user that have not ended, the newest first. The position is the time of the sign-in,
	// and the identifier as a string of its bytes.
	ListSessions(ctx context.Context, subject string, page Page) ([]Session, error)
	// EndSessionOf ends a session of a user, with the evidence; ErrNotFound.
	EndSessionOf(ctx context.Context, subject string, session Digest, evidence ...Evidence) error
	// EndOtherSessions ends all sessions of a user but one, if that is not zero, and sign-ins that are under way (see
	// [Session].Epoch), and the enrolment codes that wait for a device,
	// and returns how many sessions ended. The evidence is stored in the same transaction.
	EndOtherSessions(ctx context.Context, subject string, kept Digest, evidence ...Evidence) (int, error)
	// ForgetBrowsers has every browser that a user made known before be unknown again ([Browsers], [User.BrowsersFrom]), with the
	// evidence; ErrNotFound for a user who does not exist or was erased.
	ForgetBrowsers(ctx context.Context, subject string, evidence ...Evidence) error
}
