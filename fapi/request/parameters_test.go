package request

import (
	"net/url"
	"testing"
	"time"

	"countersign/fapi/client"
	"countersign/fapi/profile"
	"countersign/internal/oauth"
)

// Covers: LR-37. How long ago a user may have authenticated is what the request has, and no longer than the ecosystem has it.
func TestLR37AuthenticationAge(t *testing.T) {
	t.Parallel()
	hour := profile.FAPI2Security()
	hour.MaxAuthenticationAge = time.Hour
	seconds := func(n int64) *int64 { return &n }
	for name, test := range map[string]struct {
		of              profile.Profile
		sent            string
		registered, age *int64
	}{
		"accepts a smaller age":                          {hour, "60", nil, seconds(60)},
		"accepts a smaller age that is registered":       {hour, "", seconds(30), seconds(30)},
		"accepts none where nobody has one":              {profile.FAPI2Security(), "", nil, nil},
		"accepts any where the profile has none":         {profile.FAPI2Security(), "7200", nil, seconds(7200)},
		"refuses a longer age, of which its own is used": {hour, "7200", nil, seconds(3600)},
		"refuses any age, where none is asked for":       {hour, "", nil, seconds(3600)},
	} {
		t.Run(name, func(t *testing.T) {
			form, err := oauth.NewForm(url.Values{"max_age": {test.sent}})
			if err != nil {
				t.Fatal(err)
			}
			in := input{at: Pushed, client: &client.Client{Profile: test.of}, form: form}
			in.client.Metadata.DefaultMaxAge = test.registered
			got, err := age(in)
			if err != nil || (got == nil) != (test.age == nil) || got != nil && *got != *test.age {
				t.Errorf("%v, %v", got, err)
			}
			if err := ageAgain(nil, in, Request{MaxAge: got}); err != nil {
				t.Errorf("refused when it is checked again: %v", err)
			}
			older := Request{}
			if err := ageAgain(nil, in, older); (err != nil) != (test.of.MaxAuthenticationAge > 0) {
				t.Errorf("a request of before the rule: %v", err)
			}
		})
	}
}
