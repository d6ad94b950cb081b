package passkey

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"countersign/internal/passkey/passkeytest"
)

const origin = "https://login.example:8443"

var (
	alice = User{Subject: "sub-alice", Username: "alice", DisplayName: "Alice Example"}
	here  = Binding{Purpose: "sign-in", Browser: "a browser's secret", Content: "handle"}
)

// watch is a clock that stops until it is moved.
type watch struct{ now time.Time }

func (w *watch) Now() time.Time { return w.now }

func newCeremonies(t testing.TB) (*Ceremonies, *watch) {
	t.Helper()
	w := &watch{now: time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)}
	c, err := New(Config{Issuer: origin, Name: "Example Bank", Key: []byte(strings.Repeat("k", 32)), Now: w.Now})
	if err != nil {
		t.Fatal(err)
	}
	return c, w
}

// made registers a passkey.
func made(t testing.TB, c *Ceremonies) (*passkeytest.Authenticator, Stored) {
	t.Helper()
	a := passkeytest.New(t, origin)
	options, err := c.BeginRegistration(here, alice, nil)
	if err != nil {
		t.Fatal(err)
	}
	credential, _, err := c.Register(here, alice, a.Create(t, options))
	if err != nil {
		t.Fatal(err)
	}
	return a, Stored{Subject: alice.Subject, Credential: credential}
}

func having(stored Stored) func([]byte) (Stored, error) {
	return func(id []byte) (Stored, error) {
		if string(id) != string(stored.ID) {
			return Stored{}, errors.New("no such passkey")
		}
		return stored, nil
	}
}

func TestRegisterAndAssert(t *testing.T) {
	c, w := newCeremonies(t)
	a, stored := made(t, c)
	if string(stored.ID) != string(a.ID) || len(stored.PublicKey) == 0 || stored.Synced {
		t.Errorf("registered %+v", stored)
	}
	options, err := c.BeginAssertion(here, [][]byte{stored.ID})
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(options, `"userVerification":"required"`) || !strings.Contains(options, `"rpId":"login.example"`) {
		t.Errorf("the options are %s", options)
	}
	w.now = w.now.Add(ChallengeLifetime - time.Second)
	answer := a.Get(t, options)
	proven, claim, err := c.Assert(here, answer, having(stored))
	if err != nil {
		t.Fatal(err)
	}
	if proven.Subject != alice.Subject || proven.SignCount != 1 {
		t.Errorf("proven %+v", proven)
	}
	_, again, err := c.Assert(here, answer, having(stored))
	if err != nil || again != claim || claim.Key == [32]byte{} || !claim.Until.After(w.now) {
		t.Errorf("one answer has the claims %v and %v, %v", claim, again, err)
	}
	other, err := c.BeginAssertion(here, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, another, err := c.Assert(here, a.Get(t, other), having(stored)); err != nil || another.Key == claim.Key {
		t.Errorf("two challenges have one claim, %v", err)
	}
}

// TestAssertRefuses: an answer is good for its binding, its time, its origin and its key, and only with the user
// verified.
func TestAssertRefuses(t *testing.T) {
	c, w := newCeremonies(t)
	tests := map[string]struct {
		change  func(a *passkeytest.Authenticator, asked, checked *Binding)
		advance time.Duration
	}{
		"another purpose": {change: func(_ *passkeytest.Authenticator, _, b *Binding) { b.Purpose = "decide" }},
		"another browser": {change: func(_ *passkeytest.Authenticator, _, b *Binding) { b.Browser = "other" }},
		"another user":    {change: func(_ *passkeytest.Authenticator, _, b *Binding) { b.Subject = "sub-bob" }},
		"another content": {change: func(_ *passkeytest.Authenticator, _, b *Binding) { b.Content = "approve" }},
		"parts that only read the same": {change: func(_ *passkeytest.Authenticator, a, b *Binding) {
			a.Subject, a.Content, b.Subject, b.Content = "ab", "c", "a", "bc"
		}},
		"too late":              {change: func(*passkeytest.Authenticator, *Binding, *Binding) {}, advance: ChallengeLifetime},
		"another origin":        {change: func(a *passkeytest.Authenticator, _, _ *Binding) { a.Origin = "https://login.example.evil" }},
		"another port":          {change: func(a *passkeytest.Authenticator, _, _ *Binding) { a.Origin = "https://login.example" }},
		"another relying party": {change: func(a *passkeytest.Authenticator, _, _ *Binding) { a.RPID = "evil.example" }},
		"user not verified":     {change: func(a *passkeytest.Authenticator, _, _ *Binding) { a.Flags = passkeytest.UserPresent }},
		"user not present":      {change: func(a *passkeytest.Authenticator, _, _ *Binding) { a.Flags = passkeytest.UserVerified }},
		"another user handle":   {change: func(a *passkeytest.Authenticator, _, _ *Binding) { a.UserHandle = []byte("bob") }},
		"a registration":        {change: func(a *passkeytest.Authenticator, _, _ *Binding) { a.Type = "webauthn.create" }},
		"an invented challenge": {change: func(a *passkeytest.Authenticator, _, _ *Binding) {
			a.Challenge = strings.Repeat("A", challengeSize*4/3+1)
		}},
		"a short challenge": {change: func(a *passkeytest.Authenticator, _, _ *Binding) { a.Challenge = "AAAA" }},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			a, stored := made(t, c)
			asked, checked := here, here
			test.change(a, &asked, &checked)
			options, err := c.BeginAssertion(asked, nil)
			if err != nil {
				t.Fatal(err)
			}
			answer := a.Get(t, options)
			w.now = w.now.Add(test.advance)
			if _, _, err := c.Assert(checked, answer, having(stored)); !errors.Is(err, ErrRefused) {
				t.Errorf("got %v, want a refusal", err)
			}
		})
	}
	t.Run("another key", func(t *testing.T) {
		_, stored := made(t, c)
		thief := passkeytest.New(t, origin)
		thief.ID, thief.UserHandle = stored.ID, account{user: alice}.WebAuthnID()
		options, err := c.BeginAssertion(here, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := c.Assert(here, thief.Get(t, options), having(stored)); !errors.Is(err, ErrRefused) {
			t.Errorf("got %v, want a refusal", err)
		}
	})
	t.Run("a member twice", func(t *testing.T) {
		a, stored := made(t, c)
		options, err := c.BeginAssertion(here, nil)
		if err != nil {
			t.Fatal(err)
		}
		answer := strings.Replace(a.Get(t, options), `{`, `{"id":"AAAA",`, 1)
		if _, _, err := c.Assert(here, answer, having(stored)); !errors.Is(err, ErrRefused) {
			t.Errorf("got %v, want a refusal", err)
		}
	})
	t.Run("an unknown passkey", func(t *testing.T) {
		a, _ := made(t, c)
		options, err := c.BeginAssertion(here, nil)
		if err != nil {
			t.Fatal(err)
		}
		unknown := errors.New("unknown")
		_, _, err = c.Assert(here, a.Get(t, options), func([]byte) (Stored, error) { return Stored{}, unknown })
		if !errors.Is(err, unknown) {
			t.Errorf("got %v", err)
		}
	})
}

func TestRegisterRefuses(t *testing.T) {
	c, w := newCeremonies(t)
	for name, change := range map[string]func(a *passkeytest.Authenticator){
		"another origin":        func(a *passkeytest.Authenticator) { a.Origin = "https://evil.example" },
		"another relying party": func(a *passkeytest.Authenticator) { a.RPID = "evil.example" },
		"user not verified":     func(a *passkeytest.Authenticator) { a.Flags = passkeytest.UserPresent },
		"an assertion":          func(a *passkeytest.Authenticator) { a.Type = "webauthn.get" },
		"a short ID":            func(a *passkeytest.Authenticator) { a.ID = a.ID[:15] },
		"backed up though it cannot be": func(a *passkeytest.Authenticator) {
			a.Flags |= passkeytest.BackedUp
		},
	} {
		t.Run(name, func(t *testing.T) {
			a := passkeytest.New(t, origin)
			change(a)
			options, err := c.BeginRegistration(here, alice, nil)
			if err != nil {
				t.Fatal(err)
			}
			if _, _, err := c.Register(here, alice, a.Create(t, options)); !errors.Is(err, ErrRefused) {
				t.Errorf("got %v, want a refusal", err)
			}
		})
	}
	a := passkeytest.New(t, origin)
	options, err := c.BeginRegistration(here, alice, [][]byte{{1, 2, 3}})
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(options, `"excludeCredentials":[{"type":"public-key","id":"AQID"}]`) || strings.Contains(options, "sub-alice") {
		t.Errorf("the options are %s", options)
	}
	answer := a.Create(t, options)
	elsewhere := here
	elsewhere.Browser = "another"
	if _, _, err := c.Register(elsewhere, alice, answer); !errors.Is(err, ErrRefused) {
		t.Errorf("in another browser: %v", err)
	}
	w.now = w.now.Add(ChallengeLifetime)
	if _, _, err := c.Register(here, alice, answer); !errors.Is(err, ErrRefused) {
		t.Errorf("too late: %v", err)
	}
}

func TestSyncedIsRemembered(t *testing.T) {
	c, _ := newCeremonies(t)
	a := passkeytest.New(t, origin)
	a.Flags |= passkeytest.BackupEligible | passkeytest.BackedUp
	options, err := c.BeginRegistration(here, alice, nil)
	if err != nil {
		t.Fatal(err)
	}
	credential, _, err := c.Register(here, alice, a.Create(t, options))
	if err != nil || !credential.Synced {
		t.Errorf("got %+v, %v", credential, err)
	}
}

func TestNew(t *testing.T) {
	key := []byte(strings.Repeat("k", 32))
	for _, issuer := range []string{"https://127.0.0.1:8443", "https://[::1]"} {
		if _, err := New(Config{Issuer: issuer, Name: "n", Key: key, Now: time.Now}); !errors.Is(err, ErrNoDomain) {
			t.Errorf("%s: %v", issuer, err)
		}
	}
	for name, config := range map[string]Config{
		"plain http":  {Issuer: "http://login.example", Name: "n", Key: key, Now: time.Now},
		"a short key": {Issuer: origin, Name: "n", Key: key[:31], Now: time.Now},
		"no clock":    {Issuer: origin, Name: "n", Key: key},
		"no name":     {Issuer: origin, Key: key, Now: time.Now},
	} {
		if _, err := New(config); err == nil || errors.Is(err, ErrNoDomain) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// FuzzAnswers: whatever a browser sends, only a right answer is accepted.
func FuzzAnswers(f *testing.F) {
	c, _ := newCeremonies(f)
	a, stored := made(f, c)
	f.Add(`{}`)
	f.Add(`{"id":"AAAA","rawId":"AAAA","type":"public-key","response":{}}`)
	f.Add(fmt.Sprintf(`{"id":"AAAA","rawId":"AAAA","type":"public-key","response":{"clientDataJSON":"%s","attestationObject":"oA","authenticatorData":"AA","signature":""}}`, "e30"))
	options, err := c.BeginAssertion(here, nil)
	if err != nil {
		f.Fatal(err)
	}
	right := a.Get(f, options)
	f.Add(right)
	f.Fuzz(func(t *testing.T, answer string) {
		// JSON leaves some room: what counts is that no other signature passes.
		if _, _, err := c.Assert(here, answer, having(stored)); err == nil && !strings.Contains(right, signatureOf(t, answer)) {
			t.Errorf("taken: %s", answer)
		}
		if _, _, err := c.Register(here, alice, answer); err == nil {
			t.Errorf("registered: %s", answer)
		}
	})
}

// signatureOf cuts the signature out of an answer.
func signatureOf(t *testing.T, answer string) string {
	t.Helper()
	_, rest, found := strings.Cut(answer, `"signature":"`)
	signature, _, ended := strings.Cut(rest, `"`)
	if !found || !ended {
		t.Fatalf("an answer without a signature was taken: %s", answer)
	}
	return signature
}
