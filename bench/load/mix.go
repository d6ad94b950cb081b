package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"countersign/internal/flowclient"
)

// kind is one sort of operation, with its weight among all.
type kind struct {
	name   string
	weight int
	do     func(*world, context.Context) error
}

// kinds are what a server with some traffic is asked for: out of 100 operations, so many of each.
func kinds() []kind {
	return []kind{
		{"flow", 30, (*world).flow},
		{"introspection", 25, (*world).introspect},
		{"refresh", 23, (*world).refresh},
		{"client_credentials", 10, (*world).clientCredentials},
		{"PAR that is left", 4, (*world).push},
		{"revocation", 3, (*world).revoke},
		{"CIBA", 3, (*world).ask},
		{"sign-in", 2, (*world).signIn},
	}
}

func weights() []int {
	var all []int
	for _, k := range kinds() {
		all = append(all, k.weight)
	}
	return all
}

// do does one operation.
func (w *world) do(ctx context.Context, number int) error {
	k := kinds()[number]
	if err := k.do(w, ctx); err != nil {
		return fmt.Errorf("%s: %w", k.name, err)
	}
	return nil
}

// step is a number that is the operation's own: by it, it takes a user, a browser and the node that it begins at.
func (w *world) step() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.turn++
	return w.turn
}

// flow goes through a flow with a browser that is signed in.
func (w *world) flow(ctx context.Context) error {
	number := w.step()
	return w.authorize(ctx, number, w.browsers[number/len(w.clients)%len(w.browsers)])
}

// signIn is a flow with a browser that is new.
func (w *world) signIn(ctx context.Context) error {
	number := w.step()
	fresh, done, err := w.fresh(w.people[number/len(w.clients)%len(w.people)].name)
	if err != nil {
		return err
	}
	defer done()
	return w.authorize(ctx, number, fresh)
}

// authorize takes each step of a flow by way of another node.
func (w *world) authorize(ctx context.Context, number int, through browser) error {
	first, second := number%len(w.clients), (number+1)%len(w.clients)
	transaction := w.clients[first].NewTransaction()
	pushed, err := w.clients[first].Push(ctx, transaction)
	if err != nil {
		return err
	}
	requestURI, err := pushed.RequestURI()
	if err != nil {
		return err
	}
	client := w.clients[second]
	response, err := through[second].Authorize(ctx, client.AuthorizationURL(requestURI), client.RedirectURI)
	if err != nil {
		return err
	}
	code, err := client.Callback(transaction, response)
	if err != nil {
		return err
	}
	reply, err := w.clients[first].Redeem(ctx, transaction, code)
	if err != nil {
		return err
	}
	issued, err := reply.Tokens()
	if err != nil {
		return err
	}
	if issued.RefreshToken == "" || issued.IDToken == "" || issued.TokenType != "DPoP" {
		return errors.New("the token response lacks something")
	}
	w.keep(number, issued)
	return nil
}

// keep remembers tokens: those of every fifth flow to be revoked, the others to be used.
func (w *world) keep(number int, issued flowclient.Tokens) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case number%5 == 0 && len(w.revocable) < keptTokens:
		w.revocable = append(w.revocable, issued.RefreshToken)
	case len(w.issued) < keptTokens:
		w.issued = append(w.issued, issued)
	default:
		w.issued[w.next] = issued
		w.next = (w.next + 1) % keptTokens
	}
}

// some is one of the tokens that are remembered.
func (w *world) some() flowclient.Tokens {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.issued[w.random.IntN(len(w.issued))]
}

func (w *world) client(all []*flowclient.Client) *flowclient.Client { return all[w.step()%len(all)] }

func (w *world) refresh(ctx context.Context) error {
	reply, err := w.client(w.clients).Refresh(ctx, w.some().RefreshToken)
	if err != nil {
		return err
	}
	_, err = reply.Tokens()
	return err
}

func (w *world) introspect(ctx context.Context) error {
	reply, err := w.client(w.apis).Introspect(ctx, w.some().AccessToken)
	if err != nil {
		return err
	}
	if err := reply.Expect(http.StatusOK); err != nil {
		return err
	}
	if active, _ := reply.Members()["active"].(bool); !active {
		return errors.New("a token that is good is not active")
	}
	return nil
}

func (w *world) clientCredentials(ctx context.Context) error {
	reply, err := w.client(w.clients).ClientCredentials(ctx, "accounts")
	if err != nil {
		return err
	}
	_, err = reply.Tokens()
	return err
}

func (w *world) push(ctx context.Context) error {
	client := w.client(w.clients)
	reply, err := client.Push(ctx, client.NewTransaction())
	if err != nil {
		return err
	}
	_, err = reply.RequestURI()
	return err
}

// revoke revokes a refresh token that nobody else uses; when there is none left, one that never was, which is the same to
// a client (RFC 7009 §2.2).
func (w *world) revoke(ctx context.Context) error {
	client := w.client(w.clients)
	token := client.Random()
	w.mu.Lock()
	if last := len(w.revocable) - 1; last >= 0 {
		token, w.revocable = w.revocable[last], w.revocable[:last]
	}
	w.mu.Unlock()
	reply, err := client.Revoke(ctx, token)
	if err != nil {
		return err
	}
	return reply.Expect(http.StatusOK)
}

// ask asks a user, whose approval app allows it by way of the other node, and fetches the tokens.
func (w *world) ask(ctx context.Context) error {
	number := w.step()
	client, one := w.askers[number%len(w.askers)], w.people[number/len(w.askers)%len(w.people)]
	app := one.apps[(number+1)%len(one.apps)]
	reply, err := client.Ask(ctx, url.Values{"login_hint": {one.name}, "binding_message": {"TILL 7"}})
	if err != nil {
		return err
	}
	asked, err := reply.Asked()
	if err != nil {
		return err
	}
	request, err := app.Request(ctx, asked.AuthReqID)
	if err != nil {
		return err
	}
	if reply, err = app.Decide(ctx, request, true); err != nil {
		return err
	}
	if err := reply.Expect(http.StatusOK); err != nil {
		return err
	}
	if reply, err = client.Poll(ctx, asked.AuthReqID); err != nil {
		return err
	}
	_, err = reply.Tokens()
	return err
}
