// Package consents serves the consent APIs of open-banking ecosystems: applications create, read and end the consents that they ask
// users for afterwards. What an API looks like is a row of package shape; here is what is the same for all: the access token, the
// client and its ecosystem, x-fapi-interaction-id, idempotency keys, signed requests and answers with their evidence, and that a
// client sees nobody's consents but its own.
package consents

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"countersign/fapi/client"
	"countersign/fapi/consent"
	"countersign/fapi/consents/shape"
	"countersign/fapi/endpoint"
	"countersign/fapi/event"
	"countersign/fapi/resource"
	"countersign/fapi/tokens"
	"countersign/internal/jose"
	"countersign/mtls"
	"countersign/store"
)

// Lodge has the consents: [consent.Own], or a stand-in.
type Lodge interface {
	// Lodge stores a new consent: see [consent.Own.Lodge].
	Lodge(ctx context.Context, c consent.Consent, oneTimes ...store.OneTime) error
	// Read reads a consent; an empty clientID is any.
	Read(ctx context.Context, clientID, id string) (consent.Consent, error)
	// Revoke ends one.
	Revoke(ctx context.Context, r consent.Revocation) (consent.Consent, error)
}

// Settings are configured by the operator.
type Settings struct {
	// Namespace is the institution's name in the names of consents (RFC 8141 §2), by default made of the issuer's host.
	Namespace string
	// Organisation is the institution's identifier in its ecosystem: the iss of signed answers where that is an organisation's.
	Organisation string
}

// Config is the configuration of a [Handler].
type Config struct {
	Settings  Settings
	Addresses endpoint.Addresses
	// APIs are the ecosystems that are served: those of the profiles that are offered.
	APIs []string
	// Authorize verifies access tokens.
	Authorize func(w http.ResponseWriter, r *http.Request, scope string, at endpoint.At) (resource.Access, error)
	// BackChannel has the checks in front of the calls of authenticated clients.
	BackChannel *endpoint.BackChannel
	Limits      *endpoint.RateLimits
	Consents    Lodge
	// EndGrant ends a grant of a client; [store.ErrNotFound] when it has no such one.
	EndGrant func(ctx context.Context, clientID, grantID string, evidence []store.Evidence, oneTimes ...store.OneTime) error
	OneTimes store.OneTimes
	// Describe refuses a consent that cannot be shown to its user.
	Describe func(c *consent.Consent) error
	// Seeds are those of which idempotency keys become names.
	Seeds  *tokens.Seeds
	Tokens *tokens.Issuer
	Keys   *client.KeySets
	// Certificates finds the client certificate of a request on the mTLS listener, and Trust verifies it where it names an
	// organisation.
	Certificates mtls.Source
	Trust        mtls.Trust
	Evidence     *event.Recorder
	Now          func() time.Time
}

// Handler serves the APIs. Make one with [New].
type Handler struct{ config Config }

// New makes a handler.
func New(config Config) (*Handler, error) {
	config.Settings.Namespace = cmp.Or(config.Settings.Namespace, namespaceOf(config.Addresses.Host()))
	return &Handler{config}, shape.CheckNamespace(config.Settings.Namespace)
}

// namespaceOf makes a name of a host (RFC 8141 §2).
func namespaceOf(host string) string {
	name := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, strings.ToLower(host))
	name = strings.Trim(name[:min(len(name), 32)], "-")
	if len(name) < 2 {
		return "as"
	}
	return name
}

// Routes returns the routes of the APIs.
func (h *Handler) Routes() []endpoint.Route {
	var routes []endpoint.Route
	for _, s := range shape.Of(h.config.APIs) {
		if s.Serves(shape.Form) {
			routes = append(routes, endpoint.Route{
				Methods: endpoint.Post(), Path: s.Path, Metadata: s.Ending.Metadata, Alias: true,
				Serve: h.config.BackChannel.Serve(h.endNamed(s)),
			})
			continue
		}
		if s.Serves(shape.Create) {
			routes = append(routes, endpoint.Route{Methods: endpoint.Post(), Path: s.Path, Alias: true, Serve: h.serve(s)})
		}
		one := map[shape.Verb]string{shape.Read: http.MethodGet, shape.Delete: http.MethodDelete, shape.Patch: http.MethodPatch}
		var methods []string
		for _, verb := range slices.Sorted(maps.Keys(one)) {
			if s.Serves(verb) {
				methods = append(methods, one[verb])
			}
		}
		routes = append(routes, endpoint.Route{Methods: methods, Path: s.Path + "/{id}", Alias: true, Serve: h.serve(s)})
	}
	return routes
}

// call is one call of an API.
type call struct {
	*http.Request
	handler *Handler
	shape   *shape.Shape
	at      endpoint.At
	client  *client.Client
	// organisations are the identifiers of the client's organisation, most trusted first.
	organisations []string
	// signs reports that the answer is a signed JWT.
	signs bool
	// header is that of the answer.
	header http.Header
}

// serve serves the calls of an API.
func (h *Handler) serve(s *shape.Shape) endpoint.Serve {
	return func(w http.ResponseWriter, r *http.Request, at endpoint.At) {
		c := &call{Request: r, handler: h, shape: s, at: at}
		answer, err := c.answer(w)
		if err != nil {
			c.refuse(w, err)
			return
		}
		answer.Write(w)
	}
}

// answer answers a call: first who calls, then what.
func (c *call) answer(w http.ResponseWriter) (endpoint.Answer, error) {
	header := w.Header()
	c.header = header
	e := event.Of(c.Context())
	idGiven := header.Get(interactionHeader) != "" // set by the guard, if that of the request is a UUID
	if !idGiven {
		header.Set(interactionHeader, e.CorrelationID)
	}
	access, err := c.handler.config.Authorize(w, c.Request, c.shape.Scope, c.at)
	if err != nil {
		return endpoint.Answer{}, tokenProblem(err)
	}
	c.client = access.Client()
	e.ClientID = c.client.ID
	switch {
	case c.client.Profile.Consent.API != c.shape.API:
		return endpoint.Answer{}, shape.Problemf(shape.Forbidden, "", "this API is not that of the client's ecosystem")
	case access.Subject != "":
		return endpoint.Answer{}, shape.Problemf(shape.Forbidden, "", "the access token must be one of client_credentials")
	case c.client.Metadata.HTTPMessageSignatures:
		return endpoint.Answer{}, shape.Problemf(shape.Forbidden, "", "a client that registered HTTP message signatures cannot call this")
	case !idGiven && (c.shape.InteractionIDRequired || c.client.Profile.RequireInteractionID || c.Header.Get(interactionHeader) != ""):
		return endpoint.Answer{}, interactionProblem(c.Header)
	}
	if err := c.handler.config.Limits.Authenticated(c.client.ID); err != nil {
		return endpoint.Answer{}, err
	}
	c.signs = c.shape.Signs() && !c.shape.Detached()
	c.organisations = c.organisationsOf()
	if !c.acceptable() {
		return endpoint.Answer{}, shape.Problemf(shape.NotAcceptable, "Accept", "the answer is %s", c.mediaType())
	}
	switch c.Method {
	case http.MethodPost:
		return c.create()
	case http.MethodDelete:
		return c.end(nil)
	case http.MethodPatch:
		return c.patch()
	}
	return c.read()
}

const (
	interactionHeader = "X-Fapi-Interaction-Id"
	idempotencyHeader = "X-Idempotency-Key"
)

func interactionProblem(header http.Header) error {
	if header.Get(interactionHeader) == "" {
		return shape.Problemf(shape.HeaderMissing, "x-fapi-interaction-id", "x-fapi-interaction-id is missing")
	}
	return shape.Problemf(shape.HeaderInvalid, "x-fapi-interaction-id", "x-fapi-interaction-id is not a UUID (RFC 9562)")
}

// self is the address of a consent.
func (c *call) self(id string) string {
	return c.handler.config.Addresses.At(c.at, c.shape.Path) + "/" + url.PathEscape(id)
}

// read reads a consent of the client.
func (c *call) read() (endpoint.Answer, error) {
	found, err := c.find()
	if err != nil {
		return endpoint.Answer{}, err
	}
	return c.respond(http.StatusOK, found)
}

// find finds the consent that the address names.
func (c *call) find() (consent.Consent, error) {
	id := c.PathValue("id")
	missing := shape.Problemf(shape.NotFound, "ConsentId", "there is no such consent")
	if len(id) > maxID {
		return consent.Consent{}, missing
	}
	found, err := c.handler.config.Consents.Read(c.Context(), "", id)
	switch {
	case errors.Is(err, consent.ErrNotFound):
		return consent.Consent{}, missing
	case err != nil:
		return consent.Consent{}, err
	case found.ClientID != c.client.ID:
		return consent.Consent{}, shape.Problemf(shape.Foreign, "ConsentId", "the consent is another client's")
	case found.Kind != c.shape.Kind, c.shape.Gone && found.EndedBy == store.EndedByClient:
		return consent.Consent{}, missing
	}
	return found, nil
}

// maxID bounds the name of a consent in an address, in bytes.
const maxID = 256

// respond renders and signs a consent, records the evidence, and answers.
func (c *call) respond(status int, one consent.Consent) (endpoint.Answer, error) {
	answer, kept, err := c.render(status, one)
	if err != nil {
		return endpoint.Answer{}, err
	}
	return answer, c.handler.config.Evidence.Record(c.Context(), kept...)
}

// render renders and signs a consent; the evidence has to be recorded before it is sent.
func (c *call) render(status int, one consent.Consent) (endpoint.Answer, []store.Evidence, error) {
	body, err := c.shape.Render(one, c.self(one.ID), c.handler.config.Now(), status == http.StatusCreated)
	if err != nil {
		return endpoint.Answer{}, nil, err
	}
	if c.shape.Detached() {
		return c.renderDetached(status, one.ID, body)
	}
	if !c.signs {
		return endpoint.Answer{Status: status, Body: body, ContentType: c.shape.ContentType}, nil, nil
	}
	signed, kept, err := c.sign(one.ID, body)
	return signedAnswer(status, signed), []store.Evidence{kept}, err
}

// renderDetached signs an answer in a header, exactly as it is sent.
func (c *call) renderDetached(status int, id string, body map[string]any) (endpoint.Answer, []store.Evidence, error) {
	written, err := json.Marshal(body)
	if err != nil {
		return endpoint.Answer{}, nil, err
	}
	signature, kept, err := c.signDetached(id, written)
	if err != nil {
		return endpoint.Answer{}, nil, err
	}
	c.header.Set(c.shape.Signed.Header, signature)
	return endpoint.Answer{Status: status, Body: endpoint.Raw(written), ContentType: c.shape.ContentType}, []store.Evidence{kept}, nil
}

// signedAnswer is an answer that is a JWT.
func signedAnswer(status int, signed string) endpoint.Answer {
	return endpoint.Answer{Status: status, Body: endpoint.JWT(signed), ContentType: jwtMedia}
}

// verifyAlgorithms are those that the client may sign requests with.
func (c *call) verifyAlgorithms() []string {
	if named := c.shape.Signed.Algorithm; named != "" {
		return []string{named}
	}
	if own := c.client.Profile.RequestObjectAlgorithms; len(own) > 0 {
		return own
	}
	return slices.DeleteFunc(slices.Clone(c.client.Profile.Algorithms), func(alg string) bool {
		return !slices.Contains([]string{jose.PS256, jose.ES256, jose.EdDSA}, alg)
	})
}
