package browser

import (
	"context"
	"errors"
	"net/http"
	"time"

	"countersign/fapi/endpoint"
	"countersign/internal/oauth"
)

// Directory checks passwords.
type Directory interface {
	// Authenticate returns the user with this name and password.
	Authenticate(ctx context.Context, attempt Attempt) (Proven, error)
}

// Attempt is a sign-in with a password.
type Attempt struct {
	Username, Password string
	// Address is the network address of the browser; see [endpoint.AddressOf].
	Address string
	// Known is what [Proven] had the browser keep; empty for a browser that nobody has signed in with.
	Known string
	// Agent is which browser it says that it is; see [AgentOf].
	Agent string
	// Interaction names what the browser signs in for, of which Tries is the most wrong passwords that it takes; empty where
	// they are not counted.
	Interaction string
	Tries       int
}

// Proven is who has signed in with a password.
type Proven struct {
	// Subject is the user's stable identifier.
	Subject string
	// Known is kept by the browser, so that the directory knows it again; empty for nothing.
	Known string
	// Epoch is that of the user when the password was checked (see [store.Session]): a session does not begin when all have been
	// ended since. 0 where the directory does not know it.
	Epoch int64
}

// PasswordACR is the authentication context class that a password reaches. It is our own: no registered value has this
// meaning.
const PasswordACR = "urn:countersign:acr:password"

// Passwords authenticates users by a directory.
type Passwords struct {
	Directory Directory
	// Refused is the directory's error for a wrong user name or password. An error that wraps it may have methods
	// Subject() string and Reason() string, for the audit log.
	Refused error
	// Throttled is its error for too many attempts. An error that wraps it may have a method RetryAfter() time.Duration, and
	// one Locked() bool that reports that waiting does not help.
	Throttled error
	// Remember has the directory know a browser in which a user has signed in otherwise: it returns what the browser shall
	// keep in place of known. agent is which browser it says that it is. It may be nil.
	Remember func(ctx context.Context, subject, known, agent string) (string, error)
}

// Authenticate checks the user name and the password of an attempt, of which the request adds the address and what the browser
// keeps. The problem is for the user; an error is internal.
func (p Passwords) Authenticate(r *http.Request, attempt Attempt) (Authentication, Problem, error) {
	switch {
	case attempt.Username == "" && attempt.Password == "":
		return Authentication{}, Problem{Code: NeitherGiven}, nil
	case attempt.Username == "":
		return Authentication{}, Problem{Code: NoUsername}, nil
	case attempt.Password == "":
		return Authentication{}, Problem{Code: NoPassword}, nil
	}
	attempt.Address, attempt.Known, attempt.Agent = endpoint.AddressOf(r), knownBefore(r), AgentOf(r)
	proven, err := p.Directory.Authenticate(r.Context(), attempt)
	switch {
	case err != nil && errors.Is(err, p.Throttled):
		return Authentication{}, throttled(err), nil
	case err != nil && errors.Is(err, p.Refused):
		return Authentication{}, wrongPassword(err), nil
	case err != nil:
		return Authentication{}, Problem{}, err
	}
	return Authentication{Subject: proven.Subject, ACR: PasswordACR, AMR: []string{"pwd"}, Known: proven.Known, Epoch: proven.Epoch}, Problem{}, nil
}

// wrongPassword is the problem of an error that wraps Refused. What it says of the user and of the reason is for the audit log.
func wrongPassword(err error) Problem {
	problem := Problem{Code: WrongPassword}
	if known, found := errors.AsType[interface {
		error
		Subject() string
		Reason() string
	}](err); found {
		problem.Subject, problem.Reason = known.Subject(), known.Reason()
	}
	return problem
}

// Audited returns what the audit log has of the reason.
func (p Problem) Audited() string {
	if p.Reason != "" {
		return p.Reason
	}
	return string(p.Code)
}

// throttled is the problem of an error that wraps Throttled: to wait 1 min if the error does not say.
func throttled(err error) Problem {
	problem := Problem{Code: TooManyAttempts, Wait: time.Minute}
	if known, found := errors.AsType[interface {
		error
		RetryAfter() time.Duration
	}](err); found {
		problem.Wait = max(known.RetryAfter(), time.Second)
	}
	if known, found := errors.AsType[interface {
		error
		Locked() bool
	}](err); found && known.Locked() {
		problem.Code = Locked
	}
	return problem
}

// SetRetryAfter has a browser, or whatever says that it is one, wait as the problem says (RFC 9110 §10.2.3).
func (p Problem) SetRetryAfter(w http.ResponseWriter) {
	oauth.SetRetryAfter(w.Header(), p.Wait)
}

// Throttled reports whether nothing was checked because there were too many attempts.
func (p Problem) Throttled() bool { return p.Code == TooManyAttempts || p.Code == Locked }
