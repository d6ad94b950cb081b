// Package webpush notifies browsers of new requests by Web Push (RFC 8030) with VAPID (RFC 8292). The messages are
// empty.
package webpush

import (
	"context"
	"crypto/ecdsa"
	"encoding/base64"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"countersign/fapi/event"
	"countersign/internal/jose"
	"countersign/internal/oauth"
	"countersign/internal/outbound"
	"countersign/signer"
	"countersign/store"
)

const (
	// notifyTime bounds notifying all browsers of a user.
	notifyTime = 15 * time.Second
	// vapidLifetime is the lifetime of a VAPID token (at most 24 h, RFC 8292 §2).
	vapidLifetime = 10 * time.Minute
	// maxEndpoint bounds the address of a push resource (RFC 8030 §2), in bytes.
	maxEndpoint = 2000
	// maxBrowsers bounds the subscriptions of one user.
	maxBrowsers = 20
)

// Store has the methods of package store for subscriptions.
type Store interface {
	PutSubscription(ctx context.Context, subscription store.Subscription) error
	Subscriptions(ctx context.Context, subject string) ([]store.Subscription, error)
	RemoveSubscription(ctx context.Context, id store.Digest) error
}

// Sender subscribes browsers and notifies them.
type Sender struct {
	Store Store
	// Signer has the VAPID key ([signer.UsePush], ES256); without an active one nothing is sent.
	Signer  *signer.Signer
	Fetcher *outbound.Client
	// Issuer is the sub of VAPID tokens.
	Issuer string
	Now    func() time.Time
	Log    *slog.Logger
}

// Key returns the applicationServerKey: an uncompressed point in base64url (RFC 8292 §3.2), or "" without an active
// key.
func (s *Sender) Key(ctx context.Context) string {
	key, err := s.activeKey(ctx)
	if err != nil {
		return ""
	}
	return point(key.Public)
}

func (s *Sender) activeKey(ctx context.Context) (signer.Key, error) {
	return s.Signer.Active(ctx, signer.UsePush, signer.ES256)
}

func point(public any) string {
	key, ok := public.(*ecdsa.PublicKey)
	if !ok {
		return ""
	}
	encoded, err := key.Bytes()
	if err != nil {
		return ""
	}
	return base64.RawURLEncoding.EncodeToString(encoded)
}

// Endpoints returns the push resources of a user's browsers, the oldest first.
func (s *Sender) Endpoints(ctx context.Context, subject string) ([]string, error) {
	subscriptions, err := s.Store.Subscriptions(ctx, subject)
	if err != nil {
		return nil, err
	}
	var endpoints []string
	for _, each := range subscriptions {
		endpoints = append(endpoints, each.Endpoint)
	}
	return endpoints, nil
}

// Subscribe stores the push resource of a user's browser. The browser chooses the endpoint, which must pass the
// checks of package outbound: otherwise the error is an *[oauth.Error] with invalid_request. Other errors are those
// of the store and the signer.
func (s *Sender) Subscribe(ctx context.Context, subject, endpoint string) error {
	key, err := s.activeKey(ctx)
	if err != nil {
		return err
	}
	known, err := s.Store.Subscriptions(ctx, subject)
	if err != nil {
		return err
	}
	if len(endpoint) > maxEndpoint || outbound.CheckAddress(endpoint) != nil {
		return oauth.Errorf(oauth.InvalidRequest, "this browser takes messages at an address that the server does not reach")
	}
	if len(known) >= maxBrowsers { // the oldest subscription is replaced
		if err := s.Store.RemoveSubscription(ctx, known[0].ID); err != nil {
			return err
		}
	}
	return s.Store.PutSubscription(ctx, store.Subscription{
		ID: store.DigestOf(endpoint), Subject: subject, Endpoint: endpoint, KeyID: key.ID, CreatedAt: s.Now(),
	})
}

// Notify notifies the browsers of a user in the background. Push services keep the message until a time. A failed
// message is not sent again: an open page shows the request anyway.
func (s *Sender) Notify(ctx context.Context, subject string, until time.Time) {
	ctx = outbound.For(context.WithoutCancel(ctx), "user "+subject) // the caller's request ends before
	go func() {
		ctx, cancel := context.WithTimeout(ctx, notifyTime)
		defer cancel()
		subscriptions, err := s.Store.Subscriptions(ctx, subject)
		if err != nil {
			s.Log.WarnContext(ctx, "web push subscriptions not read",
				"correlation_id", event.Of(ctx).CorrelationID, "error", err.Error())
			return
		}
		for _, each := range subscriptions {
			s.notify(ctx, each, until)
		}
	}()
}

// notify sends one message. A subscription that is unknown to its push service, or was made for a key that has been
// rotated since, is removed: the page makes a new one when it is opened.
func (s *Sender) notify(ctx context.Context, to store.Subscription, until time.Time) {
	key, err := s.activeKey(ctx)
	if err != nil {
		s.notSent(ctx, 0, err)
		return
	}
	if key.ID != to.KeyID {
		s.remove(ctx, to, "key rotated")
		return
	}
	status, err := s.send(ctx, key, to.Endpoint, until)
	switch {
	case status == http.StatusNotFound || status == http.StatusGone:
		s.remove(ctx, to, "unknown to its push service")
	case err != nil:
		s.notSent(ctx, status, err)
	default:
		s.Log.InfoContext(ctx, "web push sent", "correlation_id", event.Of(ctx).CorrelationID, "status", status)
	}
}

func (s *Sender) notSent(ctx context.Context, status int, err error) {
	s.Log.WarnContext(ctx, "web push not sent",
		"correlation_id", event.Of(ctx).CorrelationID, "status", status, "error", err.Error())
}

func (s *Sender) remove(ctx context.Context, gone store.Subscription, reason string) {
	if err := s.Store.RemoveSubscription(ctx, gone.ID); err != nil {
		s.Log.WarnContext(ctx, "web push subscription not removed",
			"correlation_id", event.Of(ctx).CorrelationID, "reason", reason, "error", err.Error())
		return
	}
	s.Log.InfoContext(ctx, "web push subscription removed",
		"correlation_id", event.Of(ctx).CorrelationID, "reason", reason)
}

// send sends an empty message to a push resource (RFC 8030 §5), which the push service keeps until a time.
func (s *Sender) send(ctx context.Context, key signer.Key, endpoint string, until time.Time) (status int, err error) {
	token, err := s.vapid(ctx, key, endpoint)
	if err != nil {
		return 0, err
	}
	return s.Fetcher.Send(ctx, endpoint, http.Header{
		"Authorization": {"vapid t=" + token + ", k=" + point(key.Public)},
		"Ttl":           {strconv.Itoa(max(int(until.Sub(s.Now())/time.Second), 0))},
		"Urgency":       {"high"},
		"Topic":         {"request"},
	}, nil)
}

// vapidClaims are those of a VAPID token (RFC 8292 §2). Without iss it cannot be confused with other tokens of this
// server.
type vapidClaims struct {
	Audience string `json:"aud"`
	Expires  int64  `json:"exp"`
	Subject  string `json:"sub"`
}

// vapid signs a VAPID token for the push service of an endpoint.
func (s *Sender) vapid(ctx context.Context, key signer.Key, endpoint string) (string, error) {
	resource, err := url.Parse(endpoint)
	if err != nil {
		return "", err
	}
	signing := jose.SigningKey{ID: key.ID, Algorithm: string(key.Algorithm), Sign: key.Sign}
	return jose.Sign(ctx, signing, "JWT", vapidClaims{
		Audience: resource.Scheme + "://" + resource.Host, Expires: s.Now().Add(vapidLifetime).Unix(), Subject: s.Issuer,
	})
}
