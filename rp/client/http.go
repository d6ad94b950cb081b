package client

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"countersign/rp/internal/proof"
)

// HTTP is a client for resources that uses an access token as it is bound: with a DPoP proof for each request, which is sent again once with the
// nonce that the resource asks for (RFC 9449 §7, §9), or with the client's certificate (RFC 8705 §3). It adds x-fapi-interaction-id (a UUID) where there
// is none, follows no redirects, and sends the token by https only. A request with a body needs [http.Request].GetBody to be sent again, which
// [http.NewRequest] sets for the usual ones; without it the answer that asks for a nonce is returned. Tokens that are bound to another DPoP key than this
// client's are a [*ConfigError], within the [*url.Error] of each call.
func (c *Client) HTTP(t *Tokens) *http.Client {
	return &http.Client{
		Transport:     &resources{client: c, tokens: t},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// resources is the transport of [Client.HTTP].
type resources struct {
	client *Client
	tokens *Tokens
}

// RoundTrip implements [http.RoundTripper].
func (r *resources) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := r.send(request, request.Body)
	if err != nil || r.tokens.JKT == "" || !proof.Wanted(response.StatusCode, response.Header, "") {
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
	return r.send(request, body)
}

// maxDiscard is how much of an answer is read so that its connection can be used again, in bytes.
const maxDiscard = 64 << 10

func discard(response *http.Response) {
	// An error ends the connection, and nothing else.
	_, _ = io.CopyN(io.Discard, response.Body, maxDiscard)
	response.Body.Close()
}

// send sends a request with the token. The caller's own is not changed.
func (r *resources) send(original *http.Request, body io.ReadCloser) (*http.Response, error) {
	request, err := r.prepare(original, body)
	if err != nil {
		if body != nil {
			body.Close()
		}
		return nil, err
	}
	response, err := r.client.transport.RoundTrip(request)
	if err != nil {
		return nil, err
	}
	if r.tokens.JKT != "" {
		r.client.proofs.Keep(proof.Resource, request.URL, response.Header)
	}
	return response, nil
}

func (r *resources) prepare(original *http.Request, body io.ReadCloser) (*http.Request, error) {
	if original.URL.Scheme != "https" {
		return nil, misconfigured("URL", "an access token is sent by https only")
	}
	if r.tokens == nil || r.tokens.AccessToken == "" {
		return nil, misconfigured("Tokens", "there is no access token")
	}
	if !r.client.Holds(r.tokens) {
		return nil, errOtherKey
	}
	request := original.Clone(original.Context())
	request.Body = body
	header, err := r.client.authorization(original.Context(), r.tokens, original.Method, original.URL)
	if err != nil {
		return nil, err
	}
	for name := range header {
		request.Header.Set(name, header.Get(name))
	}
	if request.Header.Get("User-Agent") == "" {
		request.Header.Set("User-Agent", r.client.config.UserAgent)
	}
	if request.Header.Get("X-Fapi-Interaction-Id") == "" {
		request.Header.Set("X-Fapi-Interaction-Id", newUUID())
	}
	return request, nil
}

// authorization makes the header that a request to a resource needs. An empty method is GET, as in net/http.
func (c *Client) authorization(ctx context.Context, t *Tokens, method string, address *url.URL) (http.Header, error) {
	if t.JKT == "" {
		return http.Header{"Authorization": {"Bearer " + t.AccessToken}}, nil
	}
	if method == "" {
		method = http.MethodGet
	}
	made, err := c.proofs.Make(ctx, proof.Resource, method, address, t.AccessToken)
	if err != nil {
		return nil, signing(err)
	}
	return http.Header{"Authorization": {"DPoP " + t.AccessToken}, "Dpop": {made}}, nil
}

// newUUID makes a random UUID (RFC 9562 §5.4).
func newUUID() string {
	var u [16]byte
	rand.Read(u[:])
	u[6], u[8] = u[6]&0x0f|0x40, u[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", u[0:4], u[4:6], u[6:8], u[8:10], u[10:])
}
