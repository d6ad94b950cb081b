package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"countersign/bench/servers"
	"countersign/internal/flowclient"
	"countersign/internal/jose"
)

// floods are all of them.
func floods() []flood {
	return append(append(passwordFloods(), requestFloods()...), clientFloods()...)
}

func fromOne(int) string { return attackAddress }

func always(address string) func(int) string { return func(int) string { return address } }

// requestFloods are of those who have seen a link.
func requestFloods() []flood {
	return []flood{{
		name: "one signed request object replayed", honest: "other requests of that client are opened",
		workers: 16, users: 2, think: 200 * time.Millisecond,
		prepare: func(ctx context.Context, s *site) (attack, honest use, err error) {
			c, err := s.byValue(ctx)
			if err != nil {
				return nil, nil, err
			}
			address, err := s.requestByValue(ctx, c)
			return s.get(always(address), fromOne), s.opened(c), err
		},
	}, {
		name: "garbage for an encrypted request object", honest: "other requests of that client are opened",
		workers: 16, users: 2, think: 200 * time.Millisecond,
		prepare: func(ctx context.Context, s *site) (attack, honest use, err error) {
			c, err := s.byValue(ctx)
			header := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"RSA-OAEP-256","enc":"A256GCM","kid":"x"}`))
			garbage := strings.Join([]string{header, "b", "c", "d", "e"}, ".")
			address := s.Endpoints.Authorization + "?" + url.Values{"client_id": {"by-value"}, "request": {garbage}}.Encode()
			return s.get(always(address), fromOne), s.opened(c), err
		},
	}, {
		name: "one request_uri opened again and again", honest: "whole flows",
		workers: 16, users: 2, think: 200 * time.Millisecond,
		prepare: func(ctx context.Context, s *site) (attack, honest use, err error) {
			c, err := s.NewClient(time.Now)
			if err != nil {
				return nil, nil, err
			}
			reply, err := c.Push(ctx, c.NewTransaction())
			if err != nil {
				return nil, nil, err
			}
			requestURI, err := reply.RequestURI()
			return s.get(always(c.AuthorizationURL(requestURI)), fromOne), s.flow(), err
		},
	}, {
		name: "refused client authentications (429)", honest: "whole flows",
		workers: 32, users: 2, think: 200 * time.Millisecond,
		prepare: func(_ context.Context, s *site) (attack, honest use, err error) {
			return s.post(s.Endpoints.Token, func(int) url.Values {
				return url.Values{
					"grant_type": {"client_credentials"}, "client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"},
					"client_assertion": {"eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJiZW5jaCIsInN1YiI6ImJlbmNoIn0.AAAA"},
				}
			}, fromOne), s.flow(), nil
		},
	}}
}

// clientFloods are of those who have registered a client.
func clientFloods() []flood {
	return []flood{{
		name: "prompts of one organisation with 20 clients", honest: "a bank asks the same user, who approves",
		workers: 20, users: 1, think: time.Second,
		prepare: func(ctx context.Context, s *site) (attack, honest use, err error) {
			attackers, err := s.organisation(ctx, "Bombers", 20)
			if err != nil {
				return nil, nil, err
			}
			attack = func(ctx context.Context, worker, _ int) (int, error) {
				reply, err := attackers[worker].Ask(ctx, hint())
				pause(ctx, 20*time.Millisecond)
				return reply.Status, err
			}
			honest, err = s.asked(ctx)
			return attack, honest, err
		},
	}, {
		name: "registrations with a slow sector_identifier_uri", honest: "another organisation registers clients with a fast one",
		workers: 200, users: 2, think: 200 * time.Millisecond,
		prepare: func(ctx context.Context, s *site) (attack, honest use, err error) {
			attacker, err := s.token(ctx, "Slow")
			if err != nil {
				return nil, nil, err
			}
			bank, err := s.token(ctx, "Fast")
			if err != nil {
				return nil, nil, err
			}
			key, err := jose.NewPrivateKey(jose.ES256)
			if err != nil {
				return nil, nil, err
			}
			attack = s.registering(attacker, key, s.web.URL+"/slow", fromOne)
			registered := s.registering(bank, key, s.web.URL+"/sector", func(int) string { return honestAddress })
			return attack, func(ctx context.Context, worker, number int) (int, error) {
				status, err := registered(ctx, worker, number)
				if err == nil && status != http.StatusCreated {
					err = fmt.Errorf("a registration was answered %d", status)
				}
				return status, err
			}, nil
		},
	}}
}

func hint() url.Values { return url.Values{"login_hint": {servers.Username}} }

// token is the initial access token of an organisation.
func (s *site) token(ctx context.Context, organisation string) (string, error) {
	token, err := s.installation.Run(ctx, "clients", "tokens", "add", organisation, "--clients", "10000", "--for", "1h")
	return strings.TrimSpace(token), err
}

// register sends metadata with an initial access token.
func register(ctx context.Context, s *site, token string, metadata map[string]any) (*http.Request, error) {
	encoded, err := json.Marshal(metadata)
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, s.Issuer+"/register", strings.NewReader(string(encoded)))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Authorization", "Bearer "+token)
	return request, nil
}

// registering is a use that registers a client with a sector_identifier_uri.
func (s *site) registering(token string, key jose.PrivateKey, sector string, from func(worker int) string) use {
	return s.send(from, func(ctx context.Context, _ int) (*http.Request, error) {
		return register(ctx, s, token, map[string]any{
			"client_name": "App", "redirect_uris": []string{redirectURI}, "scope": "openid accounts", "grant_types": []string{"authorization_code"},
			"token_endpoint_auth_method": "private_key_jwt", "dpop_bound_access_tokens": true, "subject_type": "pairwise",
			"sector_identifier_uri": sector, "jwks": map[string]any{"keys": []json.RawMessage{key.PublicJWK()}},
		})
	})
}

// askerMetadata is that of a client that asks users on their devices.
func (s *site) askerMetadata(key jose.PrivateKey) map[string]any {
	return map[string]any{
		"client_name": "Asker", "scope": "openid accounts", "grant_types": []string{flowclient.CIBAGrant}, "response_types": []string{},
		"token_endpoint_auth_method": "private_key_jwt", "jwks": map[string]any{"keys": []json.RawMessage{key.PublicJWK()}},
		"id_token_signed_response_alg": s.Alg, "dpop_bound_access_tokens": true, "backchannel_token_delivery_mode": "poll",
	}
}

// asker is a client that asks.
func (s *site) asker(id string, key jose.PrivateKey, from string, worker int) *flowclient.Client {
	reached := flowclient.NewHTTP(nil)
	reached.Transport = s.from(from, worker)
	return flowclient.New(flowclient.Config{
		Issuer: s.Issuer, Endpoints: s.Endpoints, HTTP: reached, ID: id, Scope: "openid accounts", Key: key, ProofKey: key, ProofForTokensOnly: true, Now: time.Now,
	})
}

// organisation registers clients that ask with the token of one organisation.
func (s *site) organisation(ctx context.Context, name string, clients int) ([]*flowclient.Client, error) {
	token, err := s.token(ctx, name)
	if err != nil {
		return nil, err
	}
	through := s.from(attackAddress, 0)
	var all []*flowclient.Client
	for worker := range clients {
		key, err := jose.NewPrivateKey(jose.ES256)
		if err != nil {
			return nil, err
		}
		request, err := register(ctx, s, token, s.askerMetadata(key))
		if err != nil {
			return nil, err
		}
		response, err := through.RoundTrip(request)
		if err != nil {
			return nil, err
		}
		var registered struct {
			ID string `json:"client_id"`
		}
		err = json.NewDecoder(response.Body).Decode(&registered)
		if _ = response.Body.Close(); err != nil || response.StatusCode != http.StatusCreated {
			return nil, fmt.Errorf("a client was not registered (status %d): %w", response.StatusCode, err)
		}
		all = append(all, s.asker(registered.ID, key, attackAddress, worker))
	}
	return all, nil
}

// banks are how many honest clients take turns: each may ask a user a few times a minute.
const banks = 16

// asked is an honest use: a bank asks the user, whose application shows it and approves.
func (s *site) asked(ctx context.Context) (use, error) {
	var clients []*flowclient.Client
	for n := range banks {
		key, err := jose.NewPrivateKey(jose.ES256)
		if err != nil {
			return nil, err
		}
		id := fmt.Sprintf("bank-%d", n)
		if err := s.installation.AddClient(ctx, id, s.askerMetadata(key)); err != nil {
			return nil, err
		}
		clients = append(clients, s.asker(id, key, honestAddress, n))
	}
	key, err := jose.NewPrivateKey(jose.ES256)
	if err != nil {
		return nil, err
	}
	app := &flowclient.ApprovalApp{Client: s.asker("app", key, honestAddress, 0), AMR: "hwk user"}
	app.ProofForTokensOnly = false
	code, err := s.installation.Run(ctx, "devices", "add", servers.Username, "--level", "passkey") // the claims of a passkey
	if err != nil {
		return nil, err
	}
	if err := app.Enroll(ctx, strings.TrimSpace(code), "Abuse"); err != nil {
		return nil, err
	}
	turn := 0
	return func(ctx context.Context, _, _ int) (int, error) {
		bank := clients[turn%banks]
		turn++
		reply, err := bank.Ask(ctx, hint())
		if err != nil {
			return 0, err
		}
		asked, err := reply.Asked()
		if err != nil {
			return reply.Status, err
		}
		request, err := app.Request(ctx, asked.AuthReqID)
		if err != nil {
			return 0, err
		}
		reply, err = app.Decide(ctx, request, true)
		if err != nil {
			return 0, err
		}
		return reply.Status, reply.Expect(http.StatusOK)
	}, nil
}
