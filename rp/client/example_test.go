package client_test

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"time"

	"countersign/rp/client"
	"countersign/rp/client/providertest"
)

// example is a provider that runs, with a client of it.
func example(change ...func(*client.Config)) (*providertest.Provider, *client.Client) {
	p := providertest.New(exampleTest{})
	key, err := client.GenerateKey("ES256")
	if err != nil {
		log.Fatal(err)
	}
	config := client.Config{
		Issuer: p.Issuer, ClientID: "client-1", RedirectURI: "https://app.example/callback", Scopes: []string{"openid", "accounts"},
		Auth: client.PrivateKeyJWT(key), Roots: p.Roots, Now: p.Now,
	}
	for _, each := range change {
		each(&config)
	}
	c, err := client.New(context.Background(), config)
	if err != nil {
		log.Fatal(err)
	}
	return p, c
}

// A login: send the browser away, keep the transaction, take what it brings back.
func Example() {
	provider, c := example()
	defer provider.Close()
	ctx := context.Background()

	kept := map[string]client.Transaction{} // for one browser; package rp keeps it in a sealed cookie
	login := func(w http.ResponseWriter, r *http.Request) {
		address, transaction, err := c.Authorize(r.Context(), client.AuthorizeOptions{UILocales: []string{"en"}})
		if err != nil {
			http.Error(w, "the bank cannot be reached", http.StatusBadGateway)
			return
		}
		kept[transaction.State] = transaction
		http.Redirect(w, r, address, http.StatusSeeOther)
	}

	sent := httptest.NewRecorder()
	login(sent, httptest.NewRequest(http.MethodGet, "/login", nil))
	back := provider.Login(sent.Header().Get("Location")) // the user logs in

	transaction := kept[back.Get("state")]
	delete(kept, transaction.State) // once
	tokens, err := c.Callback(ctx, transaction, back)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(sent.Code, tokens.TokenType, tokens.Identity.Subject)
	// Output: 303 DPoP sub-alice
}

// A resource is called as the token is bound: with a DPoP proof for each request, nonces included.
func ExampleClient_HTTP() {
	provider, c := example()
	defer provider.Close()
	tokens, err := c.ClientCredentials(context.Background(), client.TokenOptions{Scopes: []string{"accounts"}})
	if err != nil {
		log.Fatal(err)
	}
	response, err := c.HTTP(tokens).Get(provider.Issuer + "/resource")
	if err != nil {
		log.Fatal(err)
	}
	defer response.Body.Close()
	fmt.Println(response.StatusCode, tokens.TokenType)
	// Output: 200 DPoP
}

// A payment: authorization details, a recent login and a strong one.
func ExampleClient_Authorize() {
	provider, c := example()
	defer provider.Close()
	recent := 5 * time.Minute
	address, transaction, err := c.Authorize(context.Background(), client.AuthorizeOptions{
		AuthorizationDetails: map[string]any{"type": "payment_initiation", "instructedAmount": map[string]string{"currency": "EUR", "amount": "12.00"}},
		MaxAge:               &recent,
		ACRValues:            []string{"urn:example:high"},
	})
	if err != nil {
		log.Fatal(err)
	}
	parsed, err := url.Parse(address)
	if err != nil {
		log.Fatal(err)
	}
	tokens, err := c.Callback(context.Background(), transaction, provider.Login(address))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(len(parsed.Query()), tokens.Identity.ACR)
	// Output: 2 urn:example:high
}

// Errors are told apart by their types: what the user decided, what is wrong, what may be better later.
func ExampleClient_Callback() {
	provider, c := example()
	defer provider.Close()
	_, transaction, err := c.Authorize(context.Background(), client.AuthorizeOptions{})
	if err != nil {
		log.Fatal(err)
	}
	for _, answer := range []url.Values{
		{"error": {"access_denied"}, "state": {transaction.State}, "iss": {provider.Issuer}},
		{"code": {"stolen"}, "state": {transaction.State}, "iss": {"https://attacker.example"}},
	} {
		_, err = c.Callback(context.Background(), transaction, answer)
		if denied, ok := errors.AsType[*client.AuthorizationError](err); ok {
			fmt.Println("the user did not allow it:", denied.Code)
		}
		if failed, ok := errors.AsType[*client.CheckError](err); ok {
			fmt.Println("refused:", failed.What, failed.Check)
		}
	}
	// Output:
	// the user did not allow it: access_denied
	// refused: authorization response iss
}

// A user is asked on a telephone (CIBA).
func ExampleClient_Backchannel() {
	provider, c := example()
	defer provider.Close()
	ctx := context.Background()
	request, err := c.Backchannel(ctx, client.BackchannelOptions{LoginHint: "alice", BindingMessage: "4711"})
	if err != nil {
		log.Fatal(err)
	}
	tokens, err := c.Await(ctx, request)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(tokens.Identity.Subject)
	// Output: sub-alice
}

// A key that is in an HSM or a cloud's key service is any crypto.Signer.
func ExampleNewKey() {
	var hsm crypto.Signer = generatedSigner() // PKCS#11, KMS, …
	key, err := client.NewKey(hsm, "2026-11", "")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(key.ID(), key.Algorithm())
	// Output: 2026-11 ES256
}

// A provider that offers less than the profile does not pass; what a plain one lacks is named.
func ExampleNew() {
	provider := providertest.New(exampleTest{})
	defer provider.Close()
	provider.Behave(providertest.Behaviour{Metadata: func(m map[string]any) {
		delete(m, "pushed_authorization_request_endpoint")
		delete(m, "authorization_response_iss_parameter_supported")
	}})
	key, err := client.GenerateKey("PS256")
	if err != nil {
		log.Fatal(err)
	}
	config := client.Config{
		Issuer: provider.Issuer, ClientID: "client-1", RedirectURI: "https://app.example/callback", Scopes: []string{"openid"},
		Auth: client.PrivateKeyJWT(key), Roots: provider.Roots,
	}
	_, err = client.New(context.Background(), config)
	if weak, ok := errors.AsType[*client.WeakProviderError](err); ok {
		for _, lack := range weak.Lacks {
			fmt.Println(lack)
		}
	}
	config.Profile, config.Weak = client.Plain, client.Weak{NoPAR: true, NoIss: true}
	_, err = client.New(context.Background(), config)
	fmt.Println(err)
	// Output:
	// pushed_authorization_request_endpoint (Weak.NoPAR)
	// authorization_response_iss_parameter_supported (Weak.NoIss)
	// <nil>
}
