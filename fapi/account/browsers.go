package account

import (
	"context"
	"net/url"
	"strings"
	"time"
)

// Notified is a browser that is told of new requests.
type Notified struct {
	ID string
	// Service is the host of its push service.
	Service   string
	CreatedAt time.Time
}

// Known is a browser that knows the user.
type Known struct {
	ID string
	// Browser and System are what the browser says of itself, or empty.
	Browser, System   string
	CreatedAt, UsedAt time.Time
}

// notified lists the browsers that are told of new requests.
func (c content) notified(ctx context.Context, subject string) (all []Notified, err error) {
	subscriptions, err := c.store.Subscriptions(ctx, subject)
	for _, s := range subscriptions {
		one := Notified{ID: digestText(s.ID), CreatedAt: s.CreatedAt}
		if u, err := url.Parse(s.Endpoint); err == nil {
			one.Service = u.Host
		}
		all = append(all, one)
	}
	return all, err
}

// knowing lists the browsers that know a user.
func (c content) knowing(ctx context.Context, subject string) (all []Known, err error) {
	browsers, err := c.store.ListBrowsers(ctx, subject)
	for _, b := range browsers {
		name, system, _ := strings.Cut(b.Agent, "/")
		all = append(all, Known{ID: digestText(b.ID), Browser: name, System: system, CreatedAt: b.CreatedAt, UsedAt: b.UsedAt})
	}
	return all, err
}
