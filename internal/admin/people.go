package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"countersign/store"
)

// Person returns all that is stored about a subject. A user name in its place is an error that names the subject.
func (a *Admin) Person(ctx context.Context, subject string) (store.UserData, error) {
	person, err := a.Store.UserData(ctx, subject)
	if !errors.Is(err, store.ErrNotFound) {
		return person, err
	}
	if user, err := a.Store.UserByName(ctx, subject); err == nil {
		return person, fmt.Errorf("%q is a user name: the subject is %s", subject, user.Subject)
	}
	return person, fmt.Errorf("nothing is stored about the subject %q", subject)
}

// Export returns all that is stored about a subject as JSON. It holds no secret.
func (a *Admin) Export(ctx context.Context, subject string) ([]byte, error) {
	person, err := a.Person(ctx, subject)
	if err != nil {
		return nil, err
	}
	encoded, err := json.MarshalIndent(exported(subject, person, a.Now()), "", "  ")
	if err != nil {
		return nil, err
	}
	return append(encoded, '\n'), nil
}

// Erase ends all grants of a subject and deletes the rest. The subject stays, so that nobody else is given it.
func (a *Admin) Erase(ctx context.Context, subject string) error {
	return a.Store.EraseUser(ctx, subject)
}

// ActiveGrants counts the grants that are neither revoked nor expired.
func (a *Admin) ActiveGrants(grants []store.Grant) int {
	count := 0
	for _, grant := range grants {
		if GrantState(grant, a.Now()) == "active" {
			count++
		}
	}
	return count
}
