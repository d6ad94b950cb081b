package demo

import (
	"bytes"
	"io"
	"net/http"
	"net/url"

	"countersign/internal/flowclient"
)

// watch is a transport that shows the client's messages as they are sent and as they come in.
type watch struct {
	demo *demo
	next http.RoundTripper
}

// RoundTrip implements http.RoundTripper.
func (w watch) RoundTrip(request *http.Request) (*http.Response, error) {
	form, err := formOf(request)
	if err != nil {
		return nil, err
	}
	w.demo.sent(request, form)
	response, err := w.next.RoundTrip(request)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, flowclient.MaxAnswer+1))
	response.Body.Close()
	if err != nil {
		return nil, err
	}
	response.Body = io.NopCloser(bytes.NewReader(body))
	w.demo.got(request, form, flowclient.Reply{Status: response.StatusCode, Header: response.Header, Body: body})
	return response, nil
}

// formOf reads the form of a request, and leaves it to be read again.
func formOf(request *http.Request) (url.Values, error) {
	if request.Body == nil || request.Body == http.NoBody {
		return nil, nil
	}
	body, err := io.ReadAll(request.Body)
	request.Body.Close()
	if err != nil {
		return nil, err
	}
	request.Body = io.NopCloser(bytes.NewReader(body))
	return url.ParseQuery(string(body))
}

// kind is what a request is for.
type kind int

const (
	metadataRequest kind = iota
	pushRequest
	codeRequest
	refreshRequest
	keysRequest
	resourceRequest
)

// kindOf finds out what a request is for. Before the metadata are known it can be for nothing else.
func (d *demo) kindOf(request *http.Request, form url.Values) kind {
	if d.client == nil {
		return metadataRequest
	}
	endpoints := d.client.Metadata()
	switch request.URL.String() {
	case endpoints.PAREndpoint:
		return pushRequest
	case endpoints.JWKSURI:
		return keysRequest
	case endpoints.TokenEndpoint:
		if form.Get("grant_type") == "refresh_token" {
			return refreshRequest
		}
		return codeRequest
	}
	return resourceRequest
}

// sent shows a request. The token endpoint and the keys are asked by the client itself, when the browser is back: each is a step.
func (d *demo) sent(request *http.Request, form url.Values) {
	what := request.Method + " " + request.URL.String()
	switch d.kindOf(request, form) {
	case metadataRequest:
		d.screen.request(what, "The client asks where the endpoints are and what they support.")
	case pushRequest:
		d.showPost(what, "The request goes to the server directly: nobody can read or change it. dpop_jkt binds the code to the client's DPoP key.", request, form,
			"response_type", "client_id", "redirect_uri", "scope", "state", "nonce", "code_challenge", "code_challenge_method", "dpop_jkt")
	case codeRequest:
		if d.screen.current() != "Token" { // the client sends the code only after this
			d.screen.check("state is ours: the answer belongs to this request.")
			d.screen.check("iss is the server that was asked: no mix-up (RFC 9207).")
		}
		d.begin("Token")
		d.showPost(what, "The code is good once, and only for this client, verifier and DPoP key.", request, form,
			"grant_type", "code", "redirect_uri", "code_verifier")
	case refreshRequest:
		d.showPost(what, "The access token is short-lived; the refresh token gets the next one.", request, form, "grant_type", "refresh_token")
	case keysRequest:
		d.begin("ID token")
		d.screen.request(what, "The client fetches the server's public keys to verify who signed in.")
	case resourceRequest:
		d.screen.request(what, d.calling, parameter{"Authorization", "DPoP " + shown("access_token", d.tokens.AccessToken)})
		d.screen.token("DPoP: ath ties it to the token, htm and htu to the request", request.Header.Get("DPoP"))
	}
}

// begin begins a step, once.
func (d *demo) begin(name string) {
	if d.screen.current() != name {
		d.screen.step(name)
	}
}

// showPost shows a request of the back channel as it is sent: the parameters named, the client assertion and the proof.
func (d *demo) showPost(what, explanation string, request *http.Request, form url.Values, names ...string) {
	var parameters []parameter
	for _, name := range names {
		parameters = append(parameters, parameter{name, form.Get(name)})
	}
	d.screen.request(what, explanation, parameters...)
	d.screen.token("client_assertion: the client proves itself with its key (private_key_jwt)", form.Get("client_assertion"))
	if proof := request.Header.Get("DPoP"); proof != "" {
		d.screen.token("DPoP: a proof of the key that the tokens will be bound to", proof)
	}
}

// got shows an answer.
func (d *demo) got(request *http.Request, form url.Values, reply flowclient.Reply) {
	if reply.WantsNonce() {
		d.screen.answer(reply, "The proof has to hold the server's nonce (RFC 9449 §8): once more, with it.")
		return
	}
	if reply.Status < 200 || reply.Status > 299 {
		d.screen.answer(reply, "That is not what was expected.")
		return
	}
	switch d.kindOf(request, form) {
	case metadataRequest:
		d.screen.answer(reply, "The server advertises only what it enforces. A part of it:",
			"issuer", "pushed_authorization_request_endpoint", "authorization_endpoint", "token_endpoint", "jwks_uri",
			"token_endpoint_auth_methods_supported", "dpop_signing_alg_values_supported", "require_pushed_authorization_requests")
	case pushRequest:
		d.screen.answer(reply, "A reference to the request, good for a short time and one sign-in.")
		if seconds, ok := reply.Members()["expires_in"].(float64); ok {
			d.lives = int(seconds)
		}
	case codeRequest:
		d.screen.answer(reply, "The tokens, signed in the HSM.")
		d.checkBinding(reply)
	case refreshRequest:
		d.screen.answer(reply, "A new access token. The refresh token stays the same.")
		d.checkBinding(reply)
	case keysRequest:
		d.screen.answer(reply, "The keys, in short.", "kty", "alg", "kid")
	case resourceRequest:
		d.screen.answer(reply, "The resource answers.")
	}
}
