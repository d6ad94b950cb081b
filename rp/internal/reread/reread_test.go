package reread

import (
	"encoding/base64"
	"testing"
	"time"
)

// TestIdentity: an ID token is read as it was when it was verified: the name of a claim is its name byte for byte, and times have their fractions.
func TestIdentity(t *testing.T) {
	t.Parallel()
	payload := `{"iss":"https://as.example","sub":"alice","SUB":"mallory","aud":"app","acr":"low","ACR":"high","iat":1800000000.5,"exp":1800000300}`
	got, err := Identity("e30." + base64.RawURLEncoding.EncodeToString([]byte(payload)) + ".c2ln")
	if err != nil {
		t.Fatal(err)
	}
	if got.Subject != "alice" || got.ACR != "low" || len(got.Audience) != 1 || got.Audience[0] != "app" || string(got.Raw) != payload ||
		!got.IssuedAt.Equal(time.UnixMilli(1_800_000_000_500)) || !got.AuthTime.IsZero() {
		t.Errorf("%s with acr %s, issued at %v, raw %s", got.Subject, got.ACR, got.IssuedAt, got.Raw)
	}
	for _, token := range []string{"", "a.b", "e30.!.c2ln", "e30.e30", "e30.W10.c2ln"} {
		if got, err := Identity(token); err == nil {
			t.Errorf("%q is read as %#v", token, *got)
		}
	}
}
