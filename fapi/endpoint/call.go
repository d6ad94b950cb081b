package endpoint

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"go.opentelemetry.io/otel/trace"

	"countersign/dpop"
	"countersign/fapi/client"
	"countersign/fapi/event"
	"countersign/internal/oauth"
	"countersign/mtls"
	"countersign/store"
)

// consumeTimeout bounds consuming the one-time values of a refused request.
const consumeTimeout = 2 * time.Second

// Call is a back-channel request of an authenticated client. Only [BackChannel.Serve] makes one, after its checks.
type Call struct {
	Form   oauth.Form
	Client *client.Client
	// Accept is the Accept header, or empty.
	Accept string
	// Proof is the verified DPoP proof, or nil.
	Proof *dpop.Proof
	// Certificate is the client certificate of the connection, or nil.
	Certificate *mtls.Presented

	at       At
	oneTimes []store.OneTime
	store    store.OneTimes
}

// OneTimes returns the one-time values of the request that are not consumed yet. The store method that changes state
// consumes them in its transaction; when the request is refused, [BackChannel.Serve] does.
func (c *Call) OneTimes() []store.OneTime { return c.oneTimes }

// AddOneTime adds a one-time value that the endpoint found in the request.
func (c *Call) AddOneTime(value store.OneTime) { c.oneTimes = append(c.oneTimes, value) }

// ConsumeOneTimes consumes the one-time values in a transaction of their own: before a change that a refused request
// makes too, or when there is no change of state.
func (c *Call) ConsumeOneTimes(ctx context.Context) error {
	if len(c.oneTimes) == 0 {
		return nil
	}
	if err := c.store.ConsumeOneTime(ctx, c.oneTimes...); err != nil {
		return err
	}
	c.oneTimes = nil
	return nil
}

// OneTimesConsumed records that a store method has consumed the one-time values, though an error may follow.
func (c *Call) OneTimesConsumed() { c.oneTimes = nil }

// Answer is a successful back-channel response.
type Answer struct {
	Status int
	// Body is written as JSON, or as it is when it is a [JWT] or [Raw]; nil is none.
	Body any
	// ContentType is the media type of a JWT, and of JSON where it has another than application/json.
	ContentType string
}

// JWT is an answer that is a compact JWS or JWE.
type JWT string

// Raw is an answer in JSON that is sent as it was signed.
type Raw []byte

// BackChannel has the checks in front of endpoints for authenticated clients.
type BackChannel struct {
	Authenticator *Authenticator
	Limits        *RateLimits
	Proofs        *Proofs
	Addresses     Addresses
	// Certificates finds the client certificate of a request on the mTLS listener.
	Certificates mtls.Source
	Store        store.OneTimes
	Log          *slog.Logger
	Tracer       trace.Tracer
}

// Serve returns an endpoint behind the shared checks: limits, form, certificate, client authentication, DPoP.
func (b *BackChannel) Serve(endpoint func(context.Context, *Call) (Answer, error)) Serve {
	return func(w http.ResponseWriter, r *http.Request, at At) {
		b.Proofs.OfferNonce(w)
		c, err := b.newCall(w, r, at)
		if err != nil {
			Refuse(w, r, err)
			return
		}
		answer, err := endpoint(r.Context(), c)
		if err != nil {
			if !NothingDone(err) {
				b.consumeRefused(r.Context(), c)
			}
			Refuse(w, r, err)
			return
		}
		answer.Write(w)
	}
}

// Write writes the answer.
func (a Answer) Write(w http.ResponseWriter) {
	w.Header().Set("Cache-Control", "no-store") // RFC 6749 §5.1
	if a.Body == nil {
		w.WriteHeader(a.Status)
		return
	}
	// Response already started; errors ignored.
	if signed, ok := a.Body.(JWT); ok {
		w.Header().Set("Content-Type", a.ContentType)
		w.WriteHeader(a.Status)
		_, _ = io.WriteString(w, string(signed))
		return
	}
	w.Header().Set("Content-Type", cmp.Or(a.ContentType, "application/json"))
	w.WriteHeader(a.Status)
	if raw, ok := a.Body.(Raw); ok {
		_, _ = w.Write(raw)
		return
	}
	_ = json.NewEncoder(w).Encode(a.Body)
}

func (b *BackChannel) newCall(w http.ResponseWriter, r *http.Request, at At) (*Call, error) {
	form, err := oauth.ReadForm(w, r)
	if err != nil {
		return nil, err
	}
	c := &Call{Form: form, Accept: strings.Join(r.Header.Values("Accept"), ","), at: at, store: b.Store}
	if at.MTLS {
		if c.Certificate, err = b.Certificates.Certificate(r); err != nil {
			return nil, unreadableCertificate(err)
		}
	}
	if err := b.Authenticator.authenticate(r, c); err != nil {
		return nil, b.Limits.AuthenticationFailed(r, err)
	}
	if err := b.Limits.Authenticated(c.Client.ID); err != nil {
		return nil, err
	}
	if c.Client.Profile.MTLSEverywhere && c.Certificate == nil && !at.AnyListener {
		b.consumeRefused(r.Context(), c)
		return nil, oauth.Errorf(oauth.InvalidRequest, "the profile of this client wants mutual TLS at each endpoint and the connection has no certificate; %s",
			c.NoCertificate())
	}
	if err := b.prove(r, c); err != nil {
		if oauth.AsError(err).Code != oauth.UseDPoPNonce { // the client retries with the nonce
			b.consumeRefused(r.Context(), c)
		}
		return nil, err
	}
	return c, nil
}

// unreadableCertificate is the answer where the source of certificates has something that cannot be used.
func unreadableCertificate(cause error) error {
	if reason := mtls.Reason(cause); reason != "" {
		return oauth.Errorf(oauth.InvalidRequest, "the client certificate cannot be used: %s", reason).Because(cause)
	}
	return oauth.Errorf(oauth.InvalidRequest, "the client certificate cannot be read").Because(cause)
}

// prove verifies the DPoP proof, if there is one.
func (b *BackChannel) prove(r *http.Request, c *Call) error {
	_, span := b.Tracer.Start(r.Context(), "dpop")
	defer span.End()
	raw, present, err := find(r)
	if err != nil || !present {
		return err
	}
	if err := CheckBinding(c.Client); err != nil {
		return err
	}
	proof, err := b.Proofs.verify(raw, dpop.Request{Method: r.Method, URLs: []string{b.Addresses.At(c.at, c.at.Path)}})
	if err != nil {
		return err
	}
	c.Proof = &proof
	c.AddOneTime(OneTimeOf(proof))
	return nil
}

// consumeRefused consumes the one-time values of a request that was refused after its client had authenticated, so
// that they cannot be used again. A failure is logged only.
func (b *BackChannel) consumeRefused(ctx context.Context, c *Call) {
	if len(c.oneTimes) == 0 {
		return
	}
	// Also when the client has disconnected.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), consumeTimeout)
	defer cancel()
	if err := b.Store.ConsumeOneTime(ctx, c.oneTimes...); err != nil && !errors.Is(err, store.ErrReplayed) {
		b.Log.WarnContext(ctx, "one-time values of a refused request not recorded",
			"correlation_id", event.Of(ctx).CorrelationID, "client_id", c.Client.ID, "error", err.Error())
	}
}
