package fapi

import (
	"context"
	"crypto/ecdsa"
	"encoding/base64"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"countersign/internal/oauth"
	"countersign/internal/outbound"
	"countersign/signer"
	"countersign/store"
)

const (
	// pushTime bounds waking all browsers of a person.
	pushTime = 15 * time.Second
	// pushTokenLife is how long what a push service is shown is good (at most 24 h, RFC 8292 §2).
	pushTokenLife = 10 * time.Minute
	// maxEndpoint bounds the address of a push resource, in bytes.
	maxEndpoint = 2000
)

// vapidClaims tell a push service who sends (RFC 8292 §2). There is no iss, so that it can be taken for no token of ours.
type vapidClaims struct {
	Audience string `json:"aud"`
	Expires  int64  `json:"exp"`
	Subject  string `json:"sub"`
}

// pushKey is the public key that browsers are to expect messages from: an uncompressed point in base64url (RFC 8292
// §3.2). Empty when no active key is for it.
func (s *Server) pushKey(ctx context.Context) string {
	key, err := s.signer.Active(ctx, signer.UsePush, signer.ES256)
	if err != nil {
		return ""
	}
	return pushPoint(key.Public)
}

func pushPoint(public any) string {
	key, ok := public.(*ecdsa.PublicKey)
	if !ok {
		return ""
	}
	point, err := key.Bytes()
	if err != nil {
		return ""
	}
	return base64.RawURLEncoding.EncodeToString(point)
}

// subscribe stores where this browser takes messages, for its person. The address is the browser's to say, and goes the
// way of every address that somebody else names.
func (s *Server) subscribe(ctx context.Context, visit *DeviceVisit) error {
	endpoint, subject := visit.Form.Get("endpoint"), visit.session.Subject
	visit.Form = nil
	if err := take(s.devices.changes, subject, "too much was changed in a short time"); err != nil {
		return err
	}
	key, err := s.signer.Active(ctx, signer.UsePush, signer.ES256)
	if err != nil {
		return err
	}
	known, err := s.store.Subscriptions(ctx, subject)
	if err != nil {
		return err
	}
	if len(endpoint) > maxEndpoint || outbound.CheckAddress(endpoint) != nil {
		return oauth.Errorf(oauth.InvalidRequest, "this browser takes messages at an address that the server does not reach")
	}
	if len(known) >= most { // the oldest browser is long gone
		if err := s.store.RemoveSubscription(ctx, known[0].ID); err != nil {
			return err
		}
	}
	visit.Notice = "This browser will tell you of new requests."
	return s.store.PutSubscription(ctx, store.Subscription{
		ID: store.DigestOf(endpoint), Subject: subject, Endpoint: endpoint, KeyID: key.ID, CreatedAt: s.now(),
	})
}

// wakeBrowsers tells the browsers of a person that a request waits, and no more: the message is empty. It does not wait,
// and what fails is not tried again: a page that is open learns of the request anyway.
func (s *Server) wakeBrowsers(ctx context.Context, record store.BackchannelRequest) {
	if s.config.DevicePages == nil {
		return
	}
	ctx = context.WithoutCancel(ctx) // the client that asks is answered meanwhile
	go func() {
		ctx, cancel := context.WithTimeout(ctx, pushTime)
		defer cancel()
		subscriptions, err := s.store.Subscriptions(ctx, record.Subject)
		if err != nil {
			s.log.WarnContext(ctx, "browsers were not woken", "error", err.Error())
			return
		}
		for _, each := range subscriptions {
			s.wakeBrowser(ctx, each, record.ExpiresAt)
		}
	}()
}

// wakeBrowser sends one message (RFC 8030 §5). A subscription that its push service does not know any more, or that was
// made for a key which has been rotated since, is forgotten: the page makes a new one when it is opened.
func (s *Server) wakeBrowser(ctx context.Context, to store.Subscription, until time.Time) {
	key, err := s.signer.Active(ctx, signer.UsePush, signer.ES256)
	if err == nil && key.ID != to.KeyID {
		err = s.store.RemoveSubscription(ctx, to.ID)
		s.pushed(ctx, 0, err)
		return
	}
	var status int
	if err == nil {
		var token string
		if token, err = s.vapid(ctx, to.Endpoint); err == nil {
			status, err = s.fetcher.Send(ctx, to.Endpoint, http.Header{
				"Authorization": {"vapid t=" + token + ", k=" + pushPoint(key.Public)},
				"Ttl":           {strconv.Itoa(max(int(until.Sub(s.now())/time.Second), 0))},
				"Urgency":       {"high"},
				"Topic":         {"request"},
			}, nil)
		}
	}
	if status == http.StatusNotFound || status == http.StatusGone {
		err = s.store.RemoveSubscription(ctx, to.ID)
	}
	s.pushed(ctx, status, err)
}

func (s *Server) pushed(ctx context.Context, status int, err error) {
	if err != nil {
		s.log.WarnContext(ctx, "a browser was not woken", "status", status, "error", err.Error())
		return
	}
	s.log.InfoContext(ctx, "a browser was woken", "status", status)
}

// vapid signs what the push service of an endpoint is shown.
func (s *Server) vapid(ctx context.Context, endpoint string) (string, error) {
	address, err := url.Parse(endpoint)
	if err != nil {
		return "", err
	}
	return s.sign(ctx, signer.UsePush, string(signer.ES256), "JWT", vapidClaims{
		Audience: address.Scheme + "://" + address.Host, Expires: s.now().Add(pushTokenLife).Unix(), Subject: s.config.Issuer,
	})
}
