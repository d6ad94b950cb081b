package main

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"countersign/conformance/keys"
	"countersign/fapi/client"
	"countersign/fapi/profile"
)

// TestOffered: -list shows exactly those plans of ecosystems that the suite makes and whose clients the server's preset takes.
func TestOffered(t *testing.T) {
	opened := openBank(t)
	s := server{issuer: "https://localhost:8443", mtlsResource: "https://localhost:8444/accounts", bank: opened, consents: "https://localhost:8444"}
	whole, err := selectPlans("fapi1-adv/openbanking_brazil+private_key_jwt+pushed+plain") // its clients have every key that others have
	if err != nil {
		t.Fatal(err)
	}
	c, err := newClient(rand.Reader, whole[0], "alias-1", keys.NewPS256, testAuthority(t), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	var n, refused int
	for _, p := range possiblePlans() {
		if !p.accepted() || p.statements() { // the suite itself registers clients with statements
			continue
		}
		n++
		takes := registers(p, s, c)
		if takes != nil {
			refused++
		}
		if (p.refusal() == "") != (takes == nil) {
			t.Errorf("%s: kept out because %q, but the server says %v", p.name, p.refusal(), takes)
		}
	}
	if refused == 0 || n < 250 {
		t.Errorf("%d plans, %d refused", n, refused)
	}
}

// registers reports whether the server's profile takes a client of the plan.
func registers(p plan, s server, c testClient) error {
	full, ok := profile.Lookup(p.profile())
	if !ok {
		return fmt.Errorf("no profile %s", p.profile())
	}
	if full.RequirePushed && p.variant["fapi_auth_request_method"] == "by_value" {
		return fmt.Errorf("%s wants requests pushed", p.profile())
	}
	metadata := p.registration(s, c, redirectURIs("https://suite.example", "alias"))
	delete(metadata, "client_id")
	delete(metadata, "profile")
	encoded, err := json.Marshal(metadata)
	if err != nil {
		return err
	}
	_, err = client.Parse(c.id, p.profile(), encoded)
	return err
}
