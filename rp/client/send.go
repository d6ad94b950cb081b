package client

import (
	"context"
	"maps"
	"net/http"
	"net/url"
	"strconv"

	"countersign/internal/strictjson"
	"countersign/rp/internal/answer"
	"countersign/rp/internal/exchange"
	"countersign/rp/internal/proof"
	"countersign/rp/internal/statement"
)

// assertionType is the client_assertion_type (RFC 7523 §2.2).
const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// endpoint is where something is sent.
type endpoint struct{ name, address string }

// need returns the endpoint, or a [*ConfigError]: the provider has none, and what the caller wants cannot be had there.
func need(name, address string) (endpoint, error) {
	if address == "" {
		return endpoint{}, misconfigured(name, "the provider's metadata have none")
	}
	return endpoint{name, address}, nil
}

// sender sends what the client itself has to authenticate.
type sender struct {
	config   *Config
	exchange *exchange.Client
	// proofs are those of the DPoP key; nil if there is none.
	proofs *proof.Maker
	// tokenEndpoint is its address, for assertions that are addressed to it.
	tokenEndpoint func(context.Context) string
}

// post sends a form with the client's authentication and, with proofs, a DPoP proof, once more if that needs a nonce (RFC 9449 §8). The answer
// has a status of 2xx; errors are a [*ProviderError] or an [*UnavailableError], or that of a key.
func (s *sender) post(ctx context.Context, to endpoint, form url.Values, proofs bool) (exchange.Reply, error) {
	return s.postFor(ctx, to, form, "application/json", proofs)
}

// postFor is [sender.post] for an answer of another media type.
func (s *sender) postFor(ctx context.Context, to endpoint, form url.Values, accept string, proofs bool) (exchange.Reply, error) {
	address, err := url.Parse(to.address)
	if err != nil {
		return exchange.Reply{}, unavailable(to.name, err)
	}
	proofs = proofs && s.proofs != nil
	for again := false; ; again = true {
		request := exchange.Request{
			Method: http.MethodPost, Address: to.address, Form: maps.Clone(form),
			Header: http.Header{"Accept": {accept}},
		}
		if err := s.authenticate(ctx, &request); err != nil {
			return exchange.Reply{}, err
		}
		if proofs {
			made, err := s.proofs.Make(ctx, proof.AuthorizationServer, http.MethodPost, address, "")
			if err != nil {
				return exchange.Reply{}, signing(err)
			}
			request.Header.Set("DPoP", made)
		}
		reply, err := s.exchange.Do(ctx, request)
		if err != nil {
			return exchange.Reply{}, unavailable(to.name, err)
		}
		if proofs {
			s.proofs.Keep(proof.AuthorizationServer, address, reply.Header)
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

// states is who signs what the client says.
func (s *sender) states() statement.Client {
	return statement.Client{ID: s.config.ClientID, Now: s.config.Now}
}

// authenticate adds what authenticates the client.
func (s *sender) authenticate(ctx context.Context, request *exchange.Request) error {
	if request.Form == nil {
		request.Form = url.Values{}
	}
	switch s.config.Auth.method {
	case methodPrivateKeyJWT:
		audience := s.config.Issuer
		if s.config.Weak.TokenEndpointAudience {
			audience = s.tokenEndpoint(ctx)
		}
		assertion, err := s.states().Assertion(ctx, s.config.Auth.key.signing, audience)
		if err != nil {
			return signing(err)
		}
		request.Form.Set("client_assertion_type", assertionType)
		request.Form.Set("client_assertion", assertion)
	case methodBasic:
		credentials := http.Request{Header: request.Header}
		credentials.SetBasicAuth(url.QueryEscape(s.config.ClientID), url.QueryEscape(s.config.Auth.secret)) // RFC 6749 §2.3.1
	case methodPost:
		request.Form.Set("client_id", s.config.ClientID)
		request.Form.Set("client_secret", s.config.Auth.secret)
	default:
		request.Form.Set("client_id", s.config.ClientID)
	}
	return nil
}

// refusal reads an error answer.
func refusal(name string, reply exchange.Reply) *ProviderError {
	told := answer.ReadRefusal(reply)
	return &ProviderError{
		Endpoint: name, Status: reply.Status, Code: told.Code, Description: told.Description, URI: told.URI,
		CorrelationID: told.CorrelationID, RetryAfter: told.RetryAfter,
	}
}

// orUnavailable is the error itself, or an [*UnavailableError] for a server that says nothing but that it is out of order.
func (e *ProviderError) orUnavailable() error {
	if e.Code == "" && e.Status >= 500 {
		reason := "it answered " + strconv.Itoa(e.Status)
		if e.CorrelationID != "" {
			reason += " (correlation id " + e.CorrelationID + ")"
		}
		return &UnavailableError{Endpoint: e.Endpoint, Reason: reason, cause: e}
	}
	return e
}

// wantJSON refuses an answer that says that it is no JSON: it is a page, of something in between.
func (e endpoint) wantJSON(reply exchange.Reply) error {
	if reply.IsJSON() {
		return nil
	}
	return &UnavailableError{Endpoint: e.name, Reason: "its answer is not JSON, says its Content-Type"}
}

// decode reads an answer that has to be a JSON object.
func (e endpoint) decode(what string, reply exchange.Reply, into any) error {
	if err := e.wantJSON(reply); err != nil {
		return err
	}
	return decode(what, reply.Body, into)
}

// decode reads something that has to be a JSON object.
func decode(what string, raw []byte, into any) error {
	if err := strictjson.DecodeObject(raw, into); err != nil {
		return &CheckError{What: what, Check: "malformed", Reason: err.Error(), cause: err}
	}
	return nil
}
