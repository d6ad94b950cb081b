package directory

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"strings"
	"time"

	"countersign/internal/random"
	"countersign/store"
)

// A browser in which a user has signed in before is known: wrong passwords of strangers do not lock it out. It holds a
// cookie with one entry for each of the last few users: a random name of its own, an end, and an authentication code over
// both, the user and the hash of the user's password, under a key that all nodes share. So nothing is stored, nobody can
// make an entry for another user, and a new password makes every browser a stranger. So does the user who has them forgotten:
// what was made before does not count.
const (
	// KnownFor is how long a browser is known after a sign-in.
	KnownFor = 180 * 24 * time.Hour
	// maxKnown is how many users of one browser are known.
	maxKnown = 5
	// knownKey is the length of the key, in bytes.
	knownKey = 32
)

// entry is one of the cookie's.
type entry struct {
	name string
	ends time.Time
	code []byte
}

// entries reads a cookie; what is malformed or has ended is left out.
func (d *Directory) entries(cookie string) []entry {
	var all []entry
	for text := range strings.SplitSeq(cookie, ".") {
		if len(all) == maxKnown {
			break
		}
		if e, ok := parseEntry(text); ok && e.ends.After(d.now()) {
			all = append(all, e)
		}
	}
	return all
}

const entryBytes = 8 + sha256.Size

func parseEntry(text string) (entry, bool) {
	name, rest, found := strings.Cut(text, "~")
	raw, err := base64.RawURLEncoding.DecodeString(rest)
	if !found || err != nil || len(name) != random.SecretLength || len(raw) != entryBytes {
		return entry{}, false
	}
	return entry{name, time.Unix(int64(binary.BigEndian.Uint64(raw)), 0), raw[8:]}, true
}

func (e entry) String() string {
	raw := binary.BigEndian.AppendUint64(nil, uint64(e.ends.Unix()))
	return e.name + "~" + base64.RawURLEncoding.EncodeToString(append(raw, e.code...))
}

// codeOf authenticates an entry of a user.
func (d *Directory) codeOf(e entry, user store.User) []byte {
	code := hmac.New(sha256.New, d.key)
	password := sha256.Sum256([]byte(user.Password))
	for _, part := range []string{e.name, user.Subject, string(password[:])} {
		code.Write(binary.BigEndian.AppendUint64(nil, uint64(len(part))))
		code.Write([]byte(part))
	}
	code.Write(binary.BigEndian.AppendUint64(nil, uint64(e.ends.Unix())))
	return code.Sum(nil)
}

// of reports whether an entry is one of the user's, made since the user last had all browsers forgotten.
func (d *Directory) of(e entry, user store.User) bool {
	return hmac.Equal(e.code, d.codeOf(e, user)) && !e.ends.Add(-KnownFor).Before(user.BrowsersFrom)
}

// known returns the name of the browser, if it is known for the user.
func (d *Directory) known(cookie string, user store.User) string {
	if user.Subject == "" {
		return ""
	}
	for _, e := range d.entries(cookie) {
		if d.of(e, user) {
			return e.name
		}
	}
	return ""
}

// remember makes the cookie of a browser in which the user has signed in. It keeps its name for the user.
func (d *Directory) remember(cookie string, user store.User) string {
	made := entry{name: random.Secret(), ends: d.now().Add(KnownFor)}
	texts := []string{""}
	for _, e := range d.entries(cookie) {
		switch {
		case d.of(e, user):
			made.name = e.name
		case len(texts) < maxKnown:
			texts = append(texts, e.String())
		}
	}
	made.code = d.codeOf(made, user)
	texts[0] = made.String()
	return strings.Join(texts, ".")
}

// Remember makes a browser known, by its cookie, to a user who has signed in without a password. It returns the new cookie.
func (d *Directory) Remember(ctx context.Context, subject, cookie string) (string, error) {
	user, err := d.users.User(ctx, subject)
	if err != nil {
		return "", fmt.Errorf("directory: find the user: %w", err)
	}
	return d.remember(cookie, user), nil
}
