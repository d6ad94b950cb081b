package serve

import "countersign/internal/adminlistener"

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
