package serve

import (
	"context"
	"net/http"

	"countersign/internal/adminlistener"
)

// operated makes the admin API, if there is one; nil otherwise.
func (s *server) operated() (*adminlistener.API, error) {
	c := s.Config
	if c.Admin.Listen == "" {
		return nil, nil
	}
	fetch, err := KeyFetcher(c, s.Now)
	if err != nil {
		return nil, err
	}
	console, err := s.console()
	if err != nil {
		return nil, err
	}
	return adminlistener.New(adminlistener.Options{
		Config: c, Store: s.store, Rates: PasswordRates(c.Limits), Fetch: fetch, Console: console, Version: s.Version, Now: s.Now, Log: s.log,
	})
}

// administer opens the listener of the admin API, if there is one.
func (s *server) administer(ctx context.Context, all *listeners) error {
	c := s.Config.Admin
	if c.Listen == "" {
		return nil
	}
	current := func() *adminlistener.API { return s.live.current.Load().admin }
	handler := s.live.handler(func(g *generation) http.Handler { return g.admin.Handler })
	opened, answers, err := adminlistener.Open(ctx, c.Listen, current, handler, s.log)
	if err != nil {
		return err
	}
	all.open = append(all.open, listener{Listener: opened, server: answers})
	s.log.InfoContext(ctx, "admin API is served", "address", opened.Addr().String(), "count", len(c.Operators))
	return nil
}
