package handoff

import (
	"encoding/hex"
	"encoding/json"
	"time"

	"countersign/fapi/browser"
	"countersign/fapi/rar"
	"countersign/fapi/rar/display"
	"countersign/fapi/request"
	"countersign/internal/oauth"
	"countersign/store"
)

// Answer is what a login answers about an interaction that was handed to it: who signed in, what was allowed, or why neither.
type Answer struct {
	// Digest is that of what was read and shown: the one that was read.
	Digest string
	// Error is why nobody signed in or nothing was allowed; all else but Digest is then empty.
	Error string
	// Subject is who signed in or, where the login asks for consent alone, who decided.
	Subject string
	// Username is how the user is called here, if this is the first time; the subject when it is empty.
	Username string
	// ACR, AMR and AuthTime are about the sign-in; empty where the login asks for consent alone.
	ACR      string
	AMR      []string
	AuthTime time.Time
	// Claims are about the user (OpenID Connect Core §5.1), a JSON object that replaces what is known; nil changes nothing.
	Claims json.RawMessage
	// Allowed is what was allowed; nil where the login does not ask for consent.
	Allowed *Allowed
	// Accounts are those of the user that the login offers for lists of authorization_details; nil if it says nothing of them. Where the
	// login asks for consent, they are words for those that were allowed.
	Accounts []display.Offered
	// Upstream names the session at an upstream provider by which the user signed in (see [store.Upstreams]); zero for none.
	Upstream store.Digest
}

// Allowed is a part of what was requested.
type Allowed struct {
	Scopes []string
	// Claims are names of those in those asked for, or of claims of scopes that are not allowed.
	Claims []string
	// Details are authorization_details, each as it was requested.
	Details []json.RawMessage
}

// Decision is an [Answer] that was checked, as it is stored until the browser is back. Login and Consent are what the login was asked.
type Decision struct {
	Digest   string      `json:"request_digest"`
	Error    string      `json:"error,omitempty"`
	Login    bool        `json:"login,omitempty"`
	Consent  bool        `json:"consent,omitempty"`
	Subject  string      `json:"subject,omitempty"`
	ACR      string      `json:"acr,omitempty"`
	AMR      []string    `json:"amr,omitempty"`
	AuthTime time.Time   `json:"auth_time,omitzero"`
	Scopes   []string    `json:"scopes,omitempty"`
	Claims   []string    `json:"claims,omitempty"`
	Details  rar.Details `json:"authorization_details,omitempty"`
	// Accounts are as in [Answer].
	Accounts []display.Offered `json:"accounts,omitempty"`
	// Upstream is as in [Answer], in hexadecimal; empty for none.
	Upstream string `json:"upstream,omitempty"`
}

// Of returns the part of a request that was allowed; all of it where that is still to be asked.
func (d Decision) Of(requested *request.Request, types *rar.Types) (*request.Request, error) {
	if !d.Consent {
		return requested, nil
	}
	return requested.Restrict(types, d.Scopes, d.Claims, d.Details)
}

// Authentication returns the sign-in; epoch is that of the user.
func (d Decision) Authentication(epoch int64) browser.Authentication {
	a := browser.Authentication{Subject: d.Subject, ACR: d.ACR, AMR: d.AMR, At: d.AuthTime, Epoch: epoch}
	if link, err := hex.DecodeString(d.Upstream); err == nil {
		copy(a.Upstream[:], link)
	}
	return a
}

// Began adds by which session at an upstream provider the user signed in.
func (d *Decision) Began(upstream store.Digest) {
	if !upstream.Zero() {
		d.Upstream = hex.EncodeToString(upstream[:])
	}
}

// Allow adds what was allowed, and says what is wrong with it. Errors are *[oauth.Error] with invalid_request.
func (d *Decision) Allow(asked bool, allowed *Allowed) error {
	switch {
	case !asked && allowed != nil:
		return oauth.Errorf(oauth.InvalidRequest, "this login signs in alone: it has nothing to allow")
	case !asked:
		return nil
	case allowed == nil || len(allowed.Scopes)+len(allowed.Claims)+len(allowed.Details) == 0:
		return oauth.Errorf(oauth.InvalidRequest, "allowed is missing or empty; if nothing is allowed, answer with error access_denied")
	}
	d.Scopes, d.Claims = allowed.Scopes, allowed.Claims
	for _, each := range allowed.Details {
		canonical, err := rar.Canonical(each)
		if err != nil {
			return oauth.Errorf(oauth.InvalidRequest, "allowed.authorization_details holds what is no JSON object").Because(err)
		}
		d.Details = append(d.Details, canonical)
	}
	return nil
}
