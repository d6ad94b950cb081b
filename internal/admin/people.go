package admin

import (
	"context"
	"encoding/json"
	"errors"

	"countersign/internal/admin/fault"
	"countersign/store"
)

// Who finds the subject of a user by the user name or the subject itself. What is the name of one user and the subject of
// another is an error that names both.
func (a *Admin) Who(ctx context.Context, nameOrSubject string) (subject string, err error) {
	user, err := a.Store.UserByName(ctx, nameOrSubject)
	if errors.Is(err, store.ErrNotFound) {
		return nameOrSubject, nil
	}
	if err != nil || user.Subject == nameOrSubject {
		return nameOrSubject, err
	}
	_, err = a.Store.UserData(ctx, nameOrSubject)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return user.Subject, nil
	case err != nil:
		return "", err
	}
	return "", Usagef("%q is the name of the user with the subject %s, and the subject of another: give --by name or --by subject", nameOrSubject, user.Subject)
}

// Find finds the subject of a user by what is given: a name, a subject, or any of them, as [Admin.Who] does.
func (a *Admin) Find(ctx context.Context, given, by string) (subject string, err error) {
	switch by {
	case "name":
		user, err := a.User(ctx, given)
		return user.Subject, err
	case "subject":
		return given, nil
	}
	return a.Who(ctx, given)
}

// Person returns all that is stored about a subject.
func (a *Admin) Person(ctx context.Context, subject string) (store.UserData, error) {
	person, err := a.Store.UserData(ctx, subject)
	if errors.Is(err, store.ErrNotFound) {
		return person, fault.Missingf("nothing is stored about %q, neither as a user name nor as a subject", subject)
	}
	return person, err
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
