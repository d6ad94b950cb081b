package claims

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"slices"
	"time"

	"countersign/fapi/profile"
	"countersign/fapi/rar/display"
	"countersign/internal/correlation"
	"countersign/internal/limit"
	"countersign/internal/oauth"
	"countersign/store"
)

// Purpose is why a [Source] is asked about a user.
type Purpose string

// The purposes. What a source answers must not depend on them: its answers are kept for all of them.
const (
	ForTokens   Purpose = "token"
	ForRefresh  Purpose = "refresh"
	ForUserInfo Purpose = "userinfo"
	// ForConsent asks for accounts to choose from.
	ForConsent Purpose = "consent"
)

// Question is about one user, on behalf of one client.
type Question struct {
	Subject  string
	ClientID string
	Purpose  Purpose
	// Scopes are those that the user allowed the client.
	Scopes []string
	// Names are the claims that would be released, sorted; Essential those of them without which the client cannot go on
	// (OpenID Connect Core §5.5.1).
	Names, Essential []string
}

// Answer is what a source says about a user.
type Answer struct {
	// Inactive reports that the user is disabled there.
	Inactive bool
	// Claims are among those that were asked for, each of its type ([Check]).
	Claims map[string]json.RawMessage
	// Accounts are those that the user may choose from, where they were asked for.
	Accounts []display.Offered
}

// ErrWrongSubject is the error of a source that answers about another user than the one that it was asked about.
var ErrWrongSubject = errors.New("fapi: the claims source answered about another user")

// Source is where claims about users come from in place of the built-in directory.
type Source struct {
	// Names are the claims that it may give.
	Names []string
	// CheckActive has it asked at each issue of tokens whether the user is active, also where no claim is wanted.
	CheckActive bool
	// Ask asks it. Errors are [ErrWrongSubject], or say why there is no answer.
	Ask func(context.Context, Question) (Answer, error)
	// Accounts asks it for the accounts that a user can choose from for types of authorization_details; nil for none. What it answered
	// before is not used. Errors are as those of Ask.
	Accounts func(ctx context.Context, q Question, types []string) (Answer, error)
}

// Users says what is known about users: it is the one place that is asked.
type Users struct {
	// Directory is the built-in directory.
	Directory interface {
		User(ctx context.Context, subject string) (store.User, error)
		EndSessions(ctx context.Context, subject string, evidence ...store.Evidence) error
	}
	// Source has the claims, if it is not nil; whether a user is disabled or erased is then asked of both.
	Source   *Source
	Evidence interface {
		SecurityEvent(ctx context.Context, clientID, name string, detail ...string)
	}
	Log *slog.Logger
	// recorded limits how often the same event is recorded of the same user.
	recorded *limit.Limiter
}

const (
	// recordEvery is how often the same event is recorded of the same user: requests of clients lead to it.
	recordEvery = time.Hour
	// recordedUsers bounds the events and users that this is remembered of.
	recordedUsers = 10_000
)

// WithSource returns u with a source.
func (u Users) WithSource(source *Source, now func() time.Time) (*Users, error) {
	if source == nil {
		return &u, nil
	}
	u.Source = source
	var err error
	u.recorded, err = limit.New(1/recordEvery.Seconds(), 1, recordedUsers, now)
	return &u, err
}

// Local reads what the built-in directory knows of a user. The error is [ErrUserGone], or one of the store.
func (u *Users) Local(ctx context.Context, subject string) (map[string]json.RawMessage, error) {
	user, err := u.Directory.User(ctx, subject)
	if errors.Is(err, store.ErrNotFound) {
		return nil, ErrUserGone
	}
	if err != nil {
		return nil, err
	}
	if user.Disabled {
		return nil, ErrUserGone
	}
	known := map[string]json.RawMessage{}
	if len(user.Claims) == 0 {
		return known, nil
	}
	return known, json.Unmarshal(user.Claims, &known)
}

// CheckActive reports whether to ask [Users.Known] also where no claim is wanted.
func (u *Users) CheckActive() bool { return u.Source != nil && u.Source.CheckActive }

// Has reports whether a claim about users can be had.
func (u *Users) Has(name string) bool {
	return u.Source == nil || slices.Contains(u.Source.Names, name)
}

// Names returns the claims of OpenID Connect about users that can be had.
func (u *Users) Names() []string {
	if u.Source == nil {
		return Names()
	}
	return slices.DeleteFunc(Names(), func(name string) bool { return !slices.Contains(u.Source.Names, name) })
}

// Known returns the claims about a user: those that the source gives of the ones asked for or, without a source, all that
// the directory has. The error is [ErrUserGone], an *[oauth.Error], or one of the store.
//
// Where the source gives no answer, tokens are issued without the claims that are voluntary: the client can ask UserInfo
// for them, and the user has signed in. UserInfo is not answered without them, because the client could not distinguish that
// from a user who has none. Nothing is issued without claims that are essential, and nothing at all where the source has to
// say that the user is active.
func (u *Users) Known(ctx context.Context, q Question) (map[string]json.RawMessage, error) {
	if u.Source == nil {
		return u.Local(ctx, q.Subject)
	}
	given := func(names []string) []string {
		return slices.DeleteFunc(slices.Clone(names), func(name string) bool { return !slices.Contains(u.Source.Names, name) })
	}
	q.Names, q.Essential = given(q.Names), given(q.Essential)
	if len(q.Names) == 0 && !u.Source.CheckActive {
		return map[string]json.RawMessage{}, nil
	}
	answer, err := u.Source.Ask(ctx, q)
	switch {
	case err == nil && answer.Inactive:
		return nil, u.inactive(ctx, q)
	case err == nil:
		return answer.Claims, nil
	case errors.Is(err, ErrWrongSubject):
		return nil, u.wrongSubject(ctx, q, err)
	case ctx.Err() != nil: // nobody waits for an answer
		return nil, err
	case u.Source.CheckActive || q.Purpose == ForUserInfo || len(q.Essential) > 0:
		return nil, unavailable(err)
	}
	u.Log.InfoContext(ctx, "voluntary claims left out", "correlation_id", correlation.ID(ctx), "client_id", q.ClientID,
		"error", err.Error())
	return map[string]json.RawMessage{}, nil
}

// Accounts returns the accounts that a user can choose from for types of authorization_details, as the source says now. The error is
// [ErrUserGone], an *[oauth.Error], or one of the store.
func (u *Users) Accounts(ctx context.Context, q Question, types []string) ([]display.Offered, error) {
	if u.Source == nil || u.Source.Accounts == nil {
		return nil, unavailable(errors.New("there is no source of accounts"))
	}
	answer, err := u.Source.Accounts(ctx, q, types)
	switch {
	case err == nil && answer.Inactive:
		return nil, u.inactive(ctx, q)
	case err == nil:
		return answer.Accounts, nil
	case errors.Is(err, ErrWrongSubject):
		return nil, u.wrongSubject(ctx, q, err)
	case ctx.Err() != nil:
		return nil, err
	}
	return nil, unavailable(err)
}

// ErrOtherUser is the cause of the error of [Users.Fits] for a user who is not the one whom the request names.
var ErrOtherUser = errors.New("fapi: a claim that is requested as essential has another value")

// Fits holds a user to the claims of an ecosystem that a request demands by value, such as a tax number: somebody else has not
// authenticated whom the client asked for. The error is then access_denied, with the cause [ErrOtherUser]; others are those of
// [Users.Known].
func (u *Users) Fits(ctx context.Context, wanted *Request, of profile.Profile, q Question) error {
	if q.Names = wanted.Restrains(of); len(q.Names) == 0 {
		return nil
	}
	q.Essential = q.Names
	known, err := u.Known(ctx, q)
	if err != nil && !errors.Is(err, ErrUserGone) {
		return err
	}
	name := wanted.Mismatch(known, of)
	if name == "" {
		return nil
	}
	return oauth.Errorf(oauth.AccessDenied, "the user who authenticated is not the one whom the request demands by the claim %s", name).
		Because(ErrOtherUser)
}

// inactive ends the sessions of a user who is disabled at the source, as users disable does.
func (u *Users) inactive(ctx context.Context, q Question) error {
	if err := u.Directory.EndSessions(ctx, q.Subject); err != nil {
		return err
	}
	u.record(ctx, q, "user_inactive", "by", "claims_source")
	return ErrUserGone
}

// record records an event in the audit log, once in a while.
func (u *Users) record(ctx context.Context, q Question, name string, detail ...string) {
	if due, _ := u.recorded.Allow(name + "\x00" + q.Subject); due {
		u.Evidence.SecurityEvent(ctx, q.ClientID, name, append([]string{"subject", q.Subject}, detail...)...)
	}
}

// wrongSubject refuses everything because of a source that answers about another user: nothing that it says can be relied on.
func (u *Users) wrongSubject(ctx context.Context, q Question, err error) error {
	u.Log.ErrorContext(ctx, "claims source answered about another user", "correlation_id", correlation.ID(ctx),
		"client_id", q.ClientID, "subject", q.Subject)
	u.record(ctx, q, "claims_source_wrong_subject")
	return oauth.Errorf(oauth.ServerError,
		"nothing was issued: the source of claims about users answered about another user; "+
			"give the operator the correlation id").Because(err)
}

// defaultRetry is the Retry-After where an error of the source says nothing about it.
const defaultRetry = 2 * time.Second

// unavailable is the error 503 with Retry-After.
func unavailable(err error) error {
	e := oauth.Errorf(oauth.TemporarilyUnavailable,
		"the server cannot reach the source of claims about users at the moment; nothing was issued, try again as Retry-After says")
	e.RetryAfter = defaultRetry
	type retrying interface {
		error
		RetryAfter() time.Duration
	}
	if known, ok := errors.AsType[retrying](err); ok {
		e.RetryAfter = known.RetryAfter()
	}
	return e.Because(err)
}
