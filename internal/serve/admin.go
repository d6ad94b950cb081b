package serve

import (
	"context"

	"countersign/internal/adminlistener"
)

// administer opens the listener of the admin API, if there is one, beside the others.
func (s *server) administer(ctx context.Context, all *listeners) error {
	c := s.Config
	if c.Admin.Listen == "" {
		return nil
	}
	fetch, err := KeyFetcher(c, s.Now)
	if err != nil {
		return err
	}
	opened, answers, err := adminlistener.Open(ctx, adminlistener.Options{
		Config: c, Store: s.store, Rates: PasswordRates(c.Limits), Fetch: fetch, Version: s.Version, Now: s.Now, Log: s.log,
	})
	if err != nil {
		return err
	}
	all.open = append(all.open, listener{Listener: opened, server: answers})
	s.log.InfoContext(ctx, "admin API is served", "address", opened.Addr().String(), "operators", len(c.Admin.Operators))
	return nil
}
