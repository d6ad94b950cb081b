package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"strings"
	"time"

	"countersign/bench/servers"
	"countersign/internal/flowclient"
)

// step is one thing that is measured.
type step struct {
	name string
	// fresh has each actor go through a flow before: a refresh token is to be young, for peers that forget.
	fresh bool
	do    func(*actor, context.Context) error
}

func steps() []step {
	return []step{
		{name: "flow", do: (*actor).flow},
		{name: "client_credentials", do: (*actor).clientCredentials},
		{name: "PAR", do: (*actor).push},
		{name: "refresh", fresh: true, do: (*actor).refresh},
	}
}

// actor is one client application with one browser: it keeps its connections, its session and its DPoP key.
type actor struct {
	*servers.Client
	// alg is that of the server's tokens.
	alg          string
	refreshToken string
}

func newActor(s *servers.Server) (*actor, error) {
	client, err := s.NewClient(time.Now)
	if err != nil {
		return nil, err
	}
	return &actor{Client: client, alg: s.Alg}, nil
}

func (a *actor) flow(ctx context.Context) error {
	issued, err := a.Flow(ctx, a.Browser)
	if err != nil {
		return err
	}
	if issued.RefreshToken == "" {
		return fmt.Errorf("the token response has no refresh token: %v", issued)
	}
	a.refreshToken = issued.RefreshToken
	if err := a.checkAlgorithm("ID token", issued.IDToken); err != nil {
		return err
	}
	return a.checkToken(issued)
}

// signIn is a flow with a browser that the server does not know.
func (a *actor) signIn(ctx context.Context) error {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return err
	}
	reached, fresh := *a.Browser.HTTP, *a.Browser
	reached.Jar, fresh.HTTP = jar, &reached
	issued, err := a.Flow(ctx, &fresh)
	if err != nil {
		return err
	}
	return a.checkToken(issued)
}

// isRefused reports whether a server answered, on a page or otherwise, that it has too much to do.
func isRefused(err error) bool {
	var answer *flowclient.RefusedError
	if errors.As(err, &answer) {
		return answer.Reply.Status == http.StatusServiceUnavailable || answer.Reply.Status == http.StatusTooManyRequests
	}
	return err != nil && (strings.Contains(err.Error(), "(status 503") || strings.Contains(err.Error(), "(status 429"))
}

// patient tries a step again, a little later, while the server has too much to do, a hundred times at most. It says how often
// it was refused.
func patient(ctx context.Context, a *actor, do func(*actor, context.Context) error) (refused int, err error) {
	for {
		err := do(a, ctx)
		if !isRefused(err) || refused == 100 {
			return refused, err
		}
		refused++
		if pause(ctx, 50*time.Millisecond) != nil {
			return refused, err
		}
	}
}

// strangers are actors of users of their own, at addresses of their own: a server counts attempts to sign in by both.
func strangers(ctx context.Context, s *target, i *servers.Installation, many int) ([]*actor, error) {
	var all []*actor
	for number := range many {
		name := fmt.Sprintf("stranger%d", number)
		if err := i.AddUser(ctx, name); err != nil {
			return nil, err
		}
		a, err := newActor(s.Server)
		if err != nil {
			return nil, err
		}
		a.Browser = a.Browser.Via(s.Nodes[0].TransportFrom(fmt.Sprintf("127.0.1.%d", number+1)))
		a.Browser.Username = name
		if _, err := patient(ctx, a, (*actor).signIn); err != nil { // allows, what is remembered
			return nil, err
		}
		all = append(all, a)
	}
	return all, nil
}

func (a *actor) push(ctx context.Context) error {
	reply, err := a.Push(ctx, a.NewTransaction())
	if err != nil {
		return err
	}
	_, err = reply.RequestURI()
	return err
}

func (a *actor) clientCredentials(ctx context.Context) error {
	reply, err := a.ClientCredentials(ctx, "accounts")
	if err != nil {
		return err
	}
	_, err = a.tokens(reply)
	return err
}

func (a *actor) refresh(ctx context.Context) error {
	reply, err := a.Refresh(ctx, a.refreshToken)
	if err != nil {
		return err
	}
	issued, err := a.tokens(reply)
	if issued.RefreshToken != "" {
		a.refreshToken = issued.RefreshToken
	}
	return err
}

// tokens reads a token response and checks it.
func (a *actor) tokens(reply flowclient.Reply) (flowclient.Tokens, error) {
	issued, err := reply.Tokens()
	if err != nil {
		return issued, err
	}
	return issued, a.checkToken(issued)
}

// checkToken makes sure that the servers are compared at the same work: a bound JWT with the algorithm of the row.
func (a *actor) checkToken(issued flowclient.Tokens) error {
	if issued.TokenType != "DPoP" {
		return fmt.Errorf("token_type is %q, not DPoP", issued.TokenType)
	}
	return a.checkAlgorithm("access token", issued.AccessToken)
}

// checkAlgorithm reads the header of a token.
func (a *actor) checkAlgorithm(name, token string) error {
	encoded, _, _ := strings.Cut(token, ".")
	raw, err := base64.RawURLEncoding.DecodeString(encoded)
	if err != nil {
		return fmt.Errorf("the %s is no JWT: %q", name, token)
	}
	var header struct {
		Algorithm string `json:"alg"`
	}
	if err := json.Unmarshal(raw, &header); err != nil || header.Algorithm != a.alg {
		return fmt.Errorf("the %s is no JWT with %s: %s", name, a.alg, raw)
	}
	return nil
}
