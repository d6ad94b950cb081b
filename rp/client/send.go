package client

import (
	"context"
	"crypto/rand"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"countersign/internal/jose"
	"countersign/internal/strictjson"
	"countersign/rp/internal/exchange"
	"countersign/rp/internal/proof"
)

// assertionType is the client_assertion_type (RFC 7523 §2.2).
const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// lifetime is how long what the client signs is valid.
const lifetime = time.Minute

// endpoint is where something is sent.
type endpoint struct{ name, address string }

// need returns the endpoint, or a [*ConfigError]: the provider has none, and what the caller wants cannot be had there.
func need(name, address string) (endpoint, error) {
	if address == "" {
		return endpoint{}, misconfigured(name, "the provider's metadata have none")
	}
	return endpoint{name, address}, nil
}

// post sends a form with the client's authentication and, with proofs, a DPoP proof, once more if that needs a nonce (RFC 9449 §8). The answer
// has a status of 2xx; errors are a [*ProviderError] or an [*UnavailableError], or that of a key.
func (c *Client) post(ctx context.Context, to endpoint, form url.Values, proofs bool) (exchange.Reply, error) {
	return c.postFor(ctx, to, form, "application/json", proofs)
}

// postFor is [Client.post] for an answer of another media type.
func (c *Client) postFor(ctx context.Context, to endpoint, form url.Values, accept string, proofs bool) (exchange.Reply, error) {
	address, err := url.Parse(to.address)
	if err != nil {
		return exchange.Reply{}, unavailable(to.name, err)
	}
	proofs = proofs && c.proofs != nil
	for again := false; ; again = true {
		request := exchange.Request{
			Method: http.MethodPost, Address: to.address, Form: maps.Clone(form),
			Header: http.Header{"Accept": {accept}},
		}
		if err := c.authenticate(ctx, &request); err != nil {
			return exchange.Reply{}, err
		}
		if proofs {
			made, err := c.proofs.Make(ctx, proof.AuthorizationServer, http.MethodPost, address, "")
			if err != nil {
				return exchange.Reply{}, signing(err)
			}
			request.Header.Set("DPoP", made)
		}
		reply, err := c.exchange.Do(ctx, request)
		if err != nil {
			return exchange.Reply{}, unavailable(to.name, err)
		}
		if proofs {
			c.proofs.Keep(proof.AuthorizationServer, address, reply.Header)
		}
		if reply.Status >= 200 && reply.Status < 300 {
			return reply, nil
		}
		refused := refusal(to.name, reply)
		if again || !proofs || !proof.Wanted(reply.Status, reply.Header, refused.Code) {
			return exchange.Reply{}, refused.orUnavailable()
		}
	}
}

// signing says that a key of the client could not sign, which is no fault of the provider.
func signing(err error) error {
	return &UnavailableError{Endpoint: "client key", Reason: "it did not sign", cause: err}
}

// authenticate adds what authenticates the client.
func (c *Client) authenticate(ctx context.Context, request *exchange.Request) error {
	if request.Form == nil {
		request.Form = url.Values{}
	}
	switch c.config.Auth.method {
	case methodPrivateKeyJWT:
		assertion, err := c.assertion(ctx)
		if err != nil {
			return err
		}
		request.Form.Set("client_assertion_type", assertionType)
		request.Form.Set("client_assertion", assertion)
	case methodBasic:
		credentials := http.Request{Header: request.Header}
		credentials.SetBasicAuth(url.QueryEscape(c.config.ClientID), url.QueryEscape(c.config.Auth.secret)) // RFC 6749 §2.3.1
	case methodPost:
		request.Form.Set("client_id", c.config.ClientID)
		request.Form.Set("client_secret", c.config.Auth.secret)
	default:
		request.Form.Set("client_id", c.config.ClientID)
	}
	return nil
}

// assertion makes a client assertion (RFC 7523 §3, FAPI 2.0 Security Profile §5.3.3.1-5).
func (c *Client) assertion(ctx context.Context) (string, error) {
	audience := c.config.Issuer
	if c.config.Weak.TokenEndpointAudience {
		audience = c.current(ctx).document.Token
	}
	now := c.config.Now()
	made, err := jose.Sign(ctx, c.config.Auth.key.signing, "JWT", map[string]any{
		"iss": c.config.ClientID, "sub": c.config.ClientID, "aud": audience, "jti": rand.Text(),
		"iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(lifetime).Unix(),
	})
	if err != nil {
		return "", signing(err)
	}
	return made, nil
}

// signRequest makes a request object (RFC 9101 §4, CIBA Core §7.1.1) of parameters. Those that are JSON are JSON in it.
func (c *Client) signRequest(ctx context.Context, claims map[string]any) (string, error) {
	now := c.config.Now()
	claims = maps.Clone(claims)
	maps.Copy(claims, map[string]any{
		"iss": c.config.ClientID, "aud": c.config.Issuer, "jti": rand.Text(),
		"iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(5 * lifetime).Unix(),
	})
	made, err := jose.Sign(ctx, c.config.RequestKey.signing, "oauth-authz-req+jwt", claims)
	if err != nil {
		return "", signing(err)
	}
	return made, nil
}

// refusal reads an error answer.
func refusal(name string, reply exchange.Reply) *ProviderError {
	var told struct {
		Code          string `json:"error"`
		Description   string `json:"error_description"`
		URI           string `json:"error_uri"`
		CorrelationID string `json:"correlation_id"`
	}
	if strictjson.DecodeObject(reply.Body, &told) != nil {
		told.Code, told.Description, told.URI, told.CorrelationID = "", "", "", ""
	}
	for _, header := range []string{"X-Correlation-Id", "X-Fapi-Interaction-Id"} {
		if told.CorrelationID == "" {
			told.CorrelationID = reply.Header.Get(header)
		}
	}
	if told.Code == "" {
		told.Code, told.Description = challenge(reply.Header)
	}
	e := &ProviderError{
		Endpoint: name, Status: reply.Status, Code: printable(told.Code), Description: printable(told.Description),
		URI: printable(told.URI), CorrelationID: printable(told.CorrelationID),
	}
	if seconds, err := strconv.Atoi(reply.Header.Get("Retry-After")); err == nil && seconds > 0 {
		e.RetryAfter = min(time.Duration(seconds)*time.Second, time.Hour)
	}
	return e
}

// orUnavailable is the error itself, or an [*UnavailableError] for a server that says nothing but that it is out of order.
func (e *ProviderError) orUnavailable() error {
	if e.Code == "" && e.Status >= 500 {
		return &UnavailableError{Endpoint: e.Endpoint, Reason: "it answered " + strconv.Itoa(e.Status), cause: e}
	}
	return e
}

// decode reads an answer that has to be a JSON object.
func decode(what, name string, reply exchange.Reply, into any) error {
	if !reply.IsJSON() {
		return &UnavailableError{Endpoint: name, Reason: "its answer is not JSON, says its Content-Type"}
	}
	if err := strictjson.DecodeObject(reply.Body, into); err != nil {
		return &CheckError{What: what, Check: "malformed", Reason: err.Error(), cause: err}
	}
	return nil
}

// withResources adds resources (RFC 8707 §2), each a parameter.
func withResources(form url.Values, resources []string) {
	if len(resources) > 0 {
		form["resource"] = slices.Clone(resources)
	}
}
