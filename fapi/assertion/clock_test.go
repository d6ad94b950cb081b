package assertion_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"testing"
	"time"

	"countersign/fapi/assertion"
	"countersign/fapi/client"
	"countersign/fapi/profile"
	"countersign/internal/jose"
)

// Covers: NM-156. An assertion is judged by the time after its keys were fetched, however long that takes.
func TestNM156ClockAfterKeys(t *testing.T) {
	began := time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
	fapi2 := profile.FAPI2Security()
	caller := &client.Client{ID: "app", Profile: fapi2}
	for name, test := range map[string]struct {
		// expires and issued are after the request came.
		expires, issued, takes time.Duration
		accepted               bool
	}{
		"accepts keys that come slowly":                        {time.Minute, 0, 4 * time.Second, true},
		"accepts an iat that was ahead when the request came":  {time.Minute, fapi2.MaxAhead + time.Second, 4 * time.Second, true},
		"refuses an iat that is ahead still":                   {time.Minute, fapi2.MaxAhead + 5*time.Second, 4 * time.Second, false},
		"refuses what has expired while the keys were fetched": {2 * time.Second, 0, 4 * time.Second, false},
		"refuses what had expired when the request came":       {-time.Second, 0, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			now := began
			rules := assertion.Rules{
				Issuer: "https://login.example", Now: func() time.Time { return now },
				Verify: func(context.Context, *client.Client, *jose.Token) error {
					now = now.Add(test.takes)
					return nil
				},
			}
			read, err := assertion.Parse(raw(t, map[string]any{
				"iss": "app", "sub": "app", "aud": "https://login.example", "jti": "1",
				"exp": began.Add(test.expires).Unix(), "iat": began.Add(test.issued).Unix(),
			}), "app")
			if err != nil {
				t.Fatal(err)
			}
			if _, err := rules.Check(t.Context(), caller, read); (err == nil) != test.accepted {
				t.Errorf("%v", err)
			}
		})
	}
}

// raw is an assertion whose signature nobody looks at.
func raw(t *testing.T, claims map[string]any) string {
	t.Helper()
	encoded, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	part := base64.RawURLEncoding.EncodeToString
	return part([]byte(`{"alg":"ES256"}`)) + "." + part(encoded) + "." + part(make([]byte, 64))
}
