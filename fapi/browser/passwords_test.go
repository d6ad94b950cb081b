package browser

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"countersign/store"
)

var (
	errRefused   = errors.New("refused")
	errThrottled = errors.New("throttled")
)

// directory remembers what it was asked.
type directory struct{ asked Attempt }

func (d *directory) Authenticate(_ context.Context, attempt Attempt) (Proven, error) {
	d.asked = attempt
	switch attempt.Password {
	case "right":
		return Proven{Subject: "sub-" + attempt.Username, Known: "known as " + attempt.Username}, nil
	case "locked":
		return Proven{}, locked{}
	}
	return Proven{}, errRefused
}

// locked is an errThrottled for which time does not help.
type locked struct{}

func (locked) Error() string             { return "locked" }
func (locked) Is(target error) bool      { return target == errThrottled }
func (locked) RetryAfter() time.Duration { return time.Hour }
func (locked) Locked() bool              { return true }

func post(remote string, cookies ...*http.Cookie) *http.Request {
	r := httptest.NewRequest(http.MethodPost, "/device", nil)
	r.RemoteAddr = remote
	for _, cookie := range cookies {
		r.AddCookie(cookie)
	}
	return r
}

// Covers: FD-60, FD-61. The directory is told from which address an attempt comes, and what the browser keeps.
func TestAttemptSaysWhereFrom(t *testing.T) {
	for _, test := range []struct {
		remote, want string
		cookies      []*http.Cookie
		known        string
	}{
		{"192.0.2.7:4711", "192.0.2.7", nil, ""},
		{"[::ffff:192.0.2.7]:4711", "192.0.2.7", []*http.Cookie{{Name: knownCookie, Value: "kept"}}, "kept"},
		{"[2001:db8:1:2:3:4:5:6]:4711", "2001:db8:1:2::/64", []*http.Cookie{{Name: "another", Value: "kept"}}, ""},
		{"192.0.2.7:4711", "192.0.2.7", []*http.Cookie{{Name: knownCookie, Value: string(make([]byte, maxKnownCookie+1))}}, ""},
	} {
		d := &directory{}
		p := Passwords{Directory: d, Refused: errRefused, Throttled: errThrottled}
		// What the caller says of it does not count.
		_, problem, err := p.Authenticate(post(test.remote, test.cookies...), Attempt{Username: "alice", Password: "wrong", Address: "x", Known: "x", Interaction: "one", Tries: 5})
		want := Attempt{Username: "alice", Password: "wrong", Address: test.want, Known: test.known, Interaction: "one", Tries: 5}
		if err != nil || problem.Code != WrongPassword || d.asked != want {
			t.Errorf("%s: asked %+v, want %+v; %v, %v", test.remote, d.asked, want, problem, err)
		}
	}
}

// TestLocked: a user for whom time does not help is told so, and a machine when to come again.
func TestLocked(t *testing.T) {
	p := Passwords{Directory: &directory{}, Refused: errRefused, Throttled: errThrottled}
	_, problem, err := p.Authenticate(post("192.0.2.7:1"), Attempt{Username: "alice", Password: "locked"})
	if err != nil || problem.Code != Locked || !problem.Throttled() {
		t.Errorf("got %+v, %v", problem, err)
	}
	w := httptest.NewRecorder()
	if problem.SetRetryAfter(w); w.Header().Get("Retry-After") != "3600" {
		t.Errorf("Retry-After is %q", w.Header().Get("Retry-After"))
	}
}

// sessions is a store of sessions that keeps none.
type sessions struct{}

func (sessions) StartSession(context.Context, store.Session, store.Digest) error   { return nil }
func (sessions) EndSession(context.Context, store.Digest, ...store.Evidence) error { return nil }

// Covers: FD-61. A browser is known after each kind of sign-in, by a cookie that no script and no other host gets.
func TestKnownCookie(t *testing.T) {
	remember := func(_ context.Context, subject, known, _ string) (string, error) {
		if subject == "sub-broken" {
			return "", errors.New("the disk is full")
		}
		return known + "+" + subject, nil
	}
	for name, test := range map[string]struct {
		signedIn Authentication
		remember func(context.Context, string, string, string) (string, error)
		want     string
	}{
		"by a password":                          {Authentication{Subject: "sub-alice", Known: "known as alice"}, remember, "known as alice"},
		"by a passkey":                           {Authentication{Subject: "sub-alice"}, remember, "before+sub-alice"},
		"where nothing is remembered":            {Authentication{Subject: "sub-alice"}, nil, ""},
		"although the directory does not answer": {Authentication{Subject: "sub-broken"}, remember, ""},
	} {
		t.Run("accepts a sign-in "+name, func(t *testing.T) {
			s := &Sessions{Store: sessions{}, Remember: test.remember, Lifetime: time.Hour, Now: time.Now}
			w := httptest.NewRecorder()
			if err := s.Begin(w, post("192.0.2.7:1", &http.Cookie{Name: knownCookie, Value: "before"}), test.signedIn); err != nil {
				t.Fatal(err)
			}
			set := map[string]*http.Cookie{}
			for _, cookie := range w.Result().Cookies() {
				set[cookie.Name] = cookie
			}
			if set[sessionCookie] == nil {
				t.Error("there is no session")
			}
			known := set[knownCookie]
			switch {
			case test.want == "" && known != nil:
				t.Errorf("the browser keeps %q", known.Value)
			case test.want == "":
			case known == nil || known.Value != test.want:
				t.Errorf("the browser keeps %v, want %q", known, test.want)
			case !known.Secure || !known.HttpOnly || known.Path != "/" || known.Domain != "" || known.SameSite != http.SameSiteLaxMode || known.MaxAge < 180*24*3600:
				t.Errorf("the cookie is %v", known)
			}
		})
	}
}
