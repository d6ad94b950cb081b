package jar_test

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"fmt"
	"net/url"
	"strings"
	"time"

	"countersign/jar"
)

// exampleKey is a key that everybody knows: of a client in one example, of the server in another.
func exampleKey() ed25519.PrivateKey { return ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)) }

// exampleTime is when the examples happen: 2026-11-24, noon.
func exampleTime() time.Time { return time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC) }

// signedByClient is what a client does: a compact JWS (RFC 7515 §7.1).
func signedByClient(header, payload string) string {
	input := base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + base64.RawURLEncoding.EncodeToString([]byte(payload))
	return input + "." + base64.RawURLEncoding.EncodeToString(ed25519.Sign(exampleKey(), []byte(input)))
}

// An authorization endpoint finds the parameters of a request in the request object that a client signed.
func ExampleRules_Check() {
	public := exampleKey().Public().(ed25519.PublicKey)
	keys, err := jar.ParseKeySet(fmt.Appendf(nil, `{"keys":[{"kty":"OKP","crv":"Ed25519","x":"%s"}]}`,
		base64.RawURLEncoding.EncodeToString(public)))
	if err != nil {
		fmt.Println(err)
		return
	}
	algorithms := []string{"EdDSA", "ES256", "PS256"}
	raw := signedByClient(`{"alg":"EdDSA","typ":"oauth-authz-req+jwt"}`,
		`{"iss":"client-1","aud":"https://as.example","nbf":1795521600,"exp":1795521660,"scope":"openid","max_age":60}`)

	object, err := jar.Parse(raw, algorithms) // nothing in it is verified yet
	if err != nil {
		fmt.Println("invalid_request_object:", err)
		return
	}
	parameters, err := jar.Rules{
		Audience: "https://as.example", ClientID: "client-1", Algorithms: algorithms,
		MaxAge: time.Hour, MaxLifetime: time.Hour, MaxAhead: 30 * time.Second, Now: exampleTime(),
		Verify: keys.Verify,
	}.Check(context.Background(), object)
	if err != nil {
		fmt.Println("invalid_request_object:", err)
		return
	}
	fmt.Println(parameters.Encode())
	// Output:
	// client_id=client-1&max_age=60&scope=openid
}

// A server signs the authorization response that the browser carries to the client.
func ExampleResponse_Sign() {
	key := jar.SigningKey{
		ID: "key-1", Algorithm: "EdDSA",
		Sign: func(_ context.Context, message []byte) ([]byte, error) {
			return ed25519.Sign(exampleKey(), message), nil
		},
	}
	signed, err := jar.Response{
		Issuer: "https://as.example", ClientID: "client-1", Expires: exampleTime().Add(5 * time.Minute),
		Parameters: url.Values{"code": {"SplxlOBeZQQYbYS6WxSbIA"}, "state": {"S8NJ7uqk5fY4EjNvP_G_FtyJu6pUsvH9jsYni9dMAJw"}},
	}.Sign(context.Background(), key)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, part := range strings.Split(signed, ".")[:2] {
		decoded, err := base64.RawURLEncoding.DecodeString(part)
		fmt.Println(string(decoded), err)
	}
	// Output:
	// {"alg":"EdDSA","kid":"key-1","typ":"oauth-authz-resp+jwt"} <nil>
	// {"aud":"client-1","code":"SplxlOBeZQQYbYS6WxSbIA","exp":1795521900,"iss":"https://as.example","state":"S8NJ7uqk5fY4EjNvP_G_FtyJu6pUsvH9jsYni9dMAJw"} <nil>
}
