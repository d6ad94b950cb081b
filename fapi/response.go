package fapi

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"countersign/internal/audit"
	"countersign/internal/jose"
	"countersign/internal/oauth"
	"countersign/jar"
	"countersign/signer"
	"countersign/store"
)

// responseLifetime is how long a signed authorization response may be used (JARM §2.1 advises at most 10 minutes).
const responseLifetime = 5 * time.Minute

// redirectTarget is where and how an answer may be sent through the browser. Its uri is registered for the client, or
// empty.
type redirectTarget struct {
	uri   string
	state string
	// mode is one of query, fragment, form_post, query.jwt, fragment.jwt, form_post.jwt.
	mode   string
	client *Client
	// answers tells that the answer is to a request of the client, and not to what anybody may have sent.
	answers bool
}

// target is where the answer to a request goes.
func (r *authorizationRequest) target(client *Client) redirectTarget {
	mode := r.ResponseMode
	if mode == "" {
		mode = "query"
	}
	return redirectTarget{uri: r.RedirectURI, state: r.State, mode: mode, client: client, answers: true}
}

// responseType puts the words of a response_type in order: the order has no meaning (OAuth 2.0 Multiple Response Type
// Encoding Practices §5).
func responseType(raw string) string {
	words := strings.Split(raw, " ")
	slices.Sort(words)
	return strings.Join(words, " ")
}

// responseMode is what a response_mode stands for: jwt is the signed form of the default of the response_type (JARM §2.3.4),
// which is query for code and fragment for the others (OAuth 2.0 Multiple Response Type Encoding Practices §5).
func responseMode(raw, kind string) string {
	usual := "fragment"
	if kind == "code" {
		usual = "query"
	}
	switch raw {
	case "":
		return usual
	case "jwt":
		return usual + ".jwt"
	}
	return raw
}

// isSigned tells whether a response_mode is one of JARM's.
func isSigned(mode string) bool { return mode == "jwt" || strings.HasSuffix(mode, ".jwt") }

// checkResponse reads response_type and response_mode.
func checkResponse(client *Client, form oauth.Form, request *authorizationRequest) error {
	kind, raw := responseType(form.Get("response_type")), form.Get("response_mode")
	switch {
	case kind == "":
		return oauth.Errorf(oauth.InvalidRequest, "response_type is missing")
	case !slices.Contains(client.Profile.ResponseTypes, kind):
		return oauth.Errorf(oauth.UnsupportedResponseType, "response_type must be %s", strings.Join(client.Profile.ResponseTypes, " or "))
	}
	mode := responseMode(raw, kind)
	if allowed := client.Profile.ResponseModes[kind]; !slices.Contains(allowed, mode) && !slices.Contains(allowed, raw) {
		return oauth.Errorf(oauth.InvalidRequest, "response_mode must be %s with response_type %s", strings.Join(allowed, " or "), kind)
	}
	request.ResponseType, request.ResponseMode = kind, mode
	return nil
}

// refusalMode is how an error goes back whose request was not understood. It holds no secret, so that it goes where the
// request wants it and its client looks for it; but it is signed only for a client that may have that. A request that says
// nothing of it is answered as its response_type is when it is whole, and as the client's first choice is when it could not
// be read.
func refusalMode(client *Client, rawKind, rawMode string, whole bool) string {
	kind := responseType(rawKind)
	known := slices.Contains(client.Profile.ResponseTypes, kind)
	if !known && len(client.Profile.ResponseTypes) > 0 {
		kind = client.Profile.ResponseTypes[0]
	}
	allowed, mode := client.Profile.ResponseModes[kind], responseMode(rawMode, kind)
	switch {
	case slices.Contains([]string{"query", "fragment", "form_post"}, rawMode), whole && known && rawMode == "":
		return mode
	case slices.Contains(allowed, mode), slices.Contains(allowed, rawMode):
		return mode
	case len(allowed) == 0:
		return "query"
	}
	return responseMode(allowed[0], kind)
}

// response is an authorization response that is ready to be released.
type response struct {
	to redirectTarget
	// parameters are those that the browser carries.
	parameters url.Values
	// evidence is kept before the response is sent: what in it is signed, if it answers a request of the client. Nobody else
	// can fill the log with what the server says to him.
	evidence []store.Evidence
}

// prepare makes an authorization response with state and iss (RFC 9207), signs it where its mode says so, and encrypts it to
// a client that registered that: then all of it is in the one parameter "response" (JARM §2.3).
func (s *Server) prepare(ctx context.Context, to redirectTarget, parameters url.Values) (response, error) {
	if to.state != "" {
		parameters.Set("state", to.state)
	}
	signed := isSigned(to.mode)
	to.mode = strings.TrimSuffix(to.mode, ".jwt")
	if !signed {
		parameters.Set("iss", s.config.Issuer)
		return response{to: to, parameters: parameters}, nil
	}
	alg := s.algorithm(to.client, to.client.Metadata.AuthorizationSignedResponseAlg)
	made, kept, err := s.signedMessage(ctx, signer.UseResponse, audit.AuthorizationResponse, to.client, alg, func(key jose.SigningKey) (string, error) {
		return jar.Response{
			Issuer: s.config.Issuer, ClientID: to.client.ID, Expires: s.now().Add(responseLifetime), Parameters: parameters,
		}.Sign(ctx, jar.SigningKey(key))
	})
	if err == nil {
		made, err = s.encryptFor(ctx, to.client, to.client.Metadata.responseEncryption(), made)
	}
	prepared := response{to: to, parameters: url.Values{"response": {made}}}
	if to.answers {
		prepared.evidence = []store.Evidence{kept}
	}
	return prepared, err
}

// send sends a response through the browser.
func send(w http.ResponseWriter, r response) {
	switch r.to.mode {
	case "form_post":
		postForm(w, r.to.uri, r.parameters)
	case "fragment":
		seeOther(w, r.to.uri+"#"+r.parameters.Encode())
	default:
		separator := "?"
		if strings.Contains(r.to.uri, "?") {
			separator = "&"
		}
		seeOther(w, r.to.uri+separator+r.parameters.Encode())
	}
}
