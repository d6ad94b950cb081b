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
// both, the user and the hash of the user's password, under a key that all nodes share. So nobody can make an entry for another
// user, and a new password makes every browser a stranger. The digest of the name is stored with the user, who sees each browser
// and has it forgotten: what is not stored does not count. Entries of the release before were not stored. They count until all are
// forgotten or the user signs in with them, which stores them.
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

// codeOf authenticates an entry of a user that is stored; of the release before, one that is not.
func (d *Directory) codeOf(e entry, user store.User, isStored bool) []byte {
	code := hmac.New(sha256.New, d.key)
	password := sha256.Sum256([]byte(user.Password))
	parts := []string{e.name, user.Subject, string(password[:])}
	if isStored {
		parts = append(parts, "stored")
	}
	for _, part := range parts {
		code.Write(binary.BigEndian.AppendUint64(nil, uint64(len(part))))
		code.Write([]byte(part))
	}
	code.Write(binary.BigEndian.AppendUint64(nil, uint64(e.ends.Unix())))
	return code.Sum(nil)
}

// of reports whether an entry is one of the user's, made since the user last had all browsers forgotten, and whether it counts only
// as long as it is stored.
func (d *Directory) of(e entry, user store.User) (own, isStored bool) {
	if e.ends.Add(-KnownFor).Before(user.BrowsersFrom) {
		return false, false
	}
	isStored = hmac.Equal(e.code, d.codeOf(e, user, true))
	return isStored || hmac.Equal(e.code, d.codeOf(e, user, false)), isStored
}

// known returns the name of the browser, if it is known for the user.
func (d *Directory) known(ctx context.Context, cookie string, user store.User) (string, error) {
	if user.Subject == "" {
		return "", nil
	}
	for _, e := range d.entries(cookie) {
		own, isStored := d.of(e, user)
		if !own {
			continue
		}
		if !isStored {
			return e.name, nil
		}
		known, err := d.browsers.KnowsBrowser(ctx, user.Subject, store.DigestOf(e.name))
		if err != nil {
			return "", fmt.Errorf("directory: find the browser: %w", err)
		}
		if known {
			return e.name, nil
		}
	}
	return "", nil
}

// remember makes the cookie of a browser in which the user has signed in, and stores the browser. One that is known keeps its name
// for the user; name is that, or empty.
func (d *Directory) remember(ctx context.Context, cookie, name, agent string, user store.User) (string, error) {
	now := d.now()
	made := entry{name: name, ends: now.Add(KnownFor)}
	if name == "" {
		made.name = random.Secret()
	}
	texts := []string{""}
	for _, e := range d.entries(cookie) {
		if own, _ := d.of(e, user); !own && len(texts) < maxKnown {
			texts = append(texts, e.String())
		}
	}
	made.code = d.codeOf(made, user, true)
	texts[0] = made.String()
	err := d.browsers.KnowBrowser(ctx, user.Subject, store.KnownBrowser{
		ID: store.DigestOf(made.name), Agent: agent, CreatedAt: now, UsedAt: now, ExpiresAt: made.ends,
	})
	if err != nil {
		return "", fmt.Errorf("directory: remember the browser: %w", err)
	}
	return strings.Join(texts, "."), nil
}

// Remember makes a browser known, by its cookie, to a user who has signed in without a password; agent is what it says that it is.
// It returns the new cookie.
func (d *Directory) Remember(ctx context.Context, subject, cookie, agent string) (string, error) {
	user, err := d.users.User(ctx, subject)
	if err != nil {
		return "", fmt.Errorf("directory: find the user: %w", err)
	}
	if user.Password == "" { // nobody can be locked out of what does not exist
		return "", nil
	}
	name, err := d.known(ctx, cookie, user)
	if err != nil {
		return "", err
	}
	return d.remember(ctx, cookie, name, agent, user)
}
