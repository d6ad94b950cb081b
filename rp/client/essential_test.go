package client_test

import (
	"encoding/json"
	"errors"
	"testing"

	"countersign/rp/client"
	"countersign/rp/client/providertest"
)

// TestEssential: a claim of the ID token that was asked for as essential with a value has to come with it, in FAPI 1.0 before the code is redeemed.
//
// Covers: RC-10.
func TestEssential(t *testing.T) {
	essential := func(claim map[string]any) any {
		return map[string]any{"id_token": map[string]any{"intent": claim, "email": nil, "name": map[string]any{"value": "voluntary"}}}
	}
	value := map[string]any{"essential": true, "value": "intent-1"}
	set := func(v any) func(map[string]any) { return func(claims map[string]any) { claims["intent"] = v } }
	none := func(map[string]any) {}
	tests := map[string]struct {
		claim       map[string]any
		front, back func(map[string]any)
		check       string
		redeemed    bool
	}{
		"accepts the value":                            {value, set("intent-1"), set("intent-1"), "", true},
		"accepts one of several values":                {map[string]any{"essential": true, "values": []any{"a", []any{1, "b"}}}, none, set([]any{1, "b"}), "", true},
		"accepts that the front channel has it not":    {value, none, set("intent-1"), "", true},
		"accepts another value of a voluntary claim":   {map[string]any{"value": "intent-1"}, set("another"), set("another"), "", true},
		"accepts an essential claim with no value":     {map[string]any{"essential": true}, none, none, "", true},
		"refuses another in the front channel":         {value, set("another"), set("intent-1"), "intent", false},
		"refuses another at the token endpoint":        {value, set("intent-1"), set("another"), "intent", true},
		"refuses none at the token endpoint":           {value, set("intent-1"), none, "intent", true},
		"refuses another type":                         {map[string]any{"essential": true, "value": "1"}, none, set(1), "intent", true},
		"refuses one of no values that were asked for": {map[string]any{"essential": true, "values": []any{"a", "b"}}, none, set("c"), "intent", true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			p := providertest.New(t)
			p.Behave(providertest.Behaviour{FrontIDToken: test.front, IDToken: test.back})
			key, err := client.GenerateKey("ES256")
			if err != nil {
				t.Fatal(err)
			}
			c, err := client.New(t.Context(), client.Config{
				Issuer: p.Issuer, ClientID: providertest.ClientID, RedirectURI: "https://client.example/callback", Roots: p.Roots, Now: p.Now,
				Profile: client.FAPI1Advanced, Scopes: []string{"openid"}, Auth: client.PrivateKeyJWT(key), Binding: client.MTLSBoundWith(p.Certificate()),
			})
			if err != nil {
				t.Fatal(err)
			}
			address, begun, err := c.Authorize(t.Context(), client.AuthorizeOptions{Claims: essential(test.claim)})
			if err != nil {
				t.Fatal(err)
			}
			stored, err := json.Marshal(begun)
			if err != nil {
				t.Fatal(err)
			}
			var transaction client.Transaction
			if err := json.Unmarshal(stored, &transaction); err != nil {
				t.Fatal(err)
			}
			tokens, err := c.Callback(t.Context(), transaction, p.Login(address))
			check, _ := errors.AsType[*client.CheckError](err)
			if (err == nil) != (test.check == "") || (tokens == nil) != (err != nil) || check != nil && check.Check != test.check {
				t.Errorf("%v", err)
			}
			if got := len(p.Requests("/token")) == 1; got != test.redeemed {
				t.Errorf("the code was redeemed: %t", got)
			}
		})
	}
}
