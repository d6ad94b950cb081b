package browser

import (
	"context"
	"errors"
	"time"
)

// Directory proves that a user name and a password belong together.
type Directory interface {
	// Authenticate returns the subject of the user with this name and password.
	Authenticate(ctx context.Context, username, password string) (subject string, err error)
}

// PasswordACR is the authentication context class that a user name and a password reach: ours, since no registered one
// says just that.
const PasswordACR = "urn:countersign:acr:password"

// Passwords authenticates users by a directory.
type Passwords struct {
	Directory Directory
	// Refused is the directory's error for a name and a password that do not belong together.
	Refused error
	// Throttled is its error for too many attempts. What wraps it may say how long to wait, by a method
	// RetryAfter() time.Duration.
	Throttled error
}

// Authenticate checks a user name and a password. What is wrong with them is the problem; an error is the server's own.
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
	case err == nil:
		return Authentication{Subject: subject, ACR: PasswordACR, AMR: []string{"pwd"}}, Problem{}, nil
	case errors.Is(err, p.Throttled):
		return Authentication{}, Problem{Code: TooManyAttempts, Wait: retryAfter(err)}, nil
	case errors.Is(err, p.Refused):
		return Authentication{}, Problem{Code: WrongPassword}, nil
	}
	return Authentication{}, Problem{}, err
}

// retryAfter is how long to wait after an error of the kind Throttled.
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
