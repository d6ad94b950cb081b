package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"time"

	"countersign/bench/servers"
	"countersign/internal/flowclient"
	"countersign/internal/jose"
)

const (
	// users are as many as there are approval apps: a node lets one user decide 30 times at once, and then every two
	// seconds. Each has browsersEach browsers that are signed in.
	users, browsersEach = 25, 4
	// keptTokens are remembered of the newest flows, to be refreshed and introspected.
	keptTokens = 256
	// idleConnections are kept to each node.
	idleConnections = 4096
	asker, api      = "asker", "api"
)

// world is two nodes on one PostgreSQL, with all who use them.
type world struct {
	server *servers.Server
	// Of each there is one for each node.
	clients, askers, apis []*flowclient.Client
	browsers              []browser
	people                []person

	mu sync.Mutex
	// turn counts operations, so that they go by way of the nodes and the users in turns.
	turn int
	// issued are the tokens of the newest flows, next where the next one goes, and revocable refresh tokens that nobody
	// else uses.
	issued    []flowclient.Tokens
	next      int
	revocable []string
	random    *rand.Rand
}

// browser is one that is signed in, by way of each node.
type browser []*flowclient.Browser

// person is a user with an approval app, by way of each node.
type person struct {
	name string
	apps []*flowclient.ApprovalApp
}

// begin starts everything and signs everybody in.
func begin(ctx context.Context, lab *servers.Lab) (_ *world, err error) {
	w := &world{server: &servers.Server{Name: "two nodes", Alg: "ES256"}, random: rand.New(rand.NewPCG(1, 2))}
	defer func() {
		if err != nil {
			w.server.Close()
		}
	}()
	installation, err := lab.Countersign(ctx, w.server, servers.Options{Postgres: true, Settings: map[string]string{
		// One client asks every user here, as often as the load wants.
		"person_per_minute": "60", "person_burst": "1000", "pending_per_person": "100", "pending_per_client": "100",
		"organisation_per_minute": "60", "organisation_burst": "1000", "total_per_minute": "60", "total_burst": "1000",
	}})
	if err != nil {
		return nil, err
	}
	if _, err := installation.AddNode(ctx, w.server); err != nil {
		return nil, err
	}
	w.server.Endpoints.Introspection = w.server.Issuer + "/introspect"
	w.server.Endpoints.Revocation = w.server.Issuer + "/revoke"
	var through []*http.Client
	for _, node := range w.server.Nodes {
		transport := node.Transport()
		transport.MaxIdleConnsPerHost = idleConnections
		reached := flowclient.NewHTTP(nil)
		reached.Transport = transport
		through = append(through, reached)
	}
	if err := w.register(ctx, installation, through); err != nil {
		return nil, err
	}
	for number := range users {
		if err := w.enroll(ctx, installation, number, through); err != nil {
			return nil, err
		}
	}
	for range keptTokens { // there is something to refresh, to introspect and to revoke from the beginning
		if err := w.flow(ctx); err != nil {
			return nil, err
		}
	}
	for number := range kinds() { // what never succeeds is no load
		if err := w.do(ctx, number); err != nil {
			return nil, err
		}
	}
	return w, nil
}

// register makes the clients: one for flows, one that asks users, and an API that introspects.
func (w *world) register(ctx context.Context, i *servers.Installation, through []*http.Client) error {
	client, err := w.server.NewClient(time.Now)
	if err != nil {
		return err
	}
	config := client.Config
	config.Endpoints = w.server.Endpoints
	for _, node := range through {
		config.HTTP = node
		w.clients = append(w.clients, flowclient.New(config))
	}
	if w.askers, err = w.another(ctx, i, through, asker, map[string]any{
		"grant_types": []string{flowclient.CIBAGrant}, "response_types": []string{}, "scope": config.Scope, "dpop_bound_access_tokens": true,
		"backchannel_token_delivery_mode": "poll", "id_token_signed_response_alg": w.server.Alg,
	}); err != nil {
		return err
	}
	w.apis, err = w.another(ctx, i, through, api, map[string]any{"grant_types": []string{}, "resource_identifiers": []string{w.server.Issuer}})
	return err
}

// another registers one more client, with a key of its own.
func (w *world) another(ctx context.Context, i *servers.Installation, through []*http.Client, id string, metadata map[string]any) ([]*flowclient.Client, error) {
	key, err := jose.NewPrivateKey(jose.ES256)
	if err != nil {
		return nil, err
	}
	metadata["client_name"], metadata["token_endpoint_auth_method"] = id, "private_key_jwt"
	metadata["jwks"] = map[string]any{"keys": []json.RawMessage{key.PublicJWK()}}
	if err := i.AddClient(ctx, id, metadata); err != nil {
		return nil, err
	}
	var all []*flowclient.Client
	for _, node := range through {
		all = append(all, flowclient.New(flowclient.Config{
			Issuer: w.server.Issuer, Endpoints: w.server.Endpoints, HTTP: node, ID: id, Scope: "openid accounts", Key: key, ProofKey: key,
			ProofForTokensOnly: true, Now: time.Now,
		}))
	}
	return all, nil
}

// enroll makes a user with an approval app and browsers that are signed in.
func (w *world) enroll(ctx context.Context, i *servers.Installation, number int, through []*http.Client) error {
	one := person{name: servers.Username}
	if number > 0 {
		one.name = fmt.Sprintf("user%d", number)
		if err := i.AddUser(ctx, one.name); err != nil {
			return err
		}
	}
	proof, err := jose.NewPrivateKey(jose.ES256)
	if err != nil {
		return err
	}
	for _, node := range through {
		one.apps = append(one.apps, &flowclient.ApprovalApp{AMR: "pwd user", Client: flowclient.New(flowclient.Config{
			Issuer: w.server.Issuer, Endpoints: w.server.Endpoints, HTTP: node, ID: one.name, ProofKey: proof, Now: time.Now,
		})})
	}
	code, err := i.Run(ctx, "devices", "add", one.name)
	if err != nil {
		return err
	}
	if err := one.apps[0].Enroll(ctx, strings.TrimSpace(code), "Load"); err != nil {
		return err
	}
	w.people = append(w.people, one)
	for range browsersEach {
		fresh, _, err := w.fresh(one.name)
		if err != nil {
			return err
		}
		if _, err := w.clients[0].Flow(ctx, fresh[0]); err != nil { // signs in, and allows
			return err
		}
		w.browsers = append(w.browsers, fresh)
	}
	return nil
}

// fresh is a browser of a user that the server does not know, by way of each node, with connections of its own from an
// address of its own: a server counts attempts to sign in by address. done closes the connections.
func (w *world) fresh(username string) (_ browser, done func(), err error) {
	w.mu.Lock()
	address := fmt.Sprintf("127.%d.%d.%d", 1+w.random.IntN(250), w.random.IntN(250), 1+w.random.IntN(250))
	w.mu.Unlock()
	var all browser
	var through []*http.Transport
	for _, node := range w.server.Nodes {
		through = append(through, node.TransportFrom(address))
	}
	made, err := flowclient.NewBrowser(through[0])
	if err != nil {
		return nil, nil, err
	}
	made.Username, made.Password = username, w.server.Password
	for _, one := range through {
		all = append(all, made.Via(one))
	}
	return all, func() {
		for _, one := range through {
			one.CloseIdleConnections()
		}
	}, nil
}
