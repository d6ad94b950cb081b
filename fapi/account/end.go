package account

import (
	"context"
	"encoding/base64"
	"errors"
	"slices"
	"strconv"
	"time"

	"countersign/fapi/browser"
	"countersign/fapi/endpoint"
	"countersign/fapi/event"
	"countersign/internal/limit"
	"countersign/internal/oauth"
	"countersign/store"
)

// freshTime is how long after signing in a user may remove a passkey. Everything else can be ended without signing in again.
const freshTime = 10 * time.Minute

// limits bound what one user changes and reads, on each node by itself.
type limits struct{ changes, calls *limit.Limiter }

func newLimits(now func() time.Time) (*limits, error) {
	changes, err := endpoint.NewLimiter(0.5, 60, now)
	if err != nil {
		return nil, err
	}
	calls, err := endpoint.NewLimiter(5, 100, now)
	return &limits{changes: changes, calls: calls}, err
}

// actor is who ends something.
type actor struct {
	subject string
	// acr and authTime are of the sign-in.
	acr      string
	authTime time.Time
	// through is "page" or "api", of which application names the client.
	through, application string
}

// ender ends what users have. What is not there any more has been ended before: the numbers say so.
type ender struct {
	store    Store
	evidence *event.Recorder
	limits   *limits
	now      func() time.Time
}

// The errors of [ender.passkey] that a user can do something about.
var (
	errNotFresh    = errors.New("account: the sign-in is too old or too weak to remove a passkey")
	errLastPasskey = errors.New("account: the last passkey is removed where that is explained")
)

// event is evidence of what an actor did; clientID is the client that it was done to, or empty.
func (e ender) event(ctx context.Context, by actor, clientID, name string, detail ...string) store.Evidence {
	return e.evidence.Event(ctx, clientID, name, slices.Concat(
		[]string{"subject", by.subject, "by", store.RevokedByUser, "through", by.through, "application", by.application}, detail)...)
}

// allow counts a change.
func (e ender) allow(by actor) error {
	return endpoint.Allow(e.limits.changes, by.subject, "there were too many changes in a short time")
}

// access ends what a user gave a client, or one grant of it, and returns how many grants ended; errMissing.
func (e ender) access(ctx context.Context, by actor, clientID, grantID string) (int, error) {
	if err := e.allow(by); err != nil {
		return 0, err
	}
	ended := e.event(ctx, by, clientID, event.AccessEnded)
	if grantID != "" {
		ended = e.event(ctx, by, clientID, event.GrantRevoked, "grant", grantID)
	}
	count, err := e.store.EndAccess(ctx, store.Ending{
		Subject: by.subject, ClientID: clientID, GrantID: grantID, By: store.RevokedByUser, Evidence: []store.Evidence{ended},
	})
	return count, missing(err)
}

// missing translates the error of the store.
func missing(err error) error {
	if errors.Is(err, store.ErrNotFound) {
		return errMissing
	}
	return err
}

// session ends a sign-in; errMissing.
func (e ender) session(ctx context.Context, by actor, id string) error {
	if err := e.allow(by); err != nil {
		return err
	}
	session, err := digestOf(id)
	if err != nil {
		return err
	}
	return missing(e.store.EndSessionOf(ctx, by.subject, session, e.event(ctx, by, "", event.SessionEnded, "session", id)))
}

// sessions ends all sign-ins but one, if that is not zero, and returns how many.
func (e ender) sessions(ctx context.Context, by actor, kept store.Digest) (int, error) {
	if err := e.allow(by); err != nil {
		return 0, err
	}
	return e.store.EndOtherSessions(ctx, by.subject, kept, e.event(ctx, by, "", event.SessionsEnded, "this_browser", strconv.FormatBool(kept.Zero())))
}

// passkey removes a passkey; errMissing, errNotFresh and errLastPasskey. The last that can be used is not removed here: without
// it a password is enough, and a page says that first.
func (e ender) passkey(ctx context.Context, by actor, id string) error {
	if err := e.allow(by); err != nil {
		return err
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(id)
	if err != nil {
		return errMissing
	}
	have, err := e.store.Passkeys(ctx, by.subject)
	switch {
	case err != nil:
		return err
	case !slices.ContainsFunc(have, func(p store.Passkey) bool { return string(p.ID) == string(raw) }):
		return errMissing
	case e.now().Sub(by.authTime) >= freshTime || by.acr != browser.PasskeyACR:
		return errNotFresh
	case isLast(have, raw):
		return errLastPasskey
	}
	if err := missing(e.store.RemovePasskey(ctx, by.subject, raw)); err != nil {
		return err
	}
	e.record(ctx, by, "passkey_removed")
	return nil
}

// record records what an actor did and no verb of the store took along.
func (e ender) record(ctx context.Context, by actor, name string, detail ...string) {
	e.evidence.SecurityEvent(ctx, "", name, slices.Concat(
		[]string{"subject", by.subject, "by", store.RevokedByUser, "through", by.through, "application", by.application}, detail)...)
}

// application removes an application that confirms for the user; errMissing.
func (e ender) application(ctx context.Context, by actor, id string) error {
	if err := e.allow(by); err != nil {
		return err
	}
	if err := missing(e.store.RemoveDevice(ctx, by.subject, id)); err != nil {
		return err
	}
	e.record(ctx, by, "device_removed", "device", id)
	return nil
}

// notifications ends those of a browser of the user; errMissing.
func (e ender) notifications(ctx context.Context, by actor, id string) error {
	if err := e.allow(by); err != nil {
		return err
	}
	subscription, err := digestOf(id)
	if err != nil {
		return err
	}
	own, err := e.store.Subscriptions(ctx, by.subject)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(own, func(s store.Subscription) bool { return s.ID == subscription }) {
		return errMissing
	}
	if err := e.store.RemoveSubscription(ctx, subscription); err != nil {
		return err
	}
	e.record(ctx, by, event.NotificationsEnded)
	return nil
}

// forget has every browser that the user made known be unknown again.
func (e ender) forget(ctx context.Context, by actor) error {
	if err := e.allow(by); err != nil {
		return err
	}
	return missing(e.store.ForgetBrowsers(ctx, by.subject, e.event(ctx, by, "", event.BrowsersForgotten)))
}

// forgetOne has one browser that the user made known be unknown again; errMissing.
func (e ender) forgetOne(ctx context.Context, by actor, id string) error {
	if err := e.allow(by); err != nil {
		return err
	}
	known, err := digestOf(id)
	if err != nil {
		return err
	}
	return missing(e.store.ForgetBrowser(ctx, by.subject, known, e.event(ctx, by, "", event.BrowserForgotten, "browser", id)))
}

// lastByAPI is the error of the API for the last passkey.
func lastByAPI(settings string) error {
	return oauth.Errorf(oauth.InvalidRequest, "the last passkey is removed on the page that says what follows from it: %s", settings).
		WithStatus(409)
}
