package client_test

import (
	"net/url"
	"strings"
	"testing"

	"countersign/rp/client"
	"countersign/rp/client/providertest"
)

// FuzzCallback: whatever a browser brings, no tokens come of it but by the code that belongs to the transaction.
func FuzzCallback(f *testing.F) {
	p := providertest.New(f)
	key, err := client.GenerateKey("ES256")
	if err != nil {
		f.Fatal(err)
	}
	made := map[client.Profile]*client.Client{}
	transactions := map[client.Profile]client.Transaction{}
	for _, profile := range []client.Profile{client.FAPI2Security, client.FAPI2MessageSigning, client.FAPI1Advanced} {
		config := client.Config{
			Issuer: p.Issuer, ClientID: providertest.ClientID, RedirectURI: "https://client.example/callback", Scopes: []string{"openid"},
			Auth: client.PrivateKeyJWT(key), Roots: p.Roots, Now: p.Now, Profile: profile,
		}
		if profile == client.FAPI1Advanced {
			config.Binding = client.MTLSBoundWith(p.Certificate())
		}
		if made[profile], err = client.New(f.Context(), config); err != nil {
			f.Fatal(err)
		}
		address, transaction, err := made[profile].Authorize(f.Context(), client.AuthorizeOptions{})
		if err != nil {
			f.Fatal(err)
		}
		transactions[profile] = transaction
		f.Add(int(profile), strings.NewReplacer("code=", "code=x", "response=", "response=x").Replace(p.Login(address).Encode()))
	}
	f.Add(0, "error=access_denied&state=x&iss=y")
	f.Add(0, "code=a&code=b&state=%ff")
	f.Add(1, "response=a.b.c")
	f.Add(2, "code=a&id_token=a.b.c.d.e&state=")
	f.Fuzz(func(t *testing.T, profile int, query string) {
		answer, err := url.ParseQuery(query)
		c, known := made[client.Profile(profile)]
		if err != nil || !known {
			return
		}
		tokens, err := c.Callback(t.Context(), transactions[client.Profile(profile)], answer)
		if tokens != nil || err == nil {
			t.Errorf("%q gave tokens", query)
		}
	})
}

// FuzzPing: no body of a ping makes more than an id or an error of it.
func FuzzPing(f *testing.F) {
	f.Add([]byte(`{"auth_req_id":"a"}`))
	f.Add([]byte(`{"auth_req_id":""}`))
	f.Add([]byte(`[`))
	f.Fuzz(func(t *testing.T, body []byte) {
		if id, err := client.ParsePing(body); (id == "") != (err != nil) {
			t.Errorf("%q, %v", id, err)
		}
	})
}
