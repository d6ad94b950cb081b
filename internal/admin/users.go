package admin

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"countersign/internal/admin/fault"
	"countersign/internal/directory"
	"countersign/internal/strictjson"
	"countersign/store"
)

const (
	// minPassword is the least length, in characters, where a password is the only factor (NIST SP 800-63B-4 §3.1.1.2).
	minPassword = 15
	// MaxPassword is the greatest length of a password, in bytes.
	MaxPassword = 1024
)

// NewUser is a user to be added to the built-in directory.
type NewUser struct {
	Username string
	// Subject is the sub that clients see; a random one when it is empty.
	Subject string
	// Claims is a JSON object (see [Claims]).
	Claims json.RawMessage
}

// Claims puts a name and an e-mail address over a file of claims, which may be empty. What is wrong with the file is an
// [InputError].
func Claims(file []byte, name, email string) (json.RawMessage, error) {
	claims := map[string]any{}
	if len(file) > 0 {
		if err := strictjson.Decode(file, &claims); err != nil {
			return nil, fault.InInput(fmt.Errorf("not a JSON object of claims: %w", err))
		}
	}
	if _, ok := claims["sub"]; ok {
		return nil, fault.InInput(errors.New("sub is not a claim of the file; give it with --subject"))
	}
	if name != "" {
		claims["name"] = name
	}
	if email != "" {
		claims["email"] = email
	}
	return json.Marshal(claims)
}

// AddUser adds a user. The password is asked for only when nothing else is wrong.
func (a *Admin) AddUser(ctx context.Context, wanted NewUser, password func() ([]byte, error)) (store.User, error) {
	if err := checkUser(wanted.Username, wanted.Subject); err != nil {
		return store.User{}, err
	}
	_, err := a.Store.UserByName(ctx, wanted.Username)
	if err == nil {
		return store.User{}, fault.Refusedf("there is a user %q already; countersign users set-password changes the password", wanted.Username)
	}
	if !errors.Is(err, store.ErrNotFound) {
		return store.User{}, err
	}
	if wanted.Subject, err = a.newSubject(ctx, wanted.Subject); err != nil {
		return store.User{}, err
	}
	user := store.User{Subject: wanted.Subject, Username: wanted.Username, Claims: wanted.Claims}
	return user, a.savePassword(ctx, user, password)
}

// newSubject is the wanted subject, which must be new, or a random one.
func (a *Admin) newSubject(ctx context.Context, wanted string) (string, error) {
	if wanted == "" {
		return rand.Text(), nil
	}
	_, err := a.Store.User(ctx, wanted)
	if err == nil {
		return "", fault.Refusedf("the subject %q belongs to another user; subjects are never given twice", wanted)
	}
	if !errors.Is(err, store.ErrNotFound) {
		return "", err
	}
	is, err := isClient(ctx, a.Store, wanted)
	if is {
		return "", fault.Refusedf("the subject %q is the client_id of a client: a resource server could take tokens of the one for those of the other (RFC 9068 §5)", wanted)
	}
	return wanted, err
}

// isClient reports whether there is a client with an identifier, disabled or not.
func isClient(ctx context.Context, clients interface {
	Client(ctx context.Context, id string) (store.Client, error)
}, id string) (bool, error) {
	_, err := clients.Client(ctx, id)
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// SetPassword changes a user's password, which is asked for when the user was found. Whoever knew the old one is signed
// out: sessions and pending enrolment codes end. No browser is known by the old one, and none is listed.
func (a *Admin) SetPassword(ctx context.Context, username string, password func() ([]byte, error)) error {
	user, err := a.User(ctx, username)
	if err != nil {
		return err
	}
	if err := a.savePassword(ctx, user, password); err != nil {
		return err
	}
	if err := directory.Unlock(ctx, a.Store, user); err != nil {
		return fmt.Errorf("the password is changed, but wrong ones before it still count; countersign users unlock forgets them: %w", err)
	}
	if err := a.endSessions(ctx, user); err != nil {
		return err
	}
	return a.Store.ForgetBrowsers(ctx, user.Subject)
}

// Unlock forgets the wrong passwords that were tried for a user. The password stays as it is.
func (a *Admin) Unlock(ctx context.Context, username string) error {
	user, err := a.User(ctx, username)
	if err != nil {
		return err
	}
	err = directory.Unlock(ctx, a.Store, user)
	if recording, ok := a.Store.(audited); ok {
		return recording.done(ctx, err, "user_unlocked", "", "subject", user.Subject)
	}
	return err
}

// SignOut ends the sessions and pending enrolment codes of a subject, also of one that an external directory has.
func (a *Admin) SignOut(ctx context.Context, subject string) error {
	if _, err := a.Person(ctx, subject); err != nil {
		return err
	}
	return a.endSessions(ctx, store.User{Subject: subject, Username: subject})
}

func (a *Admin) endSessions(ctx context.Context, user store.User) error {
	if err := a.Store.EndSessions(ctx, user.Subject); err != nil {
		return fmt.Errorf("the sessions of %s may go on; countersign users sign-out ends them: %w", user.Username, err)
	}
	return nil
}

// Remaining is what a user has approved and approves with. It outlives passwords and sessions.
type Remaining struct {
	// Grants are the active ones, the newest first.
	Grants []store.Grant
	// Authenticators are applications, passkeys and browsers.
	Authenticators []Authenticator
}

// Remaining lists what goes on when the sessions of a subject have ended.
func (a *Admin) Remaining(ctx context.Context, subject string) (Remaining, error) {
	stored, err := a.Store.UserData(ctx, subject)
	if err != nil {
		return Remaining{}, err
	}
	var left Remaining
	for _, grant := range stored.Grants {
		if GrantState(grant, a.Now()) == "active" {
			left.Grants = append(left.Grants, grant)
		}
	}
	left.Authenticators = Users{a}.authenticators(subject, stored)
	return left, nil
}

// Commands is a line for each, with the command that ends it; empty when there is none.
func (r Remaining) Commands(username string) string {
	if len(r.Grants)+len(r.Authenticators) == 0 {
		return ""
	}
	var lines strings.Builder
	fmt.Fprintf(&lines, "still valid; end all with: countersign users sign-out %s --grants --devices\n", username)
	for _, grant := range r.Grants {
		fmt.Fprintf(&lines, "  grant to %s; countersign grants revoke %s\n", grant.ClientID, grant.ID)
	}
	for _, one := range r.Authenticators {
		fmt.Fprintf(&lines, "  %s %q; countersign devices remove %s %s\n", one.Kind, one.Name, username, one.ID)
	}
	return lines.String()
}

// EndRemaining revokes the active grants of a subject, or removes all that the user approves with, or both.
func (a *Admin) EndRemaining(ctx context.Context, subject string, grants, devices bool) (revoked, removed int, err error) {
	left, err := a.Remaining(ctx, subject)
	if err != nil {
		return 0, 0, err
	}
	for _, grant := range left.Grants {
		if !grants {
			break
		}
		if err := a.RevokeGrant(ctx, grant.ID); err != nil {
			return revoked, 0, err
		}
		revoked++
	}
	for _, one := range left.Authenticators {
		if !devices {
			break
		}
		if err := one.remove(ctx); err != nil && !errors.Is(err, store.ErrNotFound) {
			return revoked, removed, err
		}
		removed++
	}
	return revoked, removed, nil
}

func (a *Admin) savePassword(ctx context.Context, user store.User, password func() ([]byte, error)) error {
	given, err := password()
	if err != nil {
		return err
	}
	if err := checkPassword(given); err != nil {
		return err
	}
	if user.Password, err = directory.HashPassword(string(given)); err != nil {
		return err
	}
	return a.saveUser(ctx, user)
}

func checkPassword(password []byte) error {
	switch length := utf8.RuneCount(password); {
	case !utf8.Valid(password) || bytes.ContainsAny(password, "\x00\n\r"):
		return fault.Invalidf("the password holds characters that cannot be typed")
	case length < minPassword:
		return fault.Invalidf("the password is shorter than %d characters; a few words do well (NIST SP 800-63B-4 §3.1.1.2)", minPassword)
	case len(password) > MaxPassword:
		return fault.Invalidf("the password is longer than %d bytes", MaxPassword)
	}
	return nil
}

// SetUserCode sets the code without which clients cannot ask for a user (CIBA Core §7.1). What is wrong with the code is an
// [InputError].
func (a *Admin) SetUserCode(ctx context.Context, username, code string) error {
	hash, err := directory.HashUserCode(code)
	if err != nil {
		return fault.InInput(err)
	}
	return a.saveUserCode(ctx, username, hash)
}

// RemoveUserCode removes a user's code.
func (a *Admin) RemoveUserCode(ctx context.Context, username string) error {
	return a.saveUserCode(ctx, username, "")
}

func (a *Admin) saveUserCode(ctx context.Context, username, hash string) error {
	user, err := a.User(ctx, username)
	if err != nil {
		return err
	}
	user.UserCode = hash
	return a.saveUser(ctx, user)
}

// SetUserDisabled keeps a user from signing in, or lets the user again. Sessions and pending enrolment codes end with
// both: before a user is enabled, so that no session of before comes back.
func (a *Admin) SetUserDisabled(ctx context.Context, username string, disabled bool) error {
	user, err := a.User(ctx, username)
	if err != nil {
		return err
	}
	user.Disabled = disabled
	return Users{a}.saveAndEnd(ctx, user)
}

// saveAndEnd stores a user who was disabled or enabled, and ends the sessions.
func (u Users) saveAndEnd(ctx context.Context, user store.User) error {
	if !user.Disabled {
		if err := u.endSessions(ctx, user); err != nil {
			return err
		}
		return u.saveUser(ctx, user)
	}
	if err := u.saveUser(ctx, user); err != nil {
		return err
	}
	return u.endSessions(ctx, user)
}

// User finds a user by name. One that was erased is an error.
func (a *Admin) User(ctx context.Context, username string) (store.User, error) {
	user, err := a.Store.UserByName(ctx, username)
	if errors.Is(err, store.ErrNotFound) {
		return store.User{}, fault.Missingf("there is no user %q; countersign users list shows those that exist", username)
	}
	if err != nil {
		return store.User{}, err
	}
	if !user.ErasedAt.IsZero() {
		return store.User{}, fault.Refusedf("%s was erased: add a new user instead", user.Subject)
	}
	return user, nil
}

// UserState is "enabled", "locked" (wrong passwords in a row: see [directory.Failed]), "disabled" or "erased".
func UserState(user store.User, failed directory.Failed) string {
	switch {
	case !user.ErasedAt.IsZero():
		return "erased"
	case user.Disabled:
		return "disabled"
	case failed.Locked || failed.LockedOut:
		return "locked"
	}
	return "enabled"
}

func (a *Admin) saveUser(ctx context.Context, user store.User) error {
	user.UpdatedAt = a.Now()
	if user.CreatedAt.IsZero() {
		user.CreatedAt = user.UpdatedAt
	}
	err := a.Store.PutUser(ctx, user)
	if errors.Is(err, store.ErrConflict) {
		return fault.Refusedf("the name %q belongs to another user", user.Username)
	}
	return err
}

func checkUser(username, subject string) error {
	unfit := func(r rune) bool { return unicode.IsControl(r) || unicode.IsSpace(r) }
	if username == "" || len(username) > 200 || !utf8.ValidString(username) || strings.ContainsFunc(username, unfit) {
		return fault.Invalidf("the user name must be 1 to 200 bytes without spaces and control characters")
	}
	// OpenID Connect Core §2: sub is at most 255 ASCII characters.
	notASCII := func(r rune) bool { return r <= 0x20 || r > 0x7e }
	if len(subject) > 255 || strings.ContainsFunc(subject, notASCII) {
		return fault.Invalidf("the subject must be at most 255 printable ASCII characters (OpenID Connect Core §2)")
	}
	return nil
}
