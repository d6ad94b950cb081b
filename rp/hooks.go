package rp

import (
	"context"
	"encoding/json"

	"countersign/rp/client"
)

// Hooks are the application's own. Each may be nil.
type Hooks struct {
	// AfterCallback sees a login before its session begins. It may keep something in the session, send the user elsewhere, or refuse: an error
	// leaves the session from before, and the tokens are revoked.
	AfterCallback func(ctx context.Context, login *Login) error
	// OnLogin is told of a session that has begun.
	OnLogin func(ctx context.Context, s *Session)
	// OnLogout is told of sessions that have ended.
	OnLogout func(ctx context.Context, ended Logout)
	// OnRefresh is told of new tokens of a session. It may run on another goroutine than the request's, after which it need not end.
	OnRefresh func(ctx context.Context, subject string, tokens *client.Tokens)
	// OnError is told of each request that was refused.
	OnError func(ctx context.Context, e *Error)
	// OnPing is told of a ping (CIBA Core §10.2) that was verified: [client.Client.Poll] now has the tokens, or the refusal, of a request of
	// [App.Backchannel]. Its error has the provider send the ping again.
	OnPing func(ctx context.Context, request *client.BackchannelRequest) error
}

// Login is a login that was checked and has no session yet.
type Login struct {
	// Tokens are what the provider issued, with the ID token's claims in Identity.
	Tokens *client.Tokens
	// ReturnTo is the path to which the user returns.
	ReturnTo string
	// Data is what the session keeps for the application: that of the session from before, if the same user has signed in again.
	Data json.RawMessage

	state json.RawMessage
}

// State reads what [WithState] kept for this login.
func (l *Login) State(into any) error {
	if len(l.state) == 0 {
		return nil
	}
	return json.Unmarshal(l.state, into)
}

// Keep has the session keep a value, for [Session.Data].
func (l *Login) Keep(value any) error {
	data, err := json.Marshal(value)
	if err != nil {
		return err
	}
	l.Data = data
	return nil
}

// Logout is what has ended: one session, or all of a subject or of a provider's session.
type Logout struct {
	Issuer, Subject, SessionID string
	// Backchannel is a logout by the provider (OpenID Connect Back-Channel Logout 1.0), otherwise by the user here.
	Backchannel bool
}
