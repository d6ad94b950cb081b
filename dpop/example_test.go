package dpop_test

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"countersign/dpop"
)

// rfcProof is the proof of RFC 9449 §4.1.
const rfcProof = "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUkRZ" +
	"OXpDa0RscEJoRjQyVVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JEQSIs" +
	"ImNydiI6IlAtMjU2In19.eyJqdGkiOiItQndDM0VTYzZhY2MybFRjIiwiaHRtIjoiUE9TVCIsImh0dSI6Imh0dHBzOi8vc2VydmV" +
	"yLmV4YW1wbGUuY29tL3Rva2VuIiwiaWF0IjoxNTYyMjYyNjE2fQ.2-GxA6T8lP4vfrg8v-FdWP0A0zdrj8igiMLvqRMUvwnQg4Pt" +
	"FLbdLXiOSsX0x7NVY-FNyJK70nfbV37xRZT3Lg"

// A token endpoint verifies the proof of a request, and binds the token that it issues to the key of the proof.
func ExamplePolicy_Verify() {
	policy := dpop.Policy{
		Algorithms: []string{"ES256", "PS256", "EdDSA"},
		Now:        func() time.Time { return time.Unix(1562262616, 0) }, // when RFC 9449 made its example
	}
	header := http.Header{"Dpop": {rfcProof}}

	raw, present, err := dpop.FromHeader(header)
	if err != nil || !present {
		fmt.Println("no proof:", err)
		return
	}
	proof, err := policy.Verify(raw, dpop.Request{
		Method: http.MethodPost,
		URLs:   []string{"https://server.example.com/token"}, // from the configuration, never from the Host header
	})
	if err != nil {
		fmt.Println("invalid_dpop_proof:", err)
		return
	}
	// What is left to the caller: store proof.ReplayKey until proof.Until, and refuse a proof whose key is there already.
	fmt.Println("cnf.jkt:", proof.JKT)
	fmt.Println("remember until:", proof.Until.UTC().Format(time.TimeOnly))
	// Output:
	// cnf.jkt: 0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I
	// remember until: 17:52:46
}

// What is wrong with a proof is said in words that may be sent to the client.
func ExampleError() {
	policy := dpop.Policy{Algorithms: []string{"ES256"}, Now: func() time.Time { return time.Unix(1562262616, 0) }}
	_, err := policy.Verify(rfcProof, dpop.Request{Method: http.MethodGet, URLs: []string{"https://server.example.com/token"}})
	if refused, ok := errors.AsType[*dpop.Error](err); ok {
		fmt.Println(refused.Description)
	}
	// Output:
	// the htm of the DPoP proof must be the method of this request, GET
}

// Every server that has the seed accepts the nonces of all.
func ExampleNonces() {
	seed := []byte("32 random bytes that nodes share")
	clock := time.Unix(1562262616, 0)
	now := func() time.Time { return clock }
	one, other := dpop.NewNonces(seed, 0, now), dpop.NewNonces(seed, 0, now)

	nonce := one.Current() // sent as DPoP-Nonce, with the error use_dpop_nonce if the proof had none
	fmt.Println(other.Valid(nonce))
	clock = clock.Add(3 * dpop.DefaultNoncePeriod)
	fmt.Println(other.Valid(nonce))
	// Output:
	// true
	// false
}
