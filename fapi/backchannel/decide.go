package backchannel

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"countersign/fapi/browser"
	"countersign/fapi/claims"
	"countersign/fapi/client"
	"countersign/fapi/consent"
	"countersign/fapi/event"
	"countersign/fapi/profile"
	"countersign/fapi/rar/display"
	"countersign/fapi/request"
	"countersign/internal/oauth"
	"countersign/internal/set"
	"countersign/store"
)

// Errors of [Handler.Request] and [Handler.Decide], to be matched with errors.Is.
var (
	// ErrNotFound: there is no such request of this user, or its client is gone or may not make it any more.
	ErrNotFound = errors.New("fapi: no such backchannel request of this user")
	// ErrDecided: the request was decided before.
	ErrDecided = errors.New("fapi: the backchannel request was decided before")
	// ErrExpired: the request has expired.
	ErrExpired = errors.New("fapi: the backchannel request has expired")
	// ErrStepUp: the user has to authenticate again, or with a stronger acr; see [View].ACRs.
	ErrStepUp = errors.New("fapi: the decision needs a stronger or more recent authentication")
	// ErrChanged: what was decided is not what would be granted.
	ErrChanged = errors.New("fapi: the backchannel request is not what was decided")
)

// Decision is a user's decision on an authenticated device. Pages, approval apps and the API for a login of the operator's own all
// decide by [Handler.Decide]: it is the only door, so that none of them can leave out one of its checks.
type Decision struct {
	// Reference names the request.
	Reference string
	Allowed   bool
	// Authentication is how the user authenticated. Its Subject has to be that of the request.
	Authentication browser.Authentication
	// AuthTime is when the user authenticated; to approve, after the request was made.
	AuthTime time.Time
	// Device names the device, for the log.
	Device string
	// Picks and Digest are those of the View that was decided. Without the Digest nothing can be allowed.
	Picks  url.Values
	Digest string
	// Accounts are those that a login of the operator's own offered; nil where it does not.
	Accounts []display.Offered
	// Proof are names and values in turn of what else the audit log has of the decision, such as what the user was shown.
	Proof []string
}

func referenceOf(id store.Digest) string { return base64.RawURLEncoding.EncodeToString(id[:]) }

func parseReference(text string) (store.Digest, bool) {
	var id store.Digest
	raw, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(raw) != len(id) || len(text) != 43 {
		return id, false
	}
	return store.Digest(raw), true
}

// Pending lists the requests that wait for a user's decision, the oldest first.
func (h *Handler) Pending(ctx context.Context, subject string) ([]View, error) {
	pending, err := h.store.PendingBackchannel(ctx, subject)
	if err != nil {
		return nil, err
	}
	var views []View
	for _, record := range pending {
		view, err := h.view(ctx, record, h.clients.Get, false)
		if errors.Is(err, store.ErrNotFound) {
			continue // the client is deleted or disabled
		}
		if err != nil {
			return nil, err
		}
		view.State = Waiting
		views = append(views, view)
	}
	return views, nil
}

// Request reads a request of a user, in any state. The error is [ErrNotFound] for another user's request and for one
// whose client is gone, or one of the store.
func (h *Handler) Request(ctx context.Context, reference, subject string) (View, error) {
	record, err := h.request(ctx, reference, subject)
	if err != nil {
		return View{}, err
	}
	view, err := h.view(ctx, record, h.clients.Fresh, true)
	return view, notFound(err)
}

// rechecked checks a waiting request again, and reads the consent that it names: its client's registration, the configuration and the
// consent may have changed since it was made. The error wraps [store.ErrNotFound] when the client may not make it any more.
func (h *Handler) rechecked(ctx context.Context, caller *client.Client, waiting stored, id store.Digest) (*consent.Consent, error) {
	if !slices.Contains(caller.Profile.GrantTypes, profile.CIBA) {
		return nil, fmt.Errorf("%w: the client is no longer registered for %s", store.ErrNotFound, profile.CIBA)
	}
	err := h.checker.Recheck(ctx, request.Backchannel, caller, &request.Request{
		Profile: waiting.Profile, Scopes: waiting.Scopes, ACRs: waiting.ACRs, Details: waiting.Details,
		Resources: waiting.Resources, Claims: waiting.Claims, Managed: waiting.Managed,
	})
	if refused, ok := errors.AsType[*oauth.Error](err); ok {
		return nil, fmt.Errorf("%w: %w", store.ErrNotFound, refused)
	}
	if err != nil {
		return nil, err
	}
	return h.agreements.lodged(ctx, caller, waiting, id)
}

// notFound translates the store's error of the same name.
func notFound(err error) error {
	if errors.Is(err, store.ErrNotFound) {
		return fmt.Errorf("%w: %w", ErrNotFound, err)
	}
	return err
}

// request reads the record of a user's request.
func (h *Handler) request(ctx context.Context, reference, subject string) (store.BackchannelRequest, error) {
	id, ok := parseReference(reference)
	if !ok {
		return store.BackchannelRequest{}, ErrNotFound
	}
	record, err := h.store.BackchannelRequest(ctx, id)
	if errors.Is(err, store.ErrNotFound) {
		return store.BackchannelRequest{}, fmt.Errorf("%w: %w", ErrNotFound, err)
	}
	if err != nil {
		return store.BackchannelRequest{}, err
	}
	if record.Subject == "" || record.Subject != subject {
		return store.BackchannelRequest{}, ErrNotFound
	}
	return record, nil
}

// stateOf returns the state of a request.
func (h *Handler) stateOf(record store.BackchannelRequest) State {
	switch {
	case !record.DecidedAt.IsZero() && record.GrantID != "":
		return Approved
	case !record.DecidedAt.IsZero():
		return Denied
	case !h.now().Before(record.ExpiresAt):
		return Expired
	}
	return Waiting
}

// Decide records a user's decision. Only the first decision about a request counts. Errors are [ErrNotFound],
// [ErrDecided], [ErrExpired], [ErrStepUp] and [ErrChanged], or those of the store. A refused decision changes nothing.
func (h *Handler) Decide(ctx context.Context, d Decision) error {
	record, err := h.request(ctx, d.Reference, d.Authentication.Subject)
	if err != nil {
		return err
	}
	decision := store.BackchannelDecision{Request: record.ID, Subject: record.Subject, Device: d.Device}
	var lodged *consent.Consent
	var managed *request.Managed
	if d.Allowed {
		decision.Grant, managed, lodged, err = h.grant(ctx, record, d)
		decision.Replaces = managed.Replaced()
		if errors.Is(err, claims.ErrOtherUser) { // nobody has authenticated whom the client asked for
			d.Allowed, d.Proof = false, append(slices.Clone(d.Proof), "reason", "user_mismatch")
			lodged, err = h.agreements.denied(ctx, record)
		}
		if err != nil {
			return err
		}
	} else if lodged, err = h.agreements.denied(ctx, record); err != nil {
		return err
	}
	decided, err := h.agreements.Decide(ctx, lodged, record.ID, record.Subject, decision.Grant)
	if err != nil {
		return err
	}
	decision.Lodged = decided.Lodged
	decision.Evidence = append(h.decided(ctx, record, d, decision.Grant, managed), decided.Evidence...)
	err = h.store.DecideBackchannel(ctx, decision)
	if err != nil {
		decided.Undo()
	}
	switch {
	case errors.Is(err, store.ErrNotFound), errors.Is(err, store.ErrConflict) && (lodged != nil || decision.Replaces != ""):
		return ErrNotFound
	case errors.Is(err, store.ErrConsumed):
		return ErrDecided
	case errors.Is(err, store.ErrExpired):
		return ErrExpired
	case err != nil:
		return err
	}
	if d.Allowed {
		h.welcome(ctx, record)
	}
	h.log.InfoContext(ctx, "backchannel request decided", "correlation_id", event.Of(ctx).CorrelationID,
		"client_id", record.ClientID,
		"allowed", d.Allowed, "device", d.Device, "acr", d.Authentication.ACR)
	h.polls.wake(record.ID)
	if h.notifier != nil {
		h.notifier.Wake()
	}
	return nil
}

// decided is the evidence of a decision, and of the grant that it makes, if it does.
func (h *Handler) decided(ctx context.Context, record store.BackchannelRequest, d Decision, granted *store.Grant, managed *request.Managed) []store.Evidence {
	a := d.Authentication
	evidence := []store.Evidence{h.evidence.Event(ctx, record.ClientID, event.BackchannelDecided, append([]string{
		"subject", record.Subject, "request", d.Reference, "allowed", strconv.FormatBool(d.Allowed), "device", d.Device,
		"acr", a.ACR, "amr", strings.Join(a.AMR, " "), "request_digest", d.Digest,
	}, d.Proof...)...)}
	if granted == nil {
		return evidence
	}
	return append(evidence, h.evidence.Event(ctx, record.ClientID, event.GrantMade, append([]string{
		"grant", granted.ID, "subject", granted.Subject, "scope", strings.Join(granted.Scopes, " "), "acr", granted.ACR,
		"consent", "decided", "request", d.Reference, "request_digest", d.Digest,
	}, managed.Evidence(granted)...)...))
}

// grant returns the grant of an approval, if the authentication suffices for it, and what its request says of a grant that the client
// names, and of a consent.
func (h *Handler) grant(
	ctx context.Context, record store.BackchannelRequest, d Decision,
) (made *store.Grant, managed *request.Managed, lodged *consent.Consent, err error) {
	found, err := h.clients.Fresh(ctx, record.ClientID)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil, nil, ErrNotFound
	}
	if err != nil {
		return nil, nil, nil, err
	}
	request, err := parse(record)
	if err != nil {
		return nil, nil, nil, err
	}
	lodged, err = h.rechecked(ctx, found, request, record.ID)
	if err != nil {
		return nil, nil, nil, notFound(err)
	}
	err = h.agreements.Admit(ctx, found, lodged, record.Subject)
	if refused, ok := errors.AsType[*oauth.Error](err); ok && refused.Code == oauth.AccessDenied {
		return nil, nil, nil, fmt.Errorf("%w: %w", ErrNotFound, err)
	}
	if err != nil {
		return nil, nil, nil, err
	}
	now, ahead := h.now(), found.Profile.MaxAhead
	switch {
	case d.AuthTime.Before(record.CreatedAt.Add(-ahead)) || d.AuthTime.After(now.Add(ahead)):
		h.stepUp(ctx, record, d, request)
		return nil, nil, nil, ErrStepUp
	case !h.reaches(d.Authentication.ACR, request.ACRs):
		h.stepUp(ctx, record, d, request)
		return nil, nil, nil, ErrStepUp
	}
	err = h.tokens.Users.Fits(ctx, request.Claims, found.Profile, claims.Question{
		Subject: record.Subject, ClientID: record.ClientID, Purpose: claims.ForTokens, Scopes: request.Scopes,
	})
	if err != nil {
		return nil, nil, nil, err
	}
	if request, _, err = fill(ctx, h.offers, request, record, d.Accounts); err != nil {
		return nil, nil, nil, err
	}
	if request.Details, err = request.Details.Chosen(h.details, d.Picks); err != nil {
		return nil, nil, nil, err
	}
	request.Accounts = request.Details.Named(h.details, request.Accounts)
	if request.detail().DigestFor(request.Scopes) != d.Digest {
		return nil, nil, nil, ErrChanged
	}
	life, err := h.life(request, found, lodged)
	if err != nil {
		return nil, nil, nil, err
	}
	detail, err := json.Marshal(request.detail().Begin(found.Profile).Sealed(request.Scopes))
	if err != nil {
		return nil, nil, nil, err
	}
	return &store.Grant{
		ID: h.tokens.Identifiers.UUID(), ClientID: record.ClientID, Subject: record.Subject, Scopes: request.Scopes, Detail: detail,
		AuthTime: d.AuthTime, ACR: h.checker.ACR(found, d.Authentication.ACR, request.ACRNames), AMR: d.Authentication.AMR,
		CreatedAt: now, ExpiresAt: life.End(now), ManagedID: request.Managed.Name(),
	}, request.Managed, lodged, nil
}

// stepUp records that a user has to authenticate again, or otherwise, to approve.
func (h *Handler) stepUp(ctx context.Context, record store.BackchannelRequest, d Decision, request stored) {
	h.evidence.SecurityEvent(ctx, record.ClientID, event.StepUpRequired, "subject", record.Subject, "request", d.Reference,
		"acr", d.Authentication.ACR, "required_acr", strings.Join(request.ACRs, " "), "auth_time", d.AuthTime.UTC().Format(time.RFC3339))
}

// reaches reports whether an acr is one of those requested that this server can reach, or a better one.
func (h *Handler) reaches(acr string, requested []string) bool {
	known := h.checker.ACRValues()
	wanted := set.Intersect(known, requested)
	if len(wanted) == 0 {
		return true
	}
	rank := slices.Index(known, acr) // best first
	return rank >= 0 && rank <= slices.Index(known, wanted[len(wanted)-1])
}
