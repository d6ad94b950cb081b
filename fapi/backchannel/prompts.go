package backchannel

import (
	"context"
	"errors"
	"time"

	"countersign/fapi/browser"
	"countersign/fapi/client"
	"countersign/fapi/endpoint"
	"countersign/fapi/event"
	"countersign/internal/limit"
	"countersign/store"
)

// Whoever is asked too often approves to be left alone (prompt bombing). So a user is asked only so often by one client, by
// one organisation with all its clients, and by all; less often after each denial; and by nobody whom the user has blocked.
// All of it is in the store, the same on all nodes, and the same for users that there are not.

const (
	// maxPause is the longest pause after denials, leastPause the shortest that is waited for.
	maxPause, leastPause = 24 * time.Hour, time.Millisecond
	// patience is how many denials in a row are no reason to pause: people press the wrong button, and are asked again at once.
	patience = 2
	// Wrong user codes for one user: of one organisation 5, then one in a quarter of an hour; of all five times as many.
	codeBurst, codeInterval   = 5, 15 * time.Minute
	codesBurst, codesInterval = 5 * codeBurst, codeInterval / 5
)

// perMinute makes an allowance of a number of events a minute after a burst.
func perMinute(kind, of string, number float64, burst int) store.Rate {
	interval := time.Duration(float64(time.Minute) / number).Truncate(time.Microsecond)
	return store.Rate{Key: limit.Key(kind, of), Interval: interval, Burst: burst}
}

// promptRates are the allowances of requests for a user: of one client, of its organisation, and of all.
func (h *Handler) promptRates(clientID, organisation string, user store.Digest) (own []store.Rate, all store.Rate) {
	s, key := h.settings, string(user[:])
	return []store.Rate{
		perMinute("ciba client", clientID+"\x00"+key, s.UserPerMinute, s.UserBurst),
		perMinute("ciba organisation", organisation+"\x00"+key, s.OrganisationPerMinute, s.OrganisationBurst),
	}, perMinute("ciba user", key, s.AllPerMinute, s.AllBurst)
}

// mayAsk counts a request for a user. The allowances are taken together or not at all, so that one who is refused uses up
// nothing of what others have.
func (h *Handler) mayAsk(ctx context.Context, c *client.Client, user askedUser) error {
	own, all := h.promptRates(c.ID, c.Organisation, user.key)
	if wait := h.prompts.Allow(ctx, append(own, all)...); wait > 0 {
		return endpoint.TooMany(wait, "this client sends too many requests for this user")
	}
	return nil
}

// notShown gives back what others may ask, for a request that the user was not shown. Its client loses what it took: it has
// too many that wait.
func (h *Handler) notShown(ctx context.Context, c *client.Client, user askedUser) {
	_, all := h.promptRates(c.ID, c.Organisation, user.key)
	h.prompts.Refund(ctx, []store.Rate{all})
}

// welcome gives back what a request took that the user approved: what users want is not limited.
func (h *Handler) welcome(ctx context.Context, record store.BackchannelRequest) {
	own, all := h.promptRates(record.ClientID, record.Organisation, record.UserKey)
	h.prompts.Refund(ctx, append(own, all))
}

// heed does what the user decided about the organisation of a client: after denials it waits, longer each time, and when it
// is blocked its requests are acknowledged and shown to nobody, as those for users that there are not. So nothing tells
// it of the block.
func (h *Handler) heed(ctx context.Context, c *client.Client, user *askedUser) error {
	standing, err := h.store.BackchannelStanding(ctx, user.subject, c.Organisation)
	if err != nil {
		return err
	}
	if wait := standing.DeniedAt.Add(h.pauseAfter(standing.Denials)).Sub(h.now()); wait >= leastPause {
		return endpoint.TooMany(wait, "the user has denied requests of this client")
	}
	if !standing.BlockedAt.IsZero() {
		user.subject = "" // its code is still checked
		h.log.InfoContext(ctx, "backchannel request ignored: user has blocked the organisation",
			"correlation_id", event.Of(ctx).CorrelationID, "client_id", c.ID)
	}
	return nil
}

// pauseAfter is how long nobody of an organisation asks a user after so many denials in a row.
func (h *Handler) pauseAfter(denials int) time.Duration {
	if denials <= patience {
		return 0
	}
	pause := h.settings.DenialPause
	for range denials - patience - 1 {
		if pause *= 2; pause >= maxPause {
			return maxPause
		}
	}
	return pause
}

// codeRates are the allowances of wrong user codes, of one organisation and of all. That of all is wider, so that one
// organisation locks nobody else out.
func codeRates(c *client.Client, user askedUser) []store.Rate {
	key := string(user.key[:])
	return []store.Rate{
		{Key: limit.Key("user code organisation", c.Organisation+"\x00"+key), Interval: codeInterval, Burst: codeBurst},
		{Key: limit.Key("user code", key), Interval: codesInterval, Burst: codesBurst},
	}
}

// Blocked is an organisation that a user wants no requests of.
type Blocked struct {
	// Organisation names it to [Handler.Unblock].
	Organisation string
	// Client is one of its clients, by which the user knows it; its Name is empty when that is gone.
	Client    browser.Client
	BlockedAt time.Time
}

// Block blocks the organisation of a request's client for the user of the request, and denies what is pending of it. The
// client is not told: later requests are acknowledged and expire. It returns the client, and the references of what was
// denied. Errors are [ErrNotFound] and those of the store.
func (h *Handler) Block(
	ctx context.Context, reference string, by browser.Authentication,
) (blocked browser.Client, denied []string, err error) {
	record, err := h.request(ctx, reference, by.Subject)
	if err != nil {
		return browser.Client{}, nil, err
	}
	found, err := h.clients.Fresh(ctx, record.ClientID)
	if err != nil {
		return browser.Client{}, nil, notFound(err)
	}
	err = h.store.BlockBackchannel(ctx, store.BackchannelStanding{
		Subject: by.Subject, Organisation: found.Organisation, ClientID: found.ID, BlockedAt: h.now(),
	})
	if err != nil {
		return browser.Client{}, nil, err
	}
	denied, err = h.denyAll(ctx, found.Organisation, by)
	return viewClient(found), denied, err
}

// denyAll denies what is pending of an organisation.
func (h *Handler) denyAll(ctx context.Context, organisation string, by browser.Authentication) (denied []string, err error) {
	pending, err := h.store.PendingBackchannel(ctx, by.Subject)
	if err != nil {
		return nil, err
	}
	for _, record := range pending {
		if h.organisationOf(ctx, record.ClientID) != organisation {
			continue
		}
		reference := referenceOf(record.ID)
		err := h.Decide(ctx, Decision{Reference: reference, Authentication: by, AuthTime: h.now(), Device: "device page"})
		switch {
		case err == nil:
			denied = append(denied, reference)
		case !errors.Is(err, ErrDecided) && !errors.Is(err, ErrExpired) && !errors.Is(err, ErrNotFound):
			return denied, err
		}
	}
	return denied, nil
}

// Unblock lets an organisation ask a user again; one that is not blocked is no error.
func (h *Handler) Unblock(ctx context.Context, subject, organisation string) error {
	return h.store.BlockBackchannel(ctx, store.BackchannelStanding{Subject: subject, Organisation: organisation})
}

// Blocked lists whom a user has blocked, the oldest block first.
func (h *Handler) Blocked(ctx context.Context, subject string) ([]Blocked, error) {
	standings, err := h.store.BlockedBackchannel(ctx, subject)
	if err != nil {
		return nil, err
	}
	var blocked []Blocked
	for _, standing := range standings {
		one := Blocked{Organisation: standing.Organisation, Client: browser.Client{ID: standing.ClientID}, BlockedAt: standing.BlockedAt}
		found, err := h.clients.Get(ctx, standing.ClientID)
		if err == nil {
			one.Client = viewClient(found)
		} else if !errors.Is(err, store.ErrNotFound) {
			return nil, err
		}
		blocked = append(blocked, one)
	}
	return blocked, nil
}

// viewClient returns the registered metadata that pages may show.
func viewClient(c *client.Client) browser.Client {
	m := c.Metadata
	return browser.Client{
		ID: c.ID, Name: m.ClientName, URI: m.ClientURI, LogoURI: m.LogoURI, PolicyURI: m.PolicyURI, TermsURI: m.TermsURI,
		ByLanguage: m.ByLanguage(),
	}
}
