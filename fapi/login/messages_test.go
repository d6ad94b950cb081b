package login

import (
	"slices"
	"testing"
	"time"

	"countersign/fapi/backchannel"
)

// A confirmation says the claims that are asked for by name and when the grant ends, and its digest is of both.
func TestConfirmationSaysClaimsAndEnd(t *testing.T) {
	t.Parallel()
	h := &Handler{Config{Now: time.Now}}
	until := time.Unix(1893456000, 0)
	asked := backchannel.View{Reference: "r", Claims: []string{"email"}, GrantUntil: until}
	of := func(change func(*backchannel.View)) confirmation {
		t.Helper()
		v := asked
		change(&v)
		c, err := h.confirmationOf(v, "en")
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	all := of(func(*backchannel.View) {})
	if !slices.Equal(all.Claims, asked.Claims) || all.GrantUntil != until.Unix() || all.GrantLifetime != 0 {
		t.Errorf("%+v", all)
	}
	for name, change := range map[string]func(*backchannel.View){
		"claims": func(v *backchannel.View) { v.Claims = nil }, "end": func(v *backchannel.View) { v.GrantUntil = time.Time{} },
	} {
		t.Run("refuses the digest with another "+name, func(t *testing.T) {
			if of(change).Digest == all.Digest {
				t.Error("the digest is the same")
			}
		})
	}
}
