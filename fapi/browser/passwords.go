package browser

import (
	"context"
	"errors"
	"time"
)

// Directory checks passwords.
type Directory interface {
	// Authenticate returns the subject of the user with this name and password.
	Authenticate(ctx context.Context, username, password string) (subject string, err error)
}

// PasswordACR is the authentication context class that a password reaches. It is our own: no registered value has this
// meaning.
const PasswordACR = "urn:countersign:acr:password"

// Passwords authenticates users by a directory.
type Passwords struct {
	Directory Directory
	// Refused is the directory's error for a wrong user name or password.
	Refused error
	// Throttled is its error for too many attempts. An error that wraps it may have a method RetryAfter() time.Duration.
	Throttled error
}

// Authenticate checks a user name and a password. The problem is for the user; an error is internal.
func (p Passwords) Authenticate(ctx context.Context, username, password string) (Authentication, Problem, error) {
	switch {
	case username == "" && password == "":
		return Authentication{}, Problem{Code: NeitherGiven}, nil
	case username == "":
		return Authentication{}, Problem{Code: NoUsername}, nil
	case password == "":
		return Authentication{}, Problem{Code: NoPassword}, nil
	}
	subject, err := p.Directory.Authenticate(ctx, username, password)
	switch {
	case err != nil && errors.Is(err, p.Throttled):
		return Authentication{}, Problem{Code: TooManyAttempts, Wait: retryAfter(err)}, nil
	case err != nil && errors.Is(err, p.Refused):
		return Authentication{}, Problem{Code: WrongPassword}, nil
	case err != nil:
		return Authentication{}, Problem{}, err
	}
	return Authentication{Subject: subject, ACR: PasswordACR, AMR: []string{"pwd"}}, Problem{}, nil
}

// retryAfter returns how long to wait after an error that wraps Throttled; 1 min if the error does not say.
func retryAfter(err error) time.Duration {
	throttled, found := errors.AsType[interface {
		error
		RetryAfter() time.Duration
	}](err)
	if !found {
		return time.Minute
	}
	return max(throttled.RetryAfter(), time.Second)
}
