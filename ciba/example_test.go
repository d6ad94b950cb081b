package ciba_test

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"time"

	"countersign/ciba"
	"countersign/jar"
)

// A backchannel authentication endpoint reads a request.
func ExamplePolicy_Read() {
	policy := ciba.Policy{Lifetime: 2 * time.Minute, MaxLifetime: 10 * time.Minute}
	request, err := policy.Read(url.Values{
		"scope": {"openid payments"}, "login_hint": {"alice"}, "binding_message": {"Pay 12.50 to Ann"}, "requested_expiry": {"60"},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(request.HintKind, request.Hint, request.Lifetime)

	_, err = policy.Read(url.Values{"scope": {"openid"}, "login_hint": {"alice"}, "binding_message": {"two\nlines"}})
	if refused, ok := errors.AsType[*ciba.Error](err); ok {
		fmt.Println(refused.Code)
	}
	// Output:
	// login_hint alice 1m0s
	// invalid_binding_message
}

// FAPI-CIBA wants requests to be signed: the parameters are inside the object, and its one use is recorded.
func ExampleRules_Check() {
	client := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)) // a key that everybody knows
	input := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"EdDSA"}`)) + "." + base64.RawURLEncoding.EncodeToString([]byte(
		`{"iss":"client-1","aud":"https://as.example","jti":"4LTCqACC2ESC5BWCnN3j58EnA",`+
			`"iat":1795521600,"nbf":1795521600,"exp":1795521660,"scope":"openid","login_hint":"alice"}`))
	form := url.Values{"request": {input + "." + base64.RawURLEncoding.EncodeToString(ed25519.Sign(client, []byte(input)))}}

	object, err := ciba.ParseObject(form, []string{"EdDSA"})
	if err != nil {
		fmt.Println(err)
		return
	}
	verified, err := ciba.Rules{
		Audience: "https://as.example", ClientID: "client-1", Algorithms: []string{"EdDSA"},
		MaxAge: time.Hour, MaxLifetime: time.Hour, MaxAhead: 30 * time.Second, Now: time.Unix(1795521600, 0),
		Verify: func(_ context.Context, signed jar.Signed) error {
			if !ed25519.Verify(client.Public().(ed25519.PublicKey), []byte(signed.Input), signed.Signature) {
				return errors.New("wrong signature")
			}
			return nil
		},
	}.Check(context.Background(), object)
	if err != nil {
		fmt.Println(err)
		return
	}
	// What is left to the caller: policy.Read(verified.Parameters), and to store verified.ReplayKey with the request until
	// verified.Until, or to refuse the request if that key is there already.
	fmt.Println(verified.Parameters.Encode())
	fmt.Println("remember until:", verified.Until.UTC().Format(time.TimeOnly))
	// Output:
	// login_hint=alice&scope=openid
	// remember until: 12:01:00
}

// What a ping says is sealed while it waits in the outbox, for its own request alone.
func ExampleSealer() {
	sealer, err := ciba.NewSealer([]byte(ciba.NewSealKey()))
	if err != nil {
		fmt.Println(err)
		return
	}
	request, other := sha256.Sum256([]byte("1c266114-a1be-4252-8ad1-04986c5b9ac1")), sha256.Sum256([]byte("another"))
	sealed, err := sealer.Seal(request, ciba.Notification{
		AuthReqID: "1c266114-a1be-4252-8ad1-04986c5b9ac1", Token: "8d67dc78-7faa-4d41-aabd-67707b374255",
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	opened, err := sealer.Open(request, sealed)
	fmt.Println(opened.AuthReqID, err)
	_, err = sealer.Open(other, sealed)
	fmt.Println(errors.Is(err, ciba.ErrSealed))
	// Output:
	// 1c266114-a1be-4252-8ad1-04986c5b9ac1 <nil>
	// true
}
