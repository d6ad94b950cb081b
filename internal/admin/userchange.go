package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"time"

	"countersign/internal/admin/fault"
	"countersign/internal/directory"
	"countersign/internal/strictjson"
	"countersign/internal/userimport"
	"countersign/store"
)

// Users shows, changes and imports users. Make one with its Admin.
type Users struct{ *Admin }

// ShownUser is a user with all that an operator asks for first, as JSON too.
type ShownUser struct {
	// Username is empty for a user of an external directory, and for one that was erased.
	Username string `json:"username,omitempty"`
	Subject  string `json:"sub"`
	// State is that of [UserState], or "external" for a user who is not in the built-in directory.
	State    string `json:"state"`
	Password bool   `json:"password"`
	UserCode bool   `json:"user_code"`
	// WrongPasswords is how many there were in a row.
	WrongPasswords int             `json:"wrong_passwords"`
	Claims         json.RawMessage `json:"claims,omitempty"`
	CreatedAt      time.Time       `json:"created_at,omitzero"`
	UpdatedAt      time.Time       `json:"updated_at,omitzero"`
	ErasedAt       time.Time       `json:"erased_at,omitzero"`
	// Sessions is how many browsers are signed in, and LastSignIn the latest sign-in that a session or a grant still has.
	Sessions   int       `json:"sessions"`
	LastSignIn time.Time `json:"last_sign_in,omitzero"`
	// Devices are what the user approves with.
	Devices []Authenticator `json:"devices"`
	// Grants counts the active ones, and Consents those that are still valid.
	Grants   int `json:"grants"`
	Consents int `json:"consents"`
}

// Show describes a subject, by the limits of wrong passwords.
func (u Users) Show(ctx context.Context, subject string, rates directory.Rates) (ShownUser, error) {
	person, err := u.Person(ctx, subject)
	if err != nil {
		return ShownUser{}, err
	}
	now := u.Now()
	shown := ShownUser{Subject: subject, State: "external", Grants: u.ActiveGrants(person.Grants)}
	if err := u.showAccount(ctx, &shown, rates); err != nil {
		return ShownUser{}, err
	}
	for _, session := range person.Sessions {
		if now.Before(session.ExpiresAt) {
			shown.Sessions++
		}
		shown.LastSignIn = latest(shown.LastSignIn, session.AuthTime)
	}
	for _, grant := range person.Grants {
		shown.LastSignIn = latest(shown.LastSignIn, grant.AuthTime)
	}
	for _, consent := range person.Consents {
		if now.Before(consent.ExpiresAt) {
			shown.Consents++
		}
	}
	shown.Devices = u.authenticators(subject, person)
	return shown, nil
}

// showAccount fills in what the built-in directory has of a user; nothing for one who is not in it.
func (u Users) showAccount(ctx context.Context, shown *ShownUser, rates directory.Rates) error {
	user, err := u.Store.User(ctx, shown.Subject)
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	failed, err := rates.FailuresOf(ctx, u.Store, []store.User{user})
	if err != nil {
		return err
	}
	shown.Username, shown.State, shown.WrongPasswords = user.Username, UserState(user, failed[0]), failed[0].InRow
	shown.Password, shown.UserCode, shown.Claims = user.Password != "", user.UserCode != "", user.Claims
	shown.CreatedAt, shown.UpdatedAt, shown.ErasedAt = user.CreatedAt.UTC(), user.UpdatedAt.UTC(), user.ErasedAt.UTC()
	return nil
}

func latest(a, b time.Time) time.Time {
	if b.After(a) {
		return b.UTC()
	}
	return a
}

// UserChange is what is to become of a user.
type UserChange struct {
	// Username is a new name to sign in with, or empty.
	Username string
	// Claims replace those of the same names; null removes one.
	Claims map[string]json.RawMessage
}

// Change changes the name and the claims of a user, and returns the names of what differs. A new e-mail address, or
// telephone number, is not verified unless the change says so. Sessions and grants go on.
func (u Users) Change(ctx context.Context, subject string, change UserChange) (changed []string, err error) {
	for _, name := range slices.Sorted(maps.Keys(change.Claims)) {
		if err := userimport.Claim(name, change.Claims[name]); err != nil {
			return nil, fault.InInput(err)
		}
	}
	user, err := u.find(ctx, subject)
	if err != nil {
		return nil, err
	}
	changed, err = u.apply(&user, change)
	if err != nil || len(changed) == 0 {
		return nil, err
	}
	return changed, u.saveUser(ctx, user)
}

// find finds a user of the built-in directory by subject. One that was erased is an error.
func (u Users) find(ctx context.Context, subject string) (store.User, error) {
	user, err := u.Store.User(ctx, subject)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return user, fault.Missingf("there is no user %q in the built-in directory; countersign users list shows those that exist", subject)
	case err != nil:
		return user, err
	case !user.ErasedAt.IsZero():
		return user, fault.Refusedf("%s was erased: add a new user instead", subject)
	}
	return user, nil
}

// apply makes a change, of checked claims, to a user, and names what differs.
func (u Users) apply(user *store.User, change UserChange) ([]string, error) {
	var changed []string
	if change.Username != "" && change.Username != user.Username {
		if err := checkUser(change.Username, user.Subject); err != nil {
			return nil, err
		}
		user.Username = change.Username
		changed = append(changed, "username")
	}
	claims, differ, err := mergeClaims(user.Claims, change.Claims, u.Now())
	if err != nil {
		return nil, fmt.Errorf("the claims of subject %s as they are stored: %w", user.Subject, err)
	}
	if len(differ) > 0 {
		user.Claims = claims
	}
	return append(changed, differ...), nil
}

// verifiedBy are the claims that say of another that it was verified.
func verifiedBy() map[string]string {
	return map[string]string{"email": "email_verified", "phone_number": "phone_number_verified"}
}

// mergeClaims puts changes over claims and names those that differ, sorted. What was verified before is not verified when it
// differs, and a time of the last change is renewed (OpenID Connect Core §5.1).
func mergeClaims(stored json.RawMessage, changes map[string]json.RawMessage, now time.Time) (json.RawMessage, []string, error) {
	merged := map[string]json.RawMessage{}
	if len(stored) > 0 {
		if err := strictjson.Decode(stored, &merged); err != nil {
			return nil, nil, err
		}
	}
	var differ []string
	put := func(name string, value json.RawMessage) {
		before, had := merged[name]
		switch {
		case string(value) == "null" && !had, had && sameJSON(before, value):
			return
		case string(value) == "null":
			delete(merged, name)
		default:
			merged[name] = value
		}
		differ = append(differ, name)
	}
	for _, name := range slices.Sorted(maps.Keys(changes)) {
		put(name, changes[name])
	}
	for name, verified := range verifiedBy() {
		if _, said := changes[verified]; slices.Contains(differ, name) && !said {
			put(verified, json.RawMessage("null"))
		}
	}
	if _, said := changes["updated_at"]; len(differ) > 0 && !said && merged["updated_at"] != nil {
		merged["updated_at"] = json.RawMessage(strconv.FormatInt(now.Unix(), 10))
	}
	slices.Sort(differ)
	claims, err := json.Marshal(merged)
	return claims, differ, err
}

// sameJSON reports whether two texts are the same value: a store may write it in another way.
func sameJSON(a, b json.RawMessage) bool {
	var first, second any
	return json.Unmarshal(a, &first) == nil && json.Unmarshal(b, &second) == nil && reflect.DeepEqual(first, second)
}
