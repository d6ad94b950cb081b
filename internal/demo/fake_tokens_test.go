package demo

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"countersign/internal/flowclient"
)

// accessToken has the claims of RFC 9068 that the demo looks at.
type accessToken struct {
	Issuer       string `json:"iss"`
	Subject      string `json:"sub"`
	ID           string `json:"jti"`
	IssuedAt     int64  `json:"iat"`
	Expires      int64  `json:"exp"`
	Confirmation any    `json:"cnf,omitempty"`
}

// idToken has the claims of OpenID Connect Core §2 that the demo looks at.
type idToken struct {
	Issuer   string `json:"iss"`
	Subject  string `json:"sub"`
	Audience any    `json:"aud"`
	Nonce    string `json:"nonce"`
	IssuedAt int64  `json:"iat"`
	Expires  int64  `json:"exp"`
}

// tokenAnswer is a token response.
type tokenAnswer struct {
	AccessToken  string `json:"access_token"`
	TokenType    string `json:"token_type"`
	ExpiresIn    int    `json:"expires_in"`
	Scope        string `json:"scope"`
	RefreshToken string `json:"refresh_token,omitempty"`
	IDToken      string `json:"id_token,omitempty"`
}

func (f *fakeServer) token(w http.ResponseWriter, r *http.Request) {
	refreshing := r.PostForm.Get("grant_type") == "refresh_token"
	claims := accessToken{Issuer: f.issuer, Subject: "1", ID: fmt.Sprintf("token-%02d", len(f.given)), IssuedAt: began.Unix(), Expires: began.Add(5 * time.Minute).Unix()}
	if f.fault != "a token bound to nothing" && !(refreshing && f.fault == "a refreshed token bound to nothing") {
		claims.Confirmation = map[string]string{"jkt": f.client.ProofKey.Key().Thumbprint()}
	}
	if f.fault == "a token bound to another key" {
		claims.Confirmation = map[string]string{"jkt": f.key.Key().Thumbprint()}
	}
	if refreshing && f.fault == "the old token again" {
		claims.ID = "the same"
	}
	answer := tokenAnswer{AccessToken: f.sign(f.key, "at+jwt", claims), TokenType: "DPoP", ExpiresIn: 300, Scope: f.client.Scope}
	if f.fault == "an opaque token" {
		answer.AccessToken = f.secret("opaque")
	}
	if f.fault == "a bearer token" {
		answer.TokenType = "Bearer"
	}
	if refreshing {
		f.refreshed(w, r, answer)
		return
	}
	if flowclient.Digest(r.PostForm.Get("code_verifier")) != f.pushed.Get("code_challenge") || !slices.Contains(f.given, r.PostForm.Get("code")) ||
		r.PostForm.Get("redirect_uri") != f.client.RedirectURI {
		f.t.Errorf("the code came with %v", r.PostForm)
	}
	f.given = append(f.given, r.PostForm.Get("code_verifier"))
	if f.fault == "the code is refused" {
		f.refuse(w, http.StatusBadRequest, "invalid_grant", "the code was used")
		return
	}
	answer.IDToken = f.idToken()
	if f.fault != "no refresh token" {
		answer.RefreshToken = f.secret("refresh")
	}
	f.json(w, http.StatusOK, answer)
}

func (f *fakeServer) idToken() string {
	claims := idToken{Issuer: f.issuer, Subject: "1", Audience: f.client.ClientID, Nonce: f.pushed.Get("nonce"), IssuedAt: began.Unix(), Expires: began.Add(5 * time.Minute).Unix()}
	key := f.key
	switch f.fault {
	case "an ID token of another server":
		claims.Issuer = "https://elsewhere.example"
	case "an ID token for another client":
		claims.Audience = "other"
	case "an ID token for two clients":
		claims.Audience = []string{f.client.ClientID, "other"}
	case "an ID token of another sign-in":
		claims.Nonce = "other"
	case "an old ID token":
		claims.Expires = began.Add(-time.Minute).Unix()
	case "an ID token signed by another":
		key = f.client.ClientKey
	}
	return f.sign(key, "JWT", claims)
}

func (f *fakeServer) refreshed(w http.ResponseWriter, r *http.Request, answer tokenAnswer) {
	if !slices.Contains(f.given, r.PostForm.Get("refresh_token")) {
		f.t.Errorf("refreshed with %v", r.PostForm)
	}
	switch f.fault {
	case "the refresh is refused":
		f.refuse(w, http.StatusBadRequest, "invalid_grant", "the grant was revoked")
		return
	case "a rotated refresh token":
		answer.RefreshToken = f.secret("refresh")
	case "the old token again":
		answer.AccessToken = f.given[slices.IndexFunc(f.given, func(s string) bool { return strings.HasPrefix(s, "eyJ") })]
	}
	f.json(w, http.StatusOK, answer)
}

func (f *fakeServer) accounts(w http.ResponseWriter, r *http.Request) {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !slices.Contains(f.given, token) {
		f.t.Errorf("the resource is called with a token that was never given")
	}
	if scheme == "DPoP" && !f.proof(w, r, token) {
		return
	}
	switch {
	case f.fault == "the resource refuses":
		f.refuse(w, http.StatusForbidden, "insufficient_scope", "accounts is missing")
	case scheme == "DPoP" || f.fault == "a stolen token is accepted":
		f.json(w, http.StatusOK, map[string]any{"accounts": []map[string]string{{"id": "1", "name": "Everyday account"}}})
	default:
		w.Header().Set("WWW-Authenticate", `DPoP algs="ES256", error="invalid_token", error_description="the access token is bound by DPoP"`)
		f.refuse(w, http.StatusUnauthorized, "invalid_token", "the access token is bound by DPoP and must not be sent as Bearer")
	}
}
