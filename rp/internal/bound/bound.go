// Package bound uses access tokens as they are bound: with a DPoP proof for each request (RFC 9449 §7), or with the certificate that the transport
// shows (RFC 8705 §3).
package bound

import (
	"context"
	"io"
	"net/http"
	"net/url"

	"countersign/internal/random"
	"countersign/rp/internal/exchange"
	"countersign/rp/internal/proof"
)

// Token is an access token.
type Token struct {
	Value string
	// Proofs makes its proofs; nil for a token that needs none.
	Proofs *proof.Maker
}

// authorization makes the header that a request needs. An empty method is GET, as in net/http.
func (t Token) authorization(ctx context.Context, method string, address *url.URL) (http.Header, error) {
	if t.Proofs == nil {
		return http.Header{"Authorization": {"Bearer " + t.Value}}, nil
	}
	if method == "" {
		method = http.MethodGet
	}
	made, err := t.Proofs.Make(ctx, proof.Resource, method, address, t.Value)
	if err != nil {
		return nil, err
	}
	return http.Header{"Authorization": {"DPoP " + t.Value}, "Dpop": {made}}, nil
}

// keep remembers the nonce of an answer.
func (t Token) keep(address *url.URL, header http.Header) {
	if t.Proofs != nil {
		t.Proofs.Keep(proof.Resource, address, header)
	}
}

// Call calls a resource of the provider's and reads its answer, once more if the proof needs a nonce (RFC 9449 §9). code reads the error of an answer.
// Errors are an [*exchange.Error], or those of the key.
func Call(ctx context.Context, through *exchange.Client, t Token, method, address, accept string, code func(exchange.Reply) string) (exchange.Reply, error) {
	parsed, err := url.Parse(address)
	if err != nil {
		return exchange.Reply{}, err
	}
	for again := false; ; again = true {
		header, err := t.authorization(ctx, method, parsed)
		if err != nil {
			return exchange.Reply{}, err
		}
		header.Set("Accept", accept)
		reply, err := through.Do(ctx, exchange.Request{Method: method, Address: address, Header: header})
		if err != nil {
			return exchange.Reply{}, err
		}
		t.keep(parsed, reply.Header)
		if again || t.Proofs == nil || !proof.Wanted(reply.Status, reply.Header, code(reply)) {
			return reply, nil
		}
	}
}

// Transport is an [http.RoundTripper] that adds a token to requests, by https only.
type Transport struct {
	Through http.RoundTripper
	Agent   string
	// Token gives the token for a request, or an error that says why there is none.
	Token func() (Token, error)
	// Insecure is the error for an address that is not https.
	Insecure error
}

// RoundTrip implements [http.RoundTripper]. It sends a request again once with the nonce that the resource asks for, if the body can be read again.
func (r *Transport) RoundTrip(request *http.Request) (*http.Response, error) {
	token, err := r.Token()
	if err == nil && request.URL.Scheme != "https" {
		err = r.Insecure
	}
	if err != nil {
		if request.Body != nil {
			request.Body.Close()
		}
		return nil, err
	}
	response, err := r.send(token, request, request.Body)
	if err != nil || token.Proofs == nil || !proof.Wanted(response.StatusCode, response.Header, "") {
		return response, err
	}
	body := request.Body
	if body != nil && body != http.NoBody {
		if request.GetBody == nil {
			return response, nil
		}
		if body, err = request.GetBody(); err != nil {
			return response, nil
		}
	}
	discard(response)
	return r.send(token, request, body)
}

// maxDiscard is how much of an answer is read so that its connection can be used again, in bytes.
const maxDiscard = 64 << 10

func discard(response *http.Response) {
	_, _ = io.CopyN(io.Discard, response.Body, maxDiscard) // an error ends the connection, and nothing else
	response.Body.Close()
}

// send sends a request with the token. The caller's own is not changed.
func (r *Transport) send(token Token, original *http.Request, body io.ReadCloser) (*http.Response, error) {
	header, err := token.authorization(original.Context(), original.Method, original.URL)
	if err != nil {
		if body != nil {
			body.Close()
		}
		return nil, err
	}
	request := original.Clone(original.Context())
	request.Body = body
	for name := range header {
		request.Header.Set(name, header.Get(name))
	}
	if request.Header.Get("User-Agent") == "" {
		request.Header.Set("User-Agent", r.Agent)
	}
	if request.Header.Get("X-Fapi-Interaction-Id") == "" {
		request.Header.Set("X-Fapi-Interaction-Id", random.UUID())
	}
	response, err := r.Through.RoundTrip(request)
	if err != nil {
		return nil, err
	}
	token.keep(request.URL, response.Header)
	return response, nil
}
