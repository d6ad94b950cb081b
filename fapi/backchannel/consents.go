package backchannel

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"slices"

	"countersign/ciba"
	"countersign/fapi/client"
	"countersign/fapi/consent"
	"countersign/internal/oauth"
	"countersign/store"
)

// agreements are the consents that requests name.
type agreements struct {
	*consent.Engine
	clients *client.Cache
}

// consentOf reads the consent that a new request names, and notes in the request what it is; nil for none.
func (a agreements) consentOf(ctx context.Context, caller *client.Client, request *stored) (*consent.Consent, error) {
	if request.Consent == nil {
		return nil, nil
	}
	lodged, err := a.Check(ctx, caller, request.Consent.ID, request.Scopes)
	if err != nil {
		return nil, err
	}
	request.Consent.Kind, request.Shown = lodged.Kind, digestOfShown(lodged)
	return lodged, nil
}

func digestOfShown(c *consent.Consent) string {
	digest := sha256.Sum256(c.Shown)
	return base64.RawURLEncoding.EncodeToString(digest[:])
}

// lodged reads the consent of a waiting request again. The error wraps [store.ErrNotFound] when it may not be authorised any more: it
// has ended, shows something else, or another request has taken this one's place.
func (a agreements) lodged(ctx context.Context, caller *client.Client, waiting stored, id store.Digest) (*consent.Consent, error) {
	if waiting.Consent == nil {
		return nil, nil
	}
	c, err := a.Check(ctx, caller, waiting.Consent.ID, waiting.Scopes)
	if refused, ok := errors.AsType[*oauth.Error](err); ok && refused.Code != oauth.TemporarilyUnavailable {
		return nil, fmt.Errorf("%w: %w", store.ErrNotFound, refused)
	}
	switch {
	case err != nil:
		return nil, err
	case digestOfShown(c) != waiting.Shown:
		return nil, fmt.Errorf("%w: the consent shows something else than when the request was made", store.ErrNotFound)
	case !consent.BoundTo(c, id):
		return nil, fmt.Errorf("%w: another request has taken its place for the consent", store.ErrNotFound)
	}
	return c, nil
}

// identifyByConsent finds the user of a request whose login_hint is a consent: who authorised it before, or else the user whose name
// is one of its hints.
func identifyByConsent(ctx context.Context, h *Handler, caller *client.Client, c *consent.Consent) (askedUser, error) {
	if c.Subject != "" {
		return h.lookUp(ctx, hintSubject, c.Subject)
	}
	unknown := askedUser{key: store.DigestOf("unknown consent\x00" + c.ID)}
	for _, name := range slices.Sorted(maps.Keys(c.Hints)) {
		find := func() (askedUser, error) { return h.lookUp(ctx, hintUsername, c.Hints[name]) }
		if h.settings.ResolveHint != nil {
			find = func() (askedUser, error) {
				return h.resolve(ctx, Hint{ClientID: caller.ID, Kind: ciba.LoginHint, Value: c.Hints[name]})
			}
		}
		user, err := find()
		if err != nil || user.subject != "" {
			return user, err
		}
	}
	return unknown, nil
}

// denied returns the consent that a denial rejects; nil where there is none, or where it cannot be rejected any more.
func (a agreements) denied(ctx context.Context, record store.BackchannelRequest) (*consent.Consent, error) {
	request, err := parse(record)
	if err != nil || request.Consent == nil {
		return nil, err
	}
	found, err := a.clients.Fresh(ctx, record.ClientID)
	if err != nil {
		return nil, nil // nobody is left to whom it belongs
	}
	lodged, err := a.lodged(ctx, found, request, record.ID)
	if err != nil {
		return nil, nil // denying is not kept from anybody
	}
	return lodged, nil
}
