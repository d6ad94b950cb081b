package admin

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strconv"

	"countersign/internal/directory"
	"countersign/internal/userimport"
	"countersign/store"
)

// Imported is what came of one user of a file, as JSON too.
type Imported struct {
	Line     int    `json:"line"`
	Username string `json:"username,omitempty"`
	Subject  string `json:"sub,omitempty"`
	// Result is "added", "changed", "unchanged" or "refused".
	Result string `json:"result"`
	// Changed names what differs of a user who was changed, and Reason is why one was refused.
	Changed []string `json:"changed,omitempty"`
	Reason  string   `json:"reason,omitempty"`
}

// HowToImport is how users of a file are imported.
type HowToImport struct {
	// DryRun finds out what would come of it and changes nothing.
	DryRun bool
	// KeepPassword keeps the password that is made for a new user who has none, before the user is stored. Without it, that
	// user has none.
	KeepPassword func(username, password string) error
}

// ImportDone records what came of a file, where the store is [Audited]: how many users had each result, and the SHA-256 of the
// file in base64url. An import that changed nothing, too.
func (u Users) ImportDone(ctx context.Context, counts map[string]int, file [sha256.Size]byte) error {
	recording, ok := u.Store.(audited)
	if !ok {
		return nil
	}
	detail := []string{"file_sha-256", base64.RawURLEncoding.EncodeToString(file[:])}
	for _, result := range []string{"added", "changed", "unchanged", "refused"} {
		detail = append(detail, result, strconv.Itoa(counts[result]))
	}
	return recording.done(ctx, nil, "users_imported", "", detail...)
}

// refusal is why a user of a file is not imported.
type refusal struct{ error }

// Import imports one user. A user who exists, by the subject, or by the name if the file has no subject, is changed:
// claims of the file replace those of the same names, and the password is left alone, so that importing a file again changes
// nothing. The error is of the store, or of KeepPassword, and nothing is imported then.
func (u Users) Import(ctx context.Context, user userimport.User, how HowToImport) (Imported, error) {
	result := Imported{Line: user.Line, Username: user.Username, Subject: user.Subject}
	done, err := u.importUser(ctx, user, how, &result)
	if refused, is := errors.AsType[refusal](err); is {
		result.Result, result.Reason = "refused", refused.Error()
		return result, nil
	}
	result.Result = done
	return result, err
}

func (u Users) importUser(ctx context.Context, user userimport.User, how HowToImport, result *Imported) (string, error) {
	if err := checkUser(user.Username, user.Subject); err != nil {
		return "", refusal{err}
	}
	found, err := u.importedAs(ctx, user)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return "", err
	}
	if err != nil {
		return "added", u.addImported(ctx, user, how, result)
	}
	result.Subject = found.Subject
	was := found.Disabled
	if result.Changed, err = u.apply(&found, UserChange{user.Username, user.Claims}); err != nil {
		return "", refusal{err}
	}
	if user.Disabled != nil && *user.Disabled != was {
		found.Disabled = *user.Disabled
		result.Changed = append(result.Changed, "disabled")
	}
	switch {
	case len(result.Changed) == 0:
		return "unchanged", nil
	case how.DryRun:
		return "changed", nil
	case found.Disabled != was:
		return "changed", u.saveAndEnd(ctx, found)
	}
	return "changed", u.saveUser(ctx, found)
}

// importedAs finds the user that a user of a file is already; [store.ErrNotFound] for a new one.
func (u Users) importedAs(ctx context.Context, user userimport.User) (store.User, error) {
	named, err := u.Store.UserByName(ctx, user.Username)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return store.User{}, err
	}
	if user.Subject == "" {
		return named, err
	}
	if err == nil && named.Subject != user.Subject {
		return store.User{}, refusal{fmt.Errorf("the user name belongs to the subject %s", named.Subject)}
	}
	found, err := u.Store.User(ctx, user.Subject)
	if err == nil && !found.ErasedAt.IsZero() {
		return store.User{}, refusal{errors.New("the subject was erased, and subjects are never given twice")}
	}
	return found, err
}

func (u Users) addImported(ctx context.Context, user userimport.User, how HowToImport, result *Imported) error {
	subject, err := u.importedSubject(ctx, user.Subject)
	if err != nil {
		return err
	}
	made := store.User{Subject: subject, Username: user.Username, Disabled: user.Disabled != nil && *user.Disabled}
	kept := maps.Clone(user.Claims)
	maps.DeleteFunc(kept, func(_ string, value json.RawMessage) bool { return string(value) == "null" })
	if kept == nil {
		kept = map[string]json.RawMessage{}
	}
	if made.Claims, err = json.Marshal(kept); err != nil {
		return err
	}
	if made.Password, err = firstPassword(user, how); err != nil || how.DryRun {
		return err
	}
	result.Subject = subject
	return u.saveUser(ctx, made)
}

// importedSubject is [Admin.newSubject]; one that belongs to a client is a refusal.
func (u Users) importedSubject(ctx context.Context, wanted string) (string, error) {
	if wanted == "" {
		return rand.Text(), nil
	}
	is, err := isClient(ctx, u.Store, wanted)
	if is {
		return "", refusal{errors.New("the subject is the client_id of a client (RFC 9068 §5)")}
	}
	return wanted, err
}

// firstPassword is the hash of the password of a new user, or empty. A dry run checks, and makes none.
func firstPassword(user userimport.User, how HowToImport) (phc string, err error) {
	if user.PasswordHash != "" {
		if err := directory.CheckHash(user.PasswordHash); err != nil {
			return "", refusal{fmt.Errorf("password_hash: %w", err)}
		}
		return user.PasswordHash, nil
	}
	password := user.Password
	if password == "" && how.KeepPassword == nil {
		return "", nil
	}
	if password != "" {
		if err := checkPassword([]byte(password)); err != nil {
			return "", refusal{err}
		}
	}
	if how.DryRun {
		return "", nil
	}
	if password == "" {
		password = rand.Text()
		if err := how.KeepPassword(user.Username, password); err != nil {
			return "", err
		}
	}
	return directory.HashPassword(password)
}
